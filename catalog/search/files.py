"""Conditions on files, answered exactly for each image.

The layer index knows which layers hold a file; an image knows its layers, which of their files do not stand in its
merged tree where their layers have them (`hidden`, a token for each), and where those stand that symbolic links or hard
links put elsewhere (`placed`; few images have any). So an image has a file where it has a layer with it and does not
hide it there, or where it was placed.

What others hold in private decides nothing. Files of layers that no image of the caller's has do not count where there
are too many; they are looked past, page by page. That has an end, `MOST_LOOKED_AT`, for the sake of everybody else: it
is answered as too many of the caller's own files are. What remains to be learned from others' content is that there are
a hundred thousand files of one beginning or more; and the time that looking past some takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cas.digest import Digest
from cas.entries import FILE, SYMLINK, Entry
from cas.layer_index.patterns import Pattern as Expression
from cas.layer_index.protocol import By, FileQuery, FoundFile, FoundFiles, LayerIndex
from catalog.search import analysis
from catalog.search.access import terms
from catalog.search.conditions import Condition, Every, Pattern, Prefix, Some, Term, Terms, Without
from catalog.search.documents import Placed, file_token
from catalog.search.engine import SearchEngine
from catalog.search.errors import TooBroad
from catalog.search.language import FIELDS, Field, Form, Takes, Value
from catalog.search.language.check import bare_digest, bare_path
from catalog.search.patterns import check

#: Files (each layer's counts) that one condition finds.
MOST_FILES = 5_000
#: Files that all conditions of a search look at for that, of whoever's layers.
MOST_LOOKED_AT = 100_000
#: Layers whose matching files are all hidden in one image or another, and files that are hidden and moved: each is a
#: condition of its own.
MOST_PARTLY_HIDDEN = 500
#: Steps that comparing placed files with one pattern may take.
_WORK = 200_000

#: Fields that files are asked for by.
FILE_FIELDS = frozenset(
    name for name, qualifier in FIELDS.items() if qualifier.takes in (Takes.FILE, Takes.PATH, Takes.FILE_DIGEST)
)


def file_query(name: str, value: Value) -> FileQuery:
    """Return what the layer index is asked for by one value of the field *name*."""
    if name == "sha256":
        return FileQuery(By.SHA256, bare_digest(value.text))
    by, text = By.NAME, value.text
    if name == "path":
        by, text = By.PATH, bare_path(text.removeprefix("^") if value.form is Form.PATTERN else text)
    if value.form is Form.PATTERN:
        checked = check(text)
        return FileQuery(by, checked.prefix, pattern=checked.pattern)
    return FileQuery(by, text, prefix=value.form is Form.BEGINNING)


@dataclass(frozen=True, slots=True)
class AskedFiles:
    """Files that any of *queries* asks for: the *files* of layers that they find, which stand where their layers have
    them unless an image says otherwise. *more*: there are others, or may be."""

    queries: tuple[FileQuery, ...]
    files: list[FoundFile]
    more: bool = False

    def placed(self, deleted: str) -> Condition:
        """Return the condition that an image has such a file elsewhere than its layer has it: in its merged tree; or
        (*deleted* ``yes``) gone from there; or (``include``) either."""
        found: list[Condition] = []
        for query in self.queries:
            if query.by is By.SHA256:
                continue
            field = "placed_path" if query.by is By.PATH else "placed_name"
            for text in analysis.placed_values(query.text, deleted):
                if query.pattern is not None:
                    found.append(Pattern(field, f"{text[0]}({query.pattern})"))
                else:
                    found.append(Prefix(field, text) if query.prefix else Term(field, analysis.keyword(text)))
        if self._by_digest:
            tokens = (file_token(file.diff_id.text, file.path) for file in self.files)
            found.append(
                terms("placed_source", (each for token in tokens for each in analysis.placed_values(token, deleted)))
            )
        return Some(tuple(found))

    @property
    def _by_digest(self) -> bool:
        return any(query.by is By.SHA256 for query in self.queries)

    def asks_for(self) -> Callable[[Placed], bool]:
        """Return what tells of a placed file whether it is asked for; it raises `TooMuchWork` where that costs more
        than it may."""
        sources = {(file.diff_id.text, file.path) for file in self.files} if self._by_digest else set()
        tests = [_test(query, sources) for query in self.queries]
        return lambda placed: any(test(placed) for test in tests)


def _test(query: FileQuery, sources: set[tuple[str, str]]) -> Callable[[Placed], bool]:
    if query.by is By.SHA256:
        return lambda placed: (placed.diff_id, placed.source) in sources

    def value(placed: Placed) -> str:
        return placed.path if query.by is By.PATH else placed.path.rpartition("/")[2]

    if query.pattern is not None:
        pattern = Expression(query.pattern, _WORK)
        return lambda placed: pattern.matches(value(placed))
    if query.prefix:
        return lambda placed: value(placed).startswith(query.text)
    return lambda placed: value(placed) == query.text


class Files:
    """Files that are asked for in one search, by somebody who may read the images of *readable*."""

    def __init__(self, engine: SearchEngine, layer_index: LayerIndex, readable: Condition) -> None:
        self._engine = engine
        self._layer_index = layer_index
        self._images = Every((Term("kind", "image"), readable))
        self._found: dict[FileQuery, FoundFiles] = {}
        self._looked_at = 0
        self._conditions: dict[tuple[tuple[FileQuery, ...], str], Condition] = {}

    async def of_field(self, field: Field) -> AskedFiles:
        """Find the files of any of a field's values.

        Raises:
            TooBroad: there are more than `MOST_FILES`, or they stand among too many of others.
        """
        queries = tuple(file_query(field.name, value) for value in field.values)
        asked = await self.of_queries(queries)
        if asked.more:
            texts = ",".join(value.text for value in field.values)
            raise TooBroad(f"{field.name}:{texts}", "too many files match; give more of the path or name")
        return asked

    async def of_queries(self, queries: Sequence[FileQuery]) -> AskedFiles:
        """Find the files of any of *queries*, up to `MOST_FILES` of each; none of those after one that has more."""
        found: dict[tuple[str, str], FoundFile] = {}
        more = False
        for query in queries:
            if query not in self._found:
                self._found[query] = await self._find(query)
            answer = self._found[query]
            found.update(((file.diff_id.text, file.path), file) for file in answer.files)
            if more := answer.more:
                break
        return AskedFiles(tuple(queries), list(found.values()), more)

    async def _find(self, query: FileQuery) -> FoundFiles:
        """Find up to `MOST_FILES` files; where there are more, of the caller's layers alone."""
        if self._looked_at >= MOST_LOOKED_AT:
            return FoundFiles([], True)
        found = await self._layer_index.find_files(query, MOST_FILES)
        self._looked_at += len(found.files)
        if not found.more:
            return found
        kept = await self._seen(found.files)
        while found.next and len(kept) <= MOST_FILES and self._looked_at < MOST_LOOKED_AT:
            found = await self._layer_index.find_files(query, MOST_FILES, found.next)
            kept += await self._seen(found.files)
            self._looked_at += len(found.files)
        return FoundFiles(kept[:MOST_FILES], found.more or len(kept) > MOST_FILES)

    async def _seen(self, files: Sequence[FoundFile]) -> list[FoundFile]:
        """Return those of *files* whose layers images of the caller's have."""
        diff_ids = list(dict.fromkeys(file.diff_id.text for file in files))
        counts = await self._engine.counts("layer", diff_ids, self._images)
        seen = {diff_id for diff_id, images in zip(diff_ids, counts, strict=True) if images}
        return [file for file in files if file.diff_id.text in seen]

    async def entries(self, wanted: Sequence[tuple[str, str]]) -> list[Entry | None]:
        """Return what each layer (its diff_id) says of a path, where that is a file or a symbolic link."""
        said = await self._layer_index.entries([(Digest.parse(diff_id), path) for diff_id, path in wanted])
        return [next((entry for entry in each if entry.kind in (FILE, SYMLINK)), None) for each in said]

    async def condition(self, asked: AskedFiles, deleted: str) -> Condition:
        """Return the condition that an image has one of the files *asked* for: in its merged tree; or (*deleted*
        ``yes``) hidden in it; or (``include``) either.

        Raises:
            TooBroad: it would be too large.
        """
        key = (asked.queries, deleted)
        if key not in self._conditions:
            self._conditions[key] = await self._condition(asked, deleted)
        return self._conditions[key]

    async def _condition(self, asked: AskedFiles, deleted: str) -> Condition:
        tokens = {file: file_token(file[0], file[1]) for file in map(_named, asked.files)}
        own = await (self._hidden(tokens) if deleted == "yes" else self._shown(tokens, deleted))
        return Some((own, asked.placed(deleted)))

    async def _hidden(self, tokens: dict[tuple[str, str], str]) -> Condition:
        """Return the condition that an image hides one of the files where its layer has it: one that it moved from
        there is not hidden there."""
        moving = await self._counted("moved", tokens.values())
        moved = {token for token, images in zip(tokens.values(), moving, strict=True) if images}
        _check(moved)
        never = terms("hidden", (token for token in tokens.values() if token not in moved))
        return Some((never, *(Every((Term("hidden", each), Without(Term("moved", each)))) for each in moved)))

    async def _shown(self, tokens: dict[tuple[str, str], str], deleted: str) -> Condition:
        """Return the condition that an image has one of the files where its layer has it, in its merged tree or (if
        *deleted*) beneath."""
        field = "moved" if deleted else "hidden"
        hiding = await self._counted(field, tokens.values())
        by_layer: dict[str, list[str]] = defaultdict(list)
        shown: dict[str, None] = {}
        for ((diff_id, _), token), images in zip(tokens.items(), hiding, strict=True):
            by_layer[diff_id].append(token)
            if not images:
                shown[diff_id] = None
        # Where a layer has a matching file that no image hides, to have the layer is enough.
        partly = [
            Every((Term("layer", diff_id), Without(Every(tuple(Term(field, token) for token in hidden)))))
            for diff_id, hidden in by_layer.items()
            if diff_id not in shown
        ]
        _check(partly)
        return Some((Terms("layer", tuple(shown)), *partly)) if shown else Some(tuple(partly))

    async def _counted(self, field: str, tokens: Collection[str]) -> list[int]:
        return await self._engine.counts(field, list(tokens), self._images) if tokens else []


def _named(file: FoundFile) -> tuple[str, str]:
    return file.diff_id.text, file.path


def _check(apart: Collection[object]) -> None:
    if len(apart) > MOST_PARTLY_HIDDEN:
        advice = f"such files are hidden by upper layers of images in more than {MOST_PARTLY_HIDDEN} ways"
        raise TooBroad("files", advice)
