"""A small world of repositories, images, layers and files, and what a query finds in it: written down a second time, in
plain Python over these values, so that answers can be held against it.

Whoever reads an answer here looks at the layers of each image, one upon the other; nothing is asked of an engine, of
the layer index, or of a document.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from cas import Digest, RepositoryName
from cas.entries import FILE, HARD_LINK, SYMLINK, WHITEOUT, Entry
from catalog.images.facts import LayerFacts
from catalog.images.squash import squash
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    RepositoryDocument,
)
from catalog.search.language import And, Field, Form, Node, Not, Or, Value
from catalog.search.language import Term as Word
from ingest.standing import Standing, standing

DAY = 86_400
#: A day to count from: 2026-01-01.
FIRST = 1_767_225_600

VERSIONS = ("1.0-1", "1.1-1", "2.0-1")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Layer:
    """*files* are contents by path; *whiteouts* hide paths of the layers below, and what is under them; *links* are the
    targets of symbolic links, *hard* those of hard links to files of lower layers. There are two compressions of it:
    *size* is that of the one."""

    name: str
    files: dict[str, str]
    whiteouts: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    hard: dict[str, str] = field(default_factory=dict)
    size: int = 100

    @property
    def diff_id(self) -> str:
        return Digest.of(f"layer {self.name}".encode()).text

    @property
    def digest(self) -> str:
        return Digest.of(f"blob {self.name}".encode()).text

    @property
    def smaller(self) -> str:
        """The digest of the other compression."""
        return Digest.of(f"smaller blob {self.name}".encode()).text

    @property
    def blobs(self) -> dict[str, int]:
        return {self.digest: self.size, self.smaller: self.size // 2}

    @property
    def raw_size(self) -> int:
        return self.size * 2

    def entries(self) -> list[Entry]:
        files = [
            Entry(path, FILE, 0o644, size=len(content), digest=bytes.fromhex(sha256(content)))
            for path, content in self.files.items()
        ]
        hiding = [Entry(path, WHITEOUT) for path in self.whiteouts]
        links = [Entry(path, SYMLINK, 0o777, target=target) for path, target in self.links.items()]
        links += [Entry(path, HARD_LINK, target=target) for path, target in self.hard.items()]
        return sorted([*files, *links, *hiding], key=lambda entry: (entry.path.split("/"), entry.kind != WHITEOUT))


LAYERS = [
    Layer("base", {"etc/passwd": "root", "bin/sh": "shell", "app/config.yml": "one"}, size=500),
    Layer("users", {"etc/passwd": "root and me", "tmp/x": "scratch"}, size=100),
    Layer("without users", {"lib/libssl.so": "tls"}, whiteouts=("etc/passwd",), size=200),
    Layer("configured", {"app/config.yml": "two", "etc/ssl/cert.pem": "certificate"}, size=150),
    Layer("without app", {"usr/bin/sh": "shell"}, whiteouts=("app", "bin/sh"), size=100),
    Layer("users again", {"etc/passwd": "root", "etc/ssl/key.pem": "key"}, size=300),
    Layer("merged", {"usr/bin/dash": "dash"}, links={"bin": "usr/bin", "usr/bin/sh": "dash", "etc/ssl": "/opt/ssl"}),
    Layer("through links", {"bin/app": "program", "bin/sh": "another shell"}, hard={"usr/bin/dash2": "bin/dash"}),
    Layer(
        "without program",
        {},
        whiteouts=("bin/app", "usr/bin/dash"),
        hard={"opt/sh": "bin/sh", "opt/passwd": "etc/passwd"},
    ),
]


class File(NamedTuple):
    """At *path* stands, or stood, what the layer *diff_id* has at *source*."""

    diff_id: str
    path: str
    source: str


class Stack:
    """Layers, laid one upon the other: the files that stand in the merged tree, and all that ever stood in it."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        self.standing: dict[str, File | None] = {}
        self.held: set[File] = set()
        self._targets = {(layer.diff_id, path): target for layer in layers for path, target in layer.links.items()}
        for layer in layers:
            self._lay(layer)

    def _lay(self, layer: Layer) -> None:
        below = {path: self.standing.get(self._place(target)) for path, target in layer.hard.items()}
        for place in [self._place(gone) for gone in layer.whiteouts]:
            self._remove(place)
        linked: dict[str, str] = {}
        for path in sorted([*layer.files, *layer.links, *layer.hard], key=lambda path: path.split("/")):
            place = self._place(path)
            for above in _above(place):
                self.standing.pop(above, None)
            self._remove(place)
            if path in layer.hard:
                self.standing[place], linked[place] = None, path
            else:
                self._put(place, File(layer.diff_id, place, path))
        for place, path in linked.items():
            if place in self.standing and self.standing[place] is None:
                there = self.standing.get(self._place(layer.hard[path])) or below[path]
                del self.standing[place]
                if there is not None:
                    self._put(place, there._replace(path=place))

    def _put(self, place: str, file: File) -> None:
        self.standing[place] = file
        self.held.add(file)

    def _remove(self, place: str) -> None:
        for path in list(self.standing):
            if path == place or path.startswith(f"{place}/"):
                del self.standing[path]

    def _place(self, path: str) -> str:
        """Follow the directories of *path* through symbolic links."""
        *todo, name = path.split("/")
        place = ""
        while todo:
            place = f"{place}/{todo.pop(0)}".lstrip("/")
            there = self.standing.get(place)
            target = self._targets.get((there.diff_id, there.source)) if there is not None else None
            if target is not None:
                todo = target.strip("/").split("/") + todo
                place = "" if target.startswith("/") else place.rpartition("/")[0]
        return f"{place}/{name}".lstrip("/")


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def image_digest(number: int) -> str:
    return Digest.of(f"image {number}".encode()).text


