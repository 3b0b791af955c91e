"""From the tree of a query to the conditions that an engine is asked.

What an engine cannot know is looked up here: which versions a comparison means, which layers hold a file, which images
a base names. All of that are candidates: whatever is found is narrowed to what the caller may read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from catalog.search import analysis
from catalog.search.access import terms
from catalog.search.conditions import (
    All,
    Between,
    Condition,
    Every,
    Nothing,
    Pattern,
    Prefix,
    Some,
    Term,
    Terms,
    Without,
    Words,
)
from catalog.search.documents import PackageDocument, ShownImage
from catalog.search.engine import SearchEngine, SearchRequest
from catalog.search.errors import TooBroad
from catalog.search.files import FILE_FIELDS, AskedFiles, Files
from catalog.search.hits import shown_images
from catalog.search.language import FIELDS, And, Field, Form, Node, Not, Or, Takes, Value, tree
from catalog.search.language.check import bare_digest, bare_repository
from catalog.search.language.packages import AskedPackage, read_packages, read_purl
from catalog.search.language.values import BadValue, Span, read_spans
from catalog.search.patterns import check
from catalog.search.versions import within

#: Images that the name of a base may mean, and packages that differ in capitals.
MOST_BASES = 500
_MOST_NAMES = 100

#: In which fields free words are looked for, and what a hit there counts.
WORD_FIELDS = (("words", 3.0), ("text", 1.0))

_KEYWORDS = {
    "tag": "tag",
    "org": "namespace",
    "env": "env",
    "user": "user",
    "license": "license",
    "distro": "distro",
    "os": "os",
    "port": "port",
}
_FOLDED = frozenset(("license", "distro", "os", "port", "org"))
_PAIRS = {"label": ("label", "label_key"), "anno": ("annotation", "annotation_key")}
_NUMBERS = {name: name for name in ("size", "layers", "pushed", "created", "pulled")}
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "i386": "386",
    "i686": "386",
}
_SIGN = re.compile(r"[\\.+*?()|\[\]{}^$&~#-]")


@dataclass(slots=True)
class Asked:
    """What was asked for and not denied: what image hits name as the reason why they are found. *keywords* are
    conditions on one field each."""

    keywords: list[tuple[str, Condition]] = field(default_factory=list)
    files: list[AskedFiles] = field(default_factory=list)
    deleted: str = ""


class Compiler:
    """Compiles the parts of one query, for one caller.

    *readable* is what the caller may read; *deleted* what the query says of files and packages that are hidden;
    *completing* is the last word, where it is still being typed: it may be the beginning of one.
    """

    def __init__(
        self,
        engine: SearchEngine,
        files: Files,
        readable: Condition,
        *,
        default_namespace: str,
        now: int,
        deleted: str = "",
        completing: tree.Term | None = None,
    ) -> None:
        self._engine = engine
        self._files = files
        self._readable = readable
        self._default_namespace = default_namespace
        self._now = now
        self._deleted = deleted
        self._completing = completing
        self.asked = Asked(deleted=deleted)

    async def condition(self, node: Node, *, denied: bool = False) -> Condition:
        """Return the condition that a document of a repository or an image is what *node* asks for."""
        match node:
            case tree.Term():
                return await self._term(node, denied)
            case Field():
                return await self._field(node, denied)
            case Not(inner):
                return Without(await self.condition(inner, denied=not denied))
            case And(nodes):
                return Every(tuple([await self.condition(each, denied=denied) for each in nodes])) if nodes else All()
            case Or(nodes):
                return Some(tuple([await self.condition(each, denied=denied) for each in nodes]))

    # Free words

    async def _term(self, term: tree.Term, denied: bool) -> Condition:
        if term.text.startswith("pkg:"):
            try:
                asked = read_purl(Value(term.text))
            except BadValue:
                pass
            else:
                return await self._packages([asked], denied)
        if term.text.startswith("sha512:") and len(term.text) == 135:
            return Some((Term("digest", term.text.lower()), Term("layer", term.text.lower())))
        return self.words(term)

    def words(self, term: tree.Term) -> Condition:
        """Return the condition that a document has the words of *term*, or the name that it begins."""
        if term.form is Form.BEGINNING:
            return beginning(term.text)
        words = analysis.words(term.text)
        if not words:
            return All()
        whole = Words(tuple(words), WORD_FIELDS)
        if term is self._completing:
            begun = beginning(term.text)
            return whole if begun == Nothing() else Some((whole, begun))
        return whole

    # Fields

    async def _field(self, asked: Field, denied: bool) -> Condition:
        takes = FIELDS[asked.name].takes
        if takes is Takes.DIRECTIVE:
            return All()
        if asked.name in FILE_FIELDS:
            return await self._file(asked, denied)
        if takes in (Takes.PACKAGE, Takes.SOURCE):
            packages = read_packages(asked.values)
            return self._sources(packages) if takes is Takes.SOURCE else await self._packages(packages, denied)
        if takes is Takes.PURL:
            return await self._packages([read_purl(value) for value in asked.values], denied)
        if asked.name in _NUMBERS:
            return self._number(asked)
        if asked.name == "base":
            return Some(tuple(await self.bases([value.text for value in asked.values])))
        found = Some(tuple([self._value(asked, value) for value in asked.values]))
        name = {"label": "label", "anno": "annotation", "layer": "layer"}.get(asked.name)
        if name is not None and not denied:
            self.asked.keywords.append((name, found))
        return found

    def _value(self, asked: Field, value: Value) -> Condition:
        """Compile one value of a field that needs no looking up."""
        match FIELDS[asked.name].takes:
            case Takes.CHOICE:
                text = value.text.lower()
                if text in ("public", "private"):
                    return Term("public", "yes" if text == "public" else "no")
                return Term("is", text)
            case Takes.DIGEST:
                return digest(asked.name, value.text)
            case Takes.PAIR:
                return self._pair(*_PAIRS[asked.name], asked.key, value)
            case Takes.PLATFORM:
                return self._platform(value)
            case Takes.WORDS:
                words = analysis.words(value.text)
                return Words(tuple(words), (("command", 1.0),)) if words else All()
        if asked.name == "repo":
            return self._repository(value)
        return keyword(_KEYWORDS[asked.name], value, fold=asked.name in _FOLDED)

    def _repository(self, value: Value) -> Condition:
        default = self._default_namespace
        if value.form is Form.PATTERN:
            pattern = check(value.text, fold=True).pattern
            shortened = f"{_SIGN.sub(lambda sign: chr(92) + sign.group(), default)}/({pattern})"
            return Some((Pattern("repository", pattern), Pattern("repository", shortened)))
        name = analysis.name_value(bare_repository(value.text)) if value.form is Form.WHOLE else value.text.lower()
        names = [name] if "/" in name else [f"{default}/{name}"]
        if value.form is Form.WHOLE:
            return Term("repository", names[0])
        return Some(tuple(Prefix("repository", each) for each in dict.fromkeys((name, *names))))

    def _pair(self, pairs: str, keys: str, key: str | None, value: Value) -> Condition:
        if key is None:
            name = pairs if "=" in value.text else keys
            return keyword(name, value, fold=False)
        if value.form is Form.WHOLE:
            return Term(pairs, analysis.pair_value(key, value.text))
        if value.form is Form.BEGINNING:
            return Prefix(pairs, f"{key}={value.text}")
        literal = "".join(check(f"\\{sign}" if not sign.isalnum() else sign).pattern for sign in f"{key}=")
        return Pattern(pairs, f"{literal}({check(value.text).pattern})")

    def _platform(self, value: Value) -> Condition:
        text = value.text.lower()
        if value.form is not Form.WHOLE:
            return keyword("arch", value, fold=True)
        architecture, slash, _ = text.partition("/")
        if not slash:
            return Term("arch", _ARCHITECTURES.get(text, text))
        platforms = [text]
        if architecture not in ("linux", "windows", "darwin", "freebsd"):
            platforms = [f"{system}/{text}" for system in ("linux", "windows", "darwin", "freebsd")]
        return Some(
            (Terms("platform", tuple(platforms)), *(Prefix("platform", f"{platform}/") for platform in platforms))
        )

    def _number(self, asked: Field) -> Condition:
        name = _NUMBERS[asked.name]
        spans = read_spans(FIELDS[asked.name].takes, asked.values, self._now)
        alternatives: list[Condition] = [between(name, span) for span in spans.apart]
        if spans.together:
            alternatives.append(Every(tuple(between(name, span) for span in spans.together)))
        return Some(tuple(alternatives))

    # What is looked up

    async def _file(self, asked: Field, denied: bool) -> Condition:
        found = await self._files.of_field(asked)
        condition = await self._files.condition(found, self._deleted)
        if not denied:
            self.asked.files.append(found)
        if asked.name == "sha256" and not self._deleted:
            digests = tuple(f"sha256:{bare_digest(value.text)}" for value in asked.values)
            layers = Terms("layer", digests)
            if not denied:
                self.asked.keywords.append(("layer", layers))
            return Some((Terms("digest", digests), layers, condition))
        return condition

    async def _packages(self, packages: Sequence[AskedPackage], denied: bool) -> Condition:
        fields = {"yes": ("removed",), "include": ("package", "removed")}.get(self._deleted, ("package",))
        found: list[Condition] = []
        for name in fields:
            condition = Some(tuple([await self._package(name, package) for package in packages]))
            if not denied:
                self.asked.keywords.append((name, condition))
            found.append(condition)
        return Some(tuple(found))

    async def _package(self, name: str, asked: AskedPackage) -> Condition:
        if not asked.comparisons:
            return package_condition(name, asked)
        wanted = terms("package", (analysis.package_value(each, asked.name) for each in asked.ecosystems))
        request = SearchRequest(Every((Term("kind", "package"), wanted)), most=_MOST_NAMES)
        values: list[str] = []
        for hit in (await self._engine.search(request)).hits:
            document = hit.document
            assert isinstance(document, PackageDocument), "only these are of that kind"
            values += (
                analysis.package_value(document.ecosystem, document.name, version)
                for version in document.versions
                if within(document.ecosystem, version, asked.comparisons)
            )
        return terms(analysis.package_field(name), values)

    def _sources(self, packages: Sequence[AskedPackage]) -> Condition:
        return Some(tuple(package_condition("source", asked) for asked in packages))

    async def bases(self, texts: Sequence[str]) -> list[Condition]:
        """Return for each of *texts* the condition of images whose layers stand on those of the images that it names,
        or, being the same, whose history goes on from theirs; or that say that they are built on these: by *text*
        itself, or by the digest of one of them or of its index.

        Raises:
            TooBroad: they name too many images.
        """
        names = [ImageName.read(text, self._default_namespace) for text in texts]
        named = Some(tuple(name.condition for name in names))
        request = SearchRequest(Every((Term("kind", "image"), self._readable, named)), most=MOST_BASES)
        found = await self._engine.search(request)
        if found.total > MOST_BASES:
            raise TooBroad(f"base:{texts[0]}", f"more than {MOST_BASES} images are meant; name a tag or a digest")
        documents = shown_images(found.hits)
        return [
            _built_on([document for document in documents if name.means(document)], declared_names(text))
            for text, name in zip(texts, names, strict=True)
        ]


def _built_on(bases: Sequence[ShownImage], said: Sequence[str]) -> Condition:
    declared = terms("base", (*said, *(digest for each in bases for digest in (each.digest, *each.parents))))
    tops = [top for document in bases for top in document.chains[-1:] + document.histories[-1:]]
    if not tops:
        return declared
    others = Without(terms("digest", (document.digest for document in bases)))
    return Some((declared, Every((terms("chain", tops), others))))


def beginning(text: str) -> Condition:
    """Return the condition that a name, or a segment of one, begins with *text*."""
    value = analysis.name_value(text)
    if not value:
        return Nothing()
    if len(value) <= analysis.MOST_GRAM and (begun := analysis.gram(text)):
        return Term("grams", begun)
    return Some((Prefix("name", value), Prefix("last", value)))


def keyword(name: str, value: Value, *, fold: bool) -> Condition:
    """Compile a value of a field that is compared as it stands, or (*fold*) without capitals."""
    text = value.text.lower() if fold else value.text
    match value.form:
        case Form.WHOLE:
            return Term(name, analysis.keyword(text))
        case Form.BEGINNING:
            return Prefix(name, text)
        case Form.PATTERN:
            return Pattern(name, check(value.text, fold=fold).pattern)


def digest(name: str, text: str) -> Term | Prefix:
    """Compile a digest, or the beginning of one: its algorithm may be left out."""
    algorithm, colon, digits = text.lower().rpartition(":")
    if not colon:
        algorithm = "sha512" if len(digits) > 64 else "sha256"
    whole = f"{algorithm}:{digits}"
    return Term(name, whole) if len(digits) == {"sha256": 64, "sha512": 128}[algorithm] else Prefix(name, whole)


def between(name: str, span: Span) -> Condition:
    """Compile a span of numbers; what has no such number is not in it, and not outside of it."""
    if span.inside:
        return Between(name, span.least, span.most)
    return Every((Between(name, 0, None), Without(Between(name, span.least, span.most))))


def package_condition(name: str, asked: AskedPackage) -> Condition:
    """Compile a package that is asked for without comparisons, for `package`, `removed` or `source`."""
    match asked.form:
        case Form.WHOLE:
            version = asked.version or None
            wanted = (analysis.package_value(each, asked.name, version) for each in asked.ecosystems)
            return terms(analysis.package_field(name) if version else name, wanted)
        case Form.BEGINNING:
            return Some(tuple(Prefix(name, f"{each}/{asked.name}") for each in asked.ecosystems))
        case Form.PATTERN:
            return Pattern(name, check(f"{asked.ecosystem}/{asked.name}", fold=True).pattern)


@dataclass(frozen=True, slots=True)
class ImageName:
    """What ``NAME[:TAG][@DIGEST]``, or a digest alone, names; what is empty was not said."""

    repository: str = ""
    tag: str = ""
    digest: str = ""

    @classmethod
    def read(cls, text: str, default_namespace: str) -> ImageName:
        """Read a name; whatever it is, it names something, if nothing that there is."""
        if re.fullmatch(r"sha(?:256|512):[0-9a-f]+", text):
            return cls(digest=text)
        name, _, pinned = text.partition("@")
        name, _, tag = bare_repository(name).partition(":")
        name = analysis.name_value(name)
        repository = name if "/" in name else f"{default_namespace}/{name}"
        return cls(repository, "" if pinned else tag, pinned.lower())

    @property
    def condition(self) -> Condition:
        """The condition of images that it names."""
        said = (("repository", self.repository), ("tag", self.tag), ("digest", self.digest))
        return Every(tuple(Term(name, analysis.keyword(value)) for name, value in said if value))

    def means(self, image: ShownImage) -> bool:
        """Tell whether it names *image*."""
        return (
            self.repository in ("", image.repository)
            and (not self.tag or self.tag in image.tags)
            and (not self.digest or self.digest in (image.digest, *image.parents))
        )


def declared_name(name: str) -> str:
    """Return what `base` has for images that say that they are built on *name*, which has no registry before it."""
    return analysis.keyword(name.lower())


def declared_names(text: str) -> tuple[str, ...]:
    """Return what `base` has for images that say that they are built on *text*."""
    whole = text.lower()
    shorter = bare_repository(whole)
    return tuple(dict.fromkeys((whole, shorter, shorter.removeprefix("library/"))))
