"""Hits that are no images: packages and layers; `catalog.search.file_hits` has files.

What is indexed of them is shared by all images, whoever owns these. So they are candidates: each is counted over the
images that the caller may read and that the rest of the query holds for, and one that none of these has is no hit. Nor
does it count where there are too many: limits are over those that are kept. Where the candidates of others are so many
that they would fill the pages, those are asked for that the caller's images have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from catalog.browse.answers import LayerHit, PackageHit
from catalog.search import analysis
from catalog.search.access import terms
from catalog.search.compile import Compiler, between, digest, package_condition
from catalog.search.conditions import Condition, Every, Prefix, Some, Term, Terms, Without
from catalog.search.documents import ImageDocument, LayerDocument, PackageDocument
from catalog.search.engine import FacetRequest, Found, SearchRequest, Sort
from catalog.search.errors import QueryError
from catalog.search.files import FILE_FIELDS
from catalog.search.language import FIELDS, And, Field, Form, Node, Not, Or, Takes, tree
from catalog.search.language.check import bare_digest, fields_of
from catalog.search.language.packages import AskedPackage, read_packages, read_purl
from catalog.search.language.values import BadValue, read_spans
from catalog.search.question import Question
from catalog.search.versions import newest_first
from catalog.search.view import View, every

#: Packages and layers that are found by one search.
MOST_CANDIDATES = 2_000
#: Packages and layers that images may have, where these are asked for by what images have.
_MOST_HELD = 20_000
#: Images whose packages are put together where these are only to be counted, and nothing narrows them by name.
_SOME_IMAGES = 10
#: Versions of a package that a hit tells.
MOST_VERSIONS = 50

#: Fields of the language that documents of layers have.
_LAYER_FIELDS = frozenset(("layer", "size")) | FILE_FIELDS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """Candidates in their order, each with the number of images *within* that have it, one at least. *more*: there are
    others, or may be, that images *within* have."""

    rows: list[tuple[T, int]]
    more: bool
    within: Condition


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of candidates: documents of the type *made*, which images name in the field *field* by *name*; *counted*
    are the fields of images that are counted."""

    made: type[T]
    field: str
    name: Callable[[T], str]
    counted: tuple[str, ...]


def packages_in(*fields: str) -> Kind[PackageDocument]:
    """Return the kind of packages that images have in one of *fields*."""
    return Kind(PackageDocument, "package", lambda each: analysis.package_value(each.ecosystem, each.name), fields)


_LAYERS = Kind(LayerDocument, "layer", lambda layer: layer.diff_id, ("layer",))


async def kept(
    view: View, kind: Kind[T], request: SearchRequest, within: Condition, most: int, *, by_images: bool = False
) -> tuple[list[tuple[T, int]], bool]:
    """Return, in the order of *request*, the first *most* of its documents that images *within* have, each with the
    number of these; and whether there are others. *by_images*: those that most images have, as far as documents are
    looked at."""

    def cut(rows: list[tuple[T, int]], more: bool) -> tuple[list[tuple[T, int]], bool]:
        if by_images:
            rows.sort(key=lambda row: -row[1])
        return rows[:most], more or len(rows) > most

    rows: list[tuple[T, int]] = []
    start = 0
    for stop in (most + 1, most + 1 + MOST_CANDIDATES):
        found = await view.engine.search(replace(request, offset=start, most=stop - start))
        rows += await _counted(view, kind, found, within)
        if found.total <= stop or (len(rows) > most and not by_images):
            return cut(rows, found.total > stop)
        start = stop
    if len(rows) > most:
        return cut(rows, True)
    values, more = await _most_frequent(view, kind.counted, within, _MOST_HELD)
    narrowed = Every((request.condition, terms(kind.field, values)))
    found = await view.engine.search(replace(request, condition=narrowed, most=most + 1))
    rows = await _counted(view, kind, found, within)
    return cut(rows, more or found.total > len(found.hits))


async def _counted(view: View, kind: Kind[T], found: Found, within: Condition) -> list[tuple[T, int]]:
    documents = [hit.document for hit in found.hits if isinstance(hit.document, kind.made)]
    counts = await _count(view, kind.counted, [kind.name(document) for document in documents], within)
    return [(document, count) for document, count in zip(documents, counts, strict=True) if count]


# Packages


async def packages(view: View, question: Question, most: int = MOST_CANDIDATES) -> Counted[PackageDocument]:
    """Find packages: by free words and by `package:` among their names, by all else among images."""
    compiler = view.compiler(question)
    selecting = [condition for node in question.nodes if (condition := _selecting(compiler, node)) is not None]
    within = view.images(*[await compiler.condition(node) for node in question.nodes if not _names_only(node)])
    if selecting:
        names = [analysis.name_value(term.text) for term in question.terms() if term.form is Form.WHOLE]
        exact = Terms("name", tuple(names)) if names else None
        request, cut = SearchRequest(every("package", *selecting), exact), False
    else:
        values, cut = await _most_frequent(view, _package_fields(question), within, most * 2)
        request = SearchRequest(every("package", terms("package", values)))
    by_images = question.sort == "images" or not selecting
    kind = packages_in(*_package_fields(question))
    rows, more = await kept(view, kind, request, within, most, by_images=by_images)
    if question.sort == "name":
        rows.sort(key=lambda row: (row[0].name, row[0].ecosystem))
    elif by_images:
        rows.sort(key=lambda row: (-row[1], row[0].name, row[0].ecosystem))
    return Counted(rows, more or cut, within)