def index_digest(number: int) -> str:
    return Digest.of(f"index of image {number}".encode()).text


@dataclass(frozen=True)
class Content:
    """An image as it was built, wherever it is."""

    number: int
    layers: tuple[Layer, ...]
    packages: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    license: str = ""
    distro: tuple[str, str] | None = None
    platform: str = "linux/amd64"
    created: int = FIRST
    base: str = ""
    indexed: bool = False
    user: str = ""
    ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    smaller: bool = False
    #: What was done after the top layer, which made none: None where the history cannot be read.
    steps: tuple[str, ...] | None = ()

    @property
    def digest(self) -> str:
        return image_digest(self.number)

    @property
    def parents(self) -> list[str]:
        """The index that it is of, where it is of one."""
        return [index_digest(self.number)] if self.indexed else []

    @property
    def declared(self) -> tuple[str, str]:
        """The name and the digest of the image that it says it is built on."""
        name, _, digest = self.base.partition("@")
        return ("", name) if name.startswith("sha256:") else (name, digest)

    @property
    def blobs(self) -> list[str]:
        return [layer.smaller if self.smaller else layer.digest for layer in self.layers]

    @property
    def size(self) -> int:
        return sum(layer.blobs[blob] for layer, blob in zip(self.layers, self.blobs, strict=True))

    @property
    def named(self) -> set[str]:
        """What its layers are called."""
        return {*self.blobs, *(layer.diff_id for layer in self.layers)}

    @property
    def chains(self) -> list[str]:
        names = [layer.name for layer in self.layers]
        return [Digest.of(f"chain {names[: n + 1]}".encode()).text for n in range(len(names))]

    @property
    def histories(self) -> list[str]:
        if self.steps is None:
            return []
        top = self.chains[-1]
        return [f"history:{sha256(f'{top} {self.steps[:number]}')}" for number in range(len(self.steps) + 1)]

    def goes_on_from(self, base: Content) -> bool:
        """Tell whether there is more in it than in *base*, which is at its bottom: layers, or else steps."""
        if len(self.layers) > len(base.layers):
            return self.layers[: len(base.layers)] == base.layers
        if self.layers != base.layers or self.steps is None or base.steps is None:
            return False
        return len(self.steps) > len(base.steps) and self.steps[: len(base.steps)] == base.steps

    @cached_property
    def _files(self) -> dict[str, set[File]]:
        stack = Stack(self.layers)
        shown = {file for file in stack.standing.values() if file is not None}
        return {"": shown, "yes": stack.held - shown, "include": stack.held}

    def files(self, deleted: str) -> set[File]:
        """The files of the merged tree, or those that are hidden, or either."""
        return self._files[deleted]

    @cached_property
    def told(self) -> Standing:
        """What its document says of its files."""
        return standing(squash(LayerFacts(layer.diff_id, layer.raw_size, layer.entries()) for layer in self.layers))


@dataclass(frozen=True)
class Repository:
    """*public* is what its documents say. *now* is what its row says: None where it was deleted."""

    name: str
    public: bool
    now: bool | None
    description: str = ""
    official: bool = False
    deprecated: bool = False
    pushed: int = FIRST
    pulled: int = 0
    pulls: int = 0

    @property
    def id(self) -> str:
        return f"id-{self.name.replace('/', '-')}"

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]

    @property
    def short(self) -> str:
        return RepositoryName(self.name).short()


