"""The fields of the query language, in one table: what each takes, and what to tell people of it.

The parser, its errors, suggestions, the documentation and the JSON API read it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from catalog.search.language.nearest import nearest


class Takes(Enum):
    """What the values of a field are."""

    NAME = "a name"
    DIGEST = "a digest"
    PACKAGE = "a package"
    SOURCE = "a source package"
    PURL = "a package URL"
    FILE = "the name of a file"
    PATH = "a path"
    FILE_DIGEST = "the SHA-256 of a file"
    PAIR = "a key, or key=value"
    IMAGE = "an image"
    PLATFORM = "an architecture"
    WORDS = "words"
    SIZE = "a size"
    NUMBER = "a number"
    DATE = "a date"
    CHOICE = "one of a few words"
    DIRECTIVE = "one of a few words, once"


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A field as people write it.

    *types* are those of `HitType` whose documents have it; a query with a field that repositories lack asks for images.
    *choices* are all its values, where these are few. A *keyed* one may be written ``NAME.KEY:VALUE``. *least* is how
    many characters the beginning of a value (``deb*``) has at least; None where beginnings mean nothing. *patterns*
    tells whether it takes ``/regular expressions/``.
    """

    name: str
    takes: Takes
    example: str
    help: str
    types: tuple[str, ...] = ("image",)
    choices: tuple[str, ...] = ()
    keyed: bool = False
    least: int | None = None
    patterns: bool = False


_ALL = ("repository", "image")

#: Orders by their names, and the types of hits that have them; the first of a type is its own. Numbers begin with the
#: greatest, and with the least where `-asc` is added.
SORTS: dict[str, tuple[str, ...]] = {
    "repository": ("best", "pulls", "pushed", "pushed-asc", "pulled", "created", "created-asc"),
    "image": ("best", "pushed", "pushed-asc", "created", "created-asc", "size", "size-asc", "layers", "layers-asc"),
    "package": ("best", "images", "name"),
    "layer": ("images", "size", "size-asc"),
    "file": ("path", "images", "size", "size-asc"),
}

TYPES = tuple(SORTS)