async def count_packages(view: View, question: Question, most: int) -> tuple[int, bool]:
    """Tell how many packages would be found, up to *most*, and whether there may be more.

    What is asked of images alone they all may have: thousands of packages in thousands of images, which costs more to
    count than all the rest of an answer. Then the packages of some of them are counted.
    """
    compiler = view.compiler(question)
    if any(_selecting(compiler, node) is not None for node in question.nodes):
        counted = await packages(view, question, most)
        return len(counted.rows), counted.more
    within = view.images(*[await compiler.condition(node) for node in question.nodes])
    found = await view.engine.search(SearchRequest(within, sort=Sort("pushed"), most=_SOME_IMAGES))
    fields = _package_fields(question)
    names = {
        analysis.keyword(name.lower())
        for hit in found.hits
        if isinstance(hit.document, ImageDocument)
        for field, held in (("package", hit.document.packages), ("removed", hit.document.removed))
        if field in fields
        for name, _ in held
        if name
    }
    return min(len(names), most), len(names) > most or found.total > len(found.hits)


async def package_hits(
    view: View, question: Question, rows: Sequence[tuple[PackageDocument, int]], within: Condition
) -> list[PackageHit]:
    """Return what is shown of some of the packages found: with the versions that the images have."""
    pairs = [(document, version) for document, _ in rows for version in document.versions]
    values = [analysis.package_value(document.ecosystem, document.name, version) for document, version in pairs]
    fields = tuple(map(analysis.package_field, _package_fields(question)))
    counts = await _count(view, fields, values, within)
    versions: dict[int, list[str]] = {}
    for (document, version), count in zip(pairs, counts, strict=True):
        if count:
            versions.setdefault(id(document), []).append(version)
    return [
        PackageHit(
            document.ecosystem,
            document.name,
            count,
            newest_first(document.ecosystem, versions.get(id(document), ()))[:MOST_VERSIONS],
        )
        for document, count in rows
    ]


def names_packages(question: Question) -> bool:
    """Tell whether anything says which packages are asked for; else they are all those of some images."""
    return any(
        _has_words(node) or any(FIELDS[field.name].takes in (Takes.PACKAGE, Takes.PURL) for field in fields_of(node))
        for node in question.nodes
    )


def _selecting(compiler: Compiler, node: Node) -> Condition | None:
    """Return what *node* says of the name of a package, None where it says nothing of it."""
    asked: list[AskedPackage] = []
    if isinstance(node, tree.Term):
        if not node.text.startswith("pkg:"):
            return compiler.words(node)
        try:
            asked = [read_purl(tree.Value(node.text))]
        except BadValue:
            return compiler.words(node)
    elif isinstance(node, Field) and FIELDS[node.name].takes is Takes.PACKAGE:
        asked = read_packages(node.values)
    elif isinstance(node, Field) and FIELDS[node.name].takes is Takes.PURL:
        asked = [read_purl(value) for value in node.values]
    elif isinstance(node, Or):
        alternatives = [_selecting(compiler, each) for each in node.nodes]
        narrowing = tuple(each for each in alternatives if each is not None)
        return Some(narrowing) if len(narrowing) == len(alternatives) else None
    if not asked:
        return None
    return Some(tuple(package_condition("package", replace(each, version="", comparisons=())) for each in asked))


def _names_only(node: Node) -> bool:
    """Tell whether *node* is about names of packages alone: free words, and alternatives among which there are some."""
    if isinstance(node, Or):
        return any(map(_names_only, node.nodes)) and all(
            _names_only(each) or (isinstance(each, Field) and FIELDS[each.name].takes in (Takes.PACKAGE, Takes.PURL))
            for each in node.nodes
        )
    return isinstance(node, tree.Term)


def _package_fields(question: Question) -> tuple[str, ...]:
    return {"yes": ("removed",), "include": ("package", "removed")}.get(question.deleted, ("package",))


async def _count(view: View, fields: Sequence[str], values: Sequence[str], within: Condition) -> list[int]:
    """Tell how many images *within* have each of *values* in one of *fields*."""
    if len(fields) == 1:
        return await view.engine.counts(fields[0], values, within) if values else []
    either = [Every((within, Some(tuple(Term(field, value) for field in fields)))) for value in values]
    return await view.engine.count(either) if either else []


# Layers