@dataclass(frozen=True)
class Image:
    """An image in a repository."""

    repository: Repository
    content: Content
    tags: tuple[str, ...] = ()
    pushed: int = FIRST


@dataclass(frozen=True)
class Person:
    """Who asks: an owner of *namespaces*, or an administrator; *limits* are what a token is narrowed to: the beginnings
    of names, or whole ones."""

    name: str
    namespaces: frozenset[str] = frozenset()
    administrator: bool = False
    limits: tuple[str, ...] | None = None

    def may_read(self, repository: Repository) -> bool:
        """Tell by the row, for documents lag behind it."""
        if repository.now is None:
            return False
        # A repository that was made public is found when its documents say so.
        public = repository.now and repository.public
        if not (self.administrator or public or repository.namespace in self.namespaces):
            return False
        return self.limits is None or any(
            repository.name.startswith(each[:-1]) if each.endswith("*") else repository.name == each
            for each in self.limits
        )


@dataclass
class World:
    """Everything, and what of it *person* finds."""

    repositories: list[Repository]
    images: list[Image]
    person: Person = field(default_factory=lambda: Person("nobody"))
    now: int = FIRST + 30 * DAY
    layers: list[Layer] = field(default_factory=lambda: LAYERS)

    def documents(self) -> Iterator[Document]:
        for repository in self.repositories:
            held = [image for image in self.images if image.repository == repository]
            yield RepositoryDocument(
                id=repository.id,
                name=repository.name,
                public=repository.public,
                description=repository.description,
                pulls=repository.pulls,
                pulled=repository.pulled,
                pushed=repository.pushed,
                created=FIRST,
                tags=sum(len(image.tags) for image in held),
                platforms=sorted({image.content.platform for image in held}),
                official=repository.official,
                deprecated=repository.deprecated,
            )
        yield from map(_image_document, self.images)
        for layer in self.layers:
            yield LayerDocument(
                diff_id=layer.diff_id, blobs=layer.blobs, raw_size=layer.raw_size, entries=len(layer.entries())
            )
        versions: dict[str, set[str]] = {}
        for image in self.images:
            for name, version in (*image.content.packages, *image.content.removed):
                versions.setdefault(name, set()).add(version)
        # Of a package that no image has any more the document may still be there.
        versions.setdefault("deb/forgotten", set()).add("1.0-1")
        for name, found in versions.items():
            ecosystem, _, rest = name.partition("/")
            yield PackageDocument(ecosystem=ecosystem, name=rest, versions=sorted(found))

    # What is found

    def readable_images(self) -> list[Image]:
        return [image for image in self.images if self.person.may_read(image.repository)]

    def images_for(self, nodes: tuple[Node, ...], deleted: str = "", completing: Word | None = None) -> list[Image]:
        return [
            image
            for image in self.readable_images()
            if all(self.holds(node, image, deleted, completing) for node in nodes)
        ]

    def repositories_for(self, nodes: tuple[Node, ...], completing: Word | None = None) -> list[Repository]:
        return [
            repository
            for repository in self.repositories
            if self.person.may_read(repository) and all(self.holds(node, repository, "", completing) for node in nodes)
        ]

    def holds(self, node: Node, of: Image | Repository, deleted: str, completing: Word | None) -> bool:
        match node:
            case Word():
                return _has_word(node, of, node is completing)
            case Not(inner):
                return not self.holds(inner, of, deleted, completing)
            case And(nodes):
                return all(self.holds(each, of, deleted, completing) for each in nodes)
            case Or(nodes):
                return any(self.holds(each, of, deleted, completing) for each in nodes)
            case Field():
                return self._field(node, of, deleted)

    def _field(self, node: Field, of: Image | Repository, deleted: str) -> bool:
        if node.name in ("size", "layers", "pushed", "created", "pulled"):
            return in_spans(node, _number(node.name, of), self.now)
        if node.name == "package":
            return self._package(node, of, deleted)
        return any(self._value(node, value, of, deleted) for value in node.values)

    def _value(self, node: Field, value: Value, of: Image | Repository, deleted: str) -> bool:
        repository = of if isinstance(of, Repository) else of.repository
        match node.name:
            case "repo":
                return any(_is(value, name) for name in {repository.name, repository.short}) and not (
                    # Without a namespace, the default one is meant.
                    value.form is Form.WHOLE and "/" not in value.text and repository.namespace != "library"
                )
            case "org":
                return _is(value, repository.namespace)
            case "is":
                return value.text in _states(of)
            case "os":
                return any(_is(value, platform.split("/")[0]) for platform in self._platforms(of))
            case "arch":
                return any(
                    _is(value, platform.split("/")[1])
                    or f"{platform}/".startswith(f"{value.text}/")
                    or f"{platform.partition('/')[2]}/".startswith(f"{value.text}/")
                    for platform in self._platforms(of)
                )
        assert isinstance(of, Image), node
        content = of.content
        match node.name:
            case "tag":
                return any(_is(value, tag) for tag in of.tags)
            case "digest":
                return any(is_digest(value, each) for each in (content.digest, *content.parents))
            case "layer":
                return any(is_digest(value, each) for each in content.named)
            case "path" | "file" | "sha256":
                if node.name == "sha256" and not deleted:
                    wanted = f"sha256:{value.text}"
                    if wanted == content.digest or wanted in content.named:
                        return True
                return any(is_file(node.name, value, file) for file in content.files(deleted))
            case "label":
                return any(
                    _is(value, text if node.key is None and "=" not in value.text else f"{text}={label}")
                    if node.key is None
                    else node.key == text and _is(value, label)
                    for text, label in content.labels
                )
            case "license":
                return _is(value, content.license)
            case "distro":
                name, version = content.distro or ("", "")
                return content.distro is not None and (_is(value, name) or _is(value, f"{name}:{version}"))
            case "user":
                return _is(value, content.user)
            case "port":
                return any(_is(value, port) or _is(value, port.partition("/")[0]) for port in content.ports)
            case "env":
                return any(_is(value, name) for name in content.env)
            case "base":
                return self.is_built_on(value.text, of)
        raise AssertionError(node)

    def _platforms(self, of: Image | Repository) -> set[str]:
        if isinstance(of, Image):
            return {of.content.platform}
        return {image.content.platform for image in self.images if image.repository == of}

    def _package(self, node: Field, of: Image | Repository, deleted: str) -> bool:
        assert isinstance(of, Image), node
        packages = {
            "": of.content.packages,
            "yes": of.content.removed,
            "include": of.content.packages + of.content.removed,
        }[deleted]
        return any(is_package(node, name, version) for name, version in packages)

    def is_built_on(self, text: str, image: Image) -> bool:
        name, _, tag = text.partition(":")
        whole = name if "/" in name else f"library/{name}"
        named = [
            other.content
            for other in self.readable_images()
            if other.repository.name == whole and (not tag or tag in other.tags)
        ]
        said, digest = image.content.declared
        if text in (image.content.base, digest, said) or (not tag and said and said.partition(":")[0] == text):
            return True
        # What it says is a digest of theirs, or of their index.
        if digest and any(digest in (content.digest, *content.parents) for content in named):
            return True
        built = any(image.content.goes_on_from(content) for content in named)
        return built and image.content.digest not in {content.digest for content in named}