_QUALIFIERS = (
    Qualifier(
        "repo",
        Takes.NAME,
        "repo:team/*",
        "The repository, with or without the default namespace.",
        types=_ALL,
        least=1,
        patterns=True,
    ),
    Qualifier(
        "org",
        Takes.NAME,
        "org:library",
        "The person or organisation that it belongs to.",
        types=_ALL,
        least=1,
        patterns=True,
    ),
    Qualifier(
        "is",
        Takes.CHOICE,
        "is:official",
        "What it is. `latest`: the image that the tag `latest` points to.",
        types=_ALL,
        choices=("official", "public", "private", "deprecated", "latest"),
    ),
    Qualifier(
        "tag",
        Takes.NAME,
        "tag:1.25",
        "A tag that points to the image, or to an index that holds it.",
        least=1,
        patterns=True,
    ),
    Qualifier(
        "digest",
        Takes.DIGEST,
        "digest:sha256:0b5c4f…",
        "The digest of the manifest, or of an index that holds it; its first 7 digits or more will do.",
        least=7,
    ),
    Qualifier(
        "layer",
        Takes.DIGEST,
        "layer:sha256:4abcf2…",
        "A layer that the image has: its digest, or its diff_id; its first 7 digits or more will do.",
        least=7,
    ),
    Qualifier(
        "package",
        Takes.PACKAGE,
        "package:openssl<3.0.7",
        "An installed package: name, name@version, name with comparisons, each with or without ecosystem/ before it.",
        least=2,
        patterns=True,
    ),
    Qualifier(
        "purl",
        Takes.PURL,
        "purl:pkg:deb/debian/openssl@3.0.11-1",
        "An installed package by its URL; qualifiers are not compared.",
    ),
    Qualifier("src", Takes.SOURCE, "src:glibc", "The source package of an installed one.", least=2, patterns=True),
    Qualifier("file", Takes.FILE, "file:libssl.so.3", "The name of a file in the merged tree.", least=3, patterns=True),
    Qualifier(
        "path", Takes.PATH, "path:/etc/ssl/*", "The whole path of a file in the merged tree.", least=3, patterns=True
    ),
    Qualifier(
        "sha256",
        Takes.FILE_DIGEST,
        "sha256:e3b0c4…",
        "The SHA-256 of a file in the merged tree; or of an image, or of a layer.",
    ),
    Qualifier("license", Takes.NAME, "license:gpl-*", "The license of an installed package.", least=1, patterns=True),
    Qualifier(
        "label",
        Takes.PAIR,
        "label:team=payments",
        "A label; also `label.team:payments`.",
        keyed=True,
        least=1,
        patterns=True,
    ),
    Qualifier(
        "anno",
        Takes.PAIR,
        "anno:org.opencontainers.image.vendor",
        "An annotation, as a label.",
        keyed=True,
        least=1,
        patterns=True,
    ),
    Qualifier("env", Takes.NAME, "env:JAVA_HOME", "The name of an environment variable.", least=1, patterns=True),
    Qualifier("base", Takes.IMAGE, "base:debian:12", "An image that it is built on, by its layers or as it says."),
    Qualifier(
        "distro",
        Takes.NAME,
        "distro:debian:12",
        "The distribution, with or without its version.",
        least=1,
        patterns=True,
    ),
    Qualifier("os", Takes.NAME, "os:linux", "The operating system.", types=_ALL, least=1, patterns=True),
    Qualifier(
        "arch",
        Takes.PLATFORM,
        "arch:arm64",
        "The architecture, with or without its variant.",
        types=_ALL,
        least=1,
        patterns=True,
    ),
    Qualifier("user", Takes.NAME, "user:root", "The user that it runs as, as the config says.", least=1, patterns=True),
    Qualifier(
        "port", Takes.NAME, "port:8080", "A port that it exposes; 8080/udp names the protocol.", least=1, patterns=True
    ),
    Qualifier("cmd", Takes.WORDS, "cmd:gunicorn", "Words of its entrypoint and command."),
    Qualifier("size", Takes.SIZE, "size:<50MB", "Compressed size; that of the tar, where layers are found."),
    Qualifier("layers", Takes.NUMBER, "layers:>=20", "The number of its layers."),
    Qualifier("pushed", Takes.DATE, "pushed:>-30d", "When it was pushed last.", types=_ALL),
    Qualifier("created", Takes.DATE, "created:2026", "When it was made.", types=_ALL),
    Qualifier(
        "pulled",
        Takes.DATE,
        "pulled:<-1y",
        "When it was pulled last.",
        types=("repository",),
    ),
    Qualifier(
        "deleted",
        Takes.DIRECTIVE,
        "deleted:yes",
        "Files and packages that upper layers hide and that are pulled still: `yes`, only these; `include`, these too.",
        choices=("yes", "include"),
    ),
    Qualifier(
        "type",
        Takes.DIRECTIVE,
        "type:package",
        "What is to be found.",
        types=TYPES,
        choices=TYPES,
    ),
    Qualifier(
        "sort",
        Takes.DIRECTIVE,
        "sort:pushed",
        "The order.",
        types=TYPES,
        choices=tuple(dict.fromkeys(name for names in SORTS.values() for name in names)),
    ),
)

FIELDS: dict[str, Qualifier] = {qualifier.name: qualifier for qualifier in _QUALIFIERS}

#: Fields that are known to be coming, and why they are not there.
COMING = {
    "stars": "nobody can give stars so far",
    "signed": "signatures are not read so far",
    "has": "SBOMs, signatures and provenance are not read so far",
}


def nearest_field(name: str) -> str | None:
    """Return the field that *name* probably means, with its colon."""
    found = _OTHER_NAMES.get(name) or nearest(name, FIELDS)
    return f"{found}:" if found else None


#: What other tools call them.
_OTHER_NAMES = {
    "repository": "repo",
    "image": "repo",
    "name": "repo",
    "organisation": "org",
    "organization": "org",
    "namespace": "org",
    "owner": "org",
    "pkg": "package",
    "version": "package",
    "source": "src",
    "filename": "file",
    "directory": "path",
    "annotation": "anno",
    "annotations": "anno",
    "from": "base",
    "architecture": "arch",
    "platform": "arch",
    "variable": "env",
    "command": "cmd",
    "entrypoint": "cmd",
    "visibility": "is",
    "updated": "pushed",
    "order": "sort",
}