async def layers(view: View, question: Question, text: str) -> Counted[LayerDocument]:
    """Find layers: by `layer:`, `size:` and the files that they hold among layers, by all else among images.

    Raises:
        QueryError: a group or a list of alternatives asks for both.
    """
    compiler = view.compiler(question)
    of_layers: list[Condition] = []
    of_images: list[Condition] = []
    for node in question.nodes:
        names = [field.name in _LAYER_FIELDS for field in fields_of(node)]
        if names and all(names) and not _has_words(node):
            of_layers.append(await _of_layer(view, node))
        elif any(names):
            field = next(field for field in fields_of(node) if field.name in _LAYER_FIELDS)
            message = f"{field.name}: is asked of layers here, and cannot stand in one group with what images have."
            raise QueryError(text, field.start, field.stop, message)
        else:
            of_images.append(await compiler.condition(node))
    within = view.images(*of_images)
    cut = False
    if not of_layers:
        values, cut = await _most_frequent(view, ("layer",), within, MOST_CANDIDATES * 2)
        of_layers = [terms("layer", values)]
    sort = Sort("size", descending=question.sort != "size-asc")
    request = SearchRequest(every("layer", *of_layers), sort=sort)
    by_images = question.sort == "images"
    rows, more = await kept(view, _LAYERS, request, within, MOST_CANDIDATES, by_images=by_images)
    if by_images:
        rows.sort(key=lambda row: (-row[1], row[0].diff_id))
    return Counted(rows, more or cut, within)


async def layer_hits(view: View, rows: Sequence[tuple[LayerDocument, int]]) -> list[LayerHit]:
    """Return what is shown of some of the layers found; of the blobs that hold one, the smallest that the caller may
    see in an image is named."""
    seen = await blobs_seen(view, [document for document, _ in rows])
    hits: list[LayerHit] = []
    for (document, images), blobs in zip(rows, seen, strict=True):
        size, digest = min(((size, digest) for digest, size in blobs.items()), default=(0, ""))
        hits.append(LayerHit(document.diff_id, digest, size, document.raw_size, document.entries, images))
    return hits


async def blobs_seen(view: View, layers: Sequence[LayerDocument]) -> list[dict[str, int]]:
    """Return of the blobs of each of *layers* those that stand in images that the caller may read."""
    digests = list(dict.fromkeys(digest for layer in layers for digest in layer.blobs))
    counts = await _count(view, ("layer",), digests, view.images())
    seen = {digest for digest, count in zip(digests, counts, strict=True) if count}
    return [{digest: size for digest, size in layer.blobs.items() if digest in seen} for layer in layers]


def _has_words(node: Node) -> bool:
    match node:
        case Field():
            return False
        case Not(inner):
            return _has_words(inner)
        case And(nodes) | Or(nodes):
            return any(map(_has_words, nodes))
        case _:
            return True


async def _of_layer(view: View, node: Node) -> Condition:
    """Compile a node whose fields are all of layers."""
    match node:
        case Not(inner):
            return Without(await _of_layer(view, inner))
        case And(nodes):
            return Every(tuple([await _of_layer(view, each) for each in nodes]))
        case Or(nodes):
            return Some(tuple([await _of_layer(view, each) for each in nodes]))
        case tree.Term():
            raise AssertionError("nodes with words are asked of images")
    if node.name == "layer":
        return await _named(view, [digest("layer", value.text) for value in node.values])
    if node.name == "size":
        spans = read_spans(Takes.SIZE, node.values, view.now)
        alternatives: list[Condition] = [between("size", span) for span in spans.apart]
        if spans.together:
            alternatives.append(Every(tuple(between("size", span) for span in spans.together)))
        return Some(tuple(alternatives))
    holding = terms("layer", (file.diff_id.text for file in (await view.files.of_field(node)).files))
    if node.name == "sha256":
        named = await _named(view, [Term("layer", f"sha256:{bare_digest(value.text)}") for value in node.values])
        return Some((holding, named))
    return holding


async def _named(view: View, asked: Sequence[Term | Prefix]) -> Condition:
    """Return the condition of layers whose diff_id, or the digest of one of whose blobs, is *asked* for: such blobs as
    stand in images that the caller may read. A layer that is seen may have blobs besides that are not."""
    request = SearchRequest(every("layer", Some(tuple(asked))), most=MOST_CANDIDATES)
    found = await view.engine.search(request)
    names: list[tuple[str, str]] = []
    for hit in found.hits:
        if isinstance(hit.document, LayerDocument):
            layer = hit.document.diff_id
            names += [(layer, name) for name in (layer, *hit.document.blobs) if any(_is(each, name) for each in asked)]
    counts = await _count(view, ("layer",), [name for _, name in names], view.images())
    return terms("layer", (layer for (layer, _), images in zip(names, counts, strict=True) if images))


def _is(asked: Term | Prefix, name: str) -> bool:
    return name == asked.value if isinstance(asked, Term) else name.startswith(asked.value)


async def _most_frequent(view: View, fields: Sequence[str], within: Condition, most: int) -> tuple[list[str], bool]:
    """Return the *most* values of each of *fields* that most images have, and whether there may be others."""
    counted = await view.engine.facets([FacetRequest(field, within, most) for field in fields])
    values = dict.fromkeys(each.value for facet in counted for each in facet)
    return list(values), any(len(facet) >= most for facet in counted)