def _image_document(image: Image) -> ImageDocument:
    content, repository = image.content, image.repository
    return ImageDocument(
        repository_id=repository.id,
        repository=repository.name,
        public=repository.public,
        digest=content.digest,
        parents=content.parents,
        tags=list(image.tags),
        platform=content.platform,
        size=content.size,
        pushed=image.pushed,
        created=content.created,
        layers=content.blobs,
        diff_ids=[layer.diff_id for layer in content.layers],
        chains=content.chains,
        histories=content.histories,
        packages=list(content.packages),
        removed=list(content.removed),
        licenses=[content.license] if content.license else [],
        labels=dict(content.labels),
        env=list(content.env),
        user=content.user,
        ports=list(content.ports),
        bases=[content.base] if content.base else [],
        distro=content.distro,
        hidden=content.told.hidden,
        moved=content.told.moved,
        placed=content.told.placed,
        official=repository.official,
        deprecated=repository.deprecated,
    )


def is_package(node: Field, name: str, version: str) -> bool:
    """Tell whether a package is one that `package:` asks for."""
    asked: list[tuple[Value, str, list[tuple[str, str]]]] = []
    for value in node.values:
        if value.operator:
            asked[-1][2].append((value.operator, value.text))
        elif compared := re.fullmatch(r"([^<>=!]+)(<=|>=|!=|[<>=])(.+)", value.text):
            asked.append((value, compared[1], [(compared[2], compared[3])]))
        else:
            asked.append((value, value.text, []))
    return any(
        _is_package(value, text, name, version) and all(_compared(version, *each) for each in comparisons)
        for value, text, comparisons in asked
    )


def _is_package(value: Value, text: str, name: str, version: str) -> bool:
    if value.form is Form.PATTERN:
        return re.fullmatch(text, name) is not None
    if value.form is Form.BEGINNING:
        return name.startswith(text) or name.partition("/")[2].startswith(text)
    text, _, exact = text.partition("@")
    return text in (name, name.partition("/")[2]) and exact in ("", version)


def _compared(version: str, sign: str, bound: str) -> bool:
    left, right = VERSIONS.index(version), VERSIONS.index(bound)
    return {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
        "=": left == right,
        "!=": left != right,
    }[sign]


def is_file(name: str, value: Value, file: File) -> bool:
    """Tell whether a file is one that a value asks for."""
    if name == "sha256":
        return digest_of(file) == value.text
    if name == "path":
        return _is(Value(value.text.lstrip("/"), value.form), file.path)
    return _is(value, file.path.rpartition("/")[2])


def digest_of(file: File) -> str:
    """The SHA-256 of a file, which a symbolic link has not."""
    (layer,) = [layer for layer in LAYERS if layer.diff_id == file.diff_id]
    return sha256(layer.files[file.source]) if file.source in layer.files else ""


def _is(value: Value, text: str) -> bool:
    if not text:
        return False
    if value.form is Form.PATTERN:
        return re.fullmatch(value.text, text) is not None
    return text.startswith(value.text) if value.form is Form.BEGINNING else text == value.text


def is_digest(value: Value, digest: str) -> bool:
    """Tell whether a value is a digest, or the beginning of it."""
    return digest.removeprefix("sha256:").startswith(value.text.removeprefix("sha256:"))


def _states(of: Image | Repository) -> set[str]:
    repository = of if isinstance(of, Repository) else of.repository
    states = {"public" if repository.public else "private"}
    states |= {"official"} if repository.official else set()
    states |= {"deprecated"} if repository.deprecated else set()
    return states | ({"latest"} if isinstance(of, Image) and "latest" in of.tags else set())


def _number(name: str, of: Image | Repository) -> int:
    if isinstance(of, Repository):
        return {"pushed": of.pushed, "pulled": of.pulled, "created": FIRST}[name]
    content = of.content
    numbers = {"size": content.size, "layers": len(content.layers), "pushed": of.pushed, "created": content.created}
    return numbers[name]


def in_spans(node: Field, number: int, now: int) -> bool:
    """Comparisons hold together; one of all others has to."""
    if not number:
        return False
    together = [_in_span(value, number, now) for value in node.values if value.operator not in ("", "=")]
    apart = [_in_span(value, number, now) for value in node.values if value.operator in ("", "=")]
    return bool(together and all(together)) or any(apart)


def _in_span(value: Value, number: int, now: int) -> bool:
    if ".." in value.text:
        left, _, right = value.text.partition("..")
        return (not left or number >= _bounds(left, now)[0]) and (not right or number <= _bounds(right, now)[1])
    first, last = _bounds(value.text, now)
    if value.text.startswith("-") and not value.operator:
        return number >= first
    return {
        "": first <= number <= last,
        "=": first <= number <= last,
        "!=": not first <= number <= last,
        "<": number < first,
        "<=": number <= last,
        ">": number > last,
        ">=": number >= first,
    }[value.operator]


def _bounds(text: str, now: int) -> tuple[int, int]:
    if ago := re.fullmatch(r"-([0-9]+)d", text):
        return now - int(ago[1]) * DAY, now - int(ago[1]) * DAY
    if day := re.fullmatch(r"2026-01-([0-9]{2})", text):
        first = FIRST + (int(day[1]) - 1) * DAY
        return first, first + DAY - 1
    return int(text), int(text)


def _has_word(word: Word, of: Image | Repository, completing: bool) -> bool:
    repository = of if isinstance(of, Repository) else of.repository
    pieces = set(re.split(r"[/-]", repository.name)) | set(repository.name.split("/"))
    begun = {*pieces, repository.name, repository.short}
    said = repository.description.lower().split()
    if isinstance(of, Image):
        said = [each for _, value in of.content.labels for each in value.split()]
    beginning = any(each.startswith(word.text) for each in begun) and len(word.text) > 1
    if word.form is Form.BEGINNING:
        return beginning
    has = all(piece in (*pieces, *said) for piece in word.text.split("-"))
    return has or (completing and beginning)


def counts(values: list[list[str]]) -> Counter[str]:
    """Count in how many of the lists each value stands."""
    return Counter(value for each in values for value in set(each))
