"""Hits that are files, each at the place where it stands in a merged tree, or stood.

As packages and layers are (`catalog.search.candidates`), they are candidates, and counted over the images of the
caller's that the rest of the query holds for. Most stand where their layer has them: those the layer index tells. What
stands elsewhere the images' own documents tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cas.entries import Entry
from cas.layer_index.patterns import TooMuchWork
from cas.layer_index.protocol import By, FileQuery
from catalog.browse.answers import FileHit
from catalog.search import analysis
from catalog.search.candidates import Counted
from catalog.search.conditions import Condition, Every, Term, Terms, Without
from catalog.search.documents import ImageDocument, Placed, file_token, placed_token
from catalog.search.engine import Found, SearchRequest, Sort
from catalog.search.errors import QueryError
from catalog.search.files import FILE_FIELDS, MOST_FILES, AskedFiles, file_query
from catalog.search.language import Field, Form, Node, Or, tree
from catalog.search.question import Question
from catalog.search.view import View

#: Images whose placed files are looked through, in all and at once.
_MOST_IMAGES = 500
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """At *path* stands what the layer *diff_id* says of *source*, which is *entry* where that was looked up."""

    path: str
    diff_id: str
    source: str
    entry: Entry | None = None

    @property
    def moved(self) -> bool:
        """Whether it stands elsewhere than its layer has it."""
        return self.path != self.source

    @property
    def token(self) -> str:
        """What images have among `hidden`, or in `placed`."""
        if self.moved:
            return placed_token(self.path, self.diff_id, self.source)
        return file_token(self.diff_id, self.path)

    def held(self, deleted: str) -> Condition:
        """Return the condition that an image has it: in its merged tree; or (*deleted* ``yes``) hidden; or
        (``include``) either."""
        if self.moved:
            return Terms("placed", tuple(analysis.placed_values(self.token, deleted)))
        hidden, moved = Term("hidden", self.token), Term("moved", self.token)
        if deleted == "yes":
            return Every((hidden, Without(moved)))
        return Every((Term("layer", self.diff_id), Without(moved if deleted else hidden)))


#: Path, diff_id and source of candidates, each once.
_Found = dict[tuple[str, str, str], None]


async def files(view: View, question: Question, text: str, most: int = MOST_FILES) -> Counted[Candidate]:
    """Find files: by `path:`, `file:`, `sha256:` and free words (names) among files, by all else among images; the
    first *most* of them.

    Raises:
        QueryError: nothing says which files.
    """
    compiler = view.compiler(question)
    asked: list[AskedFiles] = []
    conditions: list[Condition] = []
    for node in question.nodes:
        if queries := _file_queries(node):
            asked.append(await view.files.of_queries(queries))
        else:
            conditions.append(await compiler.condition(node))
    if not asked:
        raise QueryError(text, 0, len(text), "type:file needs a file: a name, file:, path: or sha256:.")
    return await found_files(view, asked, question.deleted, conditions, question.sort, most)


async def found_files(
    view: View,
    asked: Sequence[AskedFiles],
    deleted: str = "",
    conditions: Sequence[Condition] = (),
    sort: str = "path",
    most: int = MOST_FILES,
) -> Counted[Candidate]:
    """Find the files that all of *asked* ask for, in images that the caller may read and that *conditions* hold for."""
    within = view.images(*conditions)
    chosen: _Found | None = None
    more = any(each.more for each in asked)
    for each in asked:
        found: _Found = dict.fromkeys((file.path, file.diff_id.text, file.path) for file in each.files)
        placed, cut = await _placed(view, each, deleted, within)
        found |= placed
        more = more or cut
        chosen = found if chosen is None else dict.fromkeys(key for key in chosen if key in found)
    candidates = list(chosen or ())
    rows: list[tuple[Candidate, int]] = []
    for start, stop in ((0, most + 1), (most + 1, len(candidates))):
        if len(rows) <= most and start < len(candidates):
            rows += await _counted(view, [Candidate(*key) for key in candidates[start:stop]], deleted, within)
    more = more or len(rows) > most
    by_size = sort in ("size", "size-asc")
    # That there are those which stand where their layers have them the layer index said.
    rows = await _looked_up(view, rows[:most], lambda file: by_size or file.moved)
    rows.sort(key=lambda row: (row[0].path, row[0].diff_id, row[0].source))
    if sort == "images":
        rows.sort(key=lambda row: -row[1])
    elif by_size:
        rows.sort(key=lambda row: row[0].entry.size if row[0].entry else 0, reverse=sort == "size")
    return Counted(rows, more, within)


async def file_hits(view: View, rows: Sequence[tuple[Candidate, int]]) -> list[tuple[FileHit, Candidate]]:
    """Return what is shown of files, each with what it is shown of."""
    return [
        (FileHit(file.path, file.entry.size, file.entry.digest.hex(), file.diff_id, images), file)
        for file, images in await _looked_up(view, rows)
        if file.entry is not None
    ]


async def _placed(view: View, asked: AskedFiles, deleted: str, within: Condition) -> tuple[_Found, bool]:
    """Return the files asked for that images *within* have elsewhere than their layers, and whether there may be
    others."""
    condition = Every((within, asked.placed(deleted)))
    asks_for = asked.asks_for()
    letters = {"": (True,), "yes": (False,), "include": (True, False)}[deleted]
    found: _Found = {}
    for offset in range(0, _MOST_IMAGES, _AT_ONCE):
        request = SearchRequest(condition, sort=Sort("pushed"), offset=offset, most=_AT_ONCE)
        page = await view.engine.search(request)
        try:
            # Documents of images are large: other answers do not wait while they are read.
            found.update(await asyncio.to_thread(_placed_in, page, letters, asks_for) if page.hits else {})
        except TooMuchWork:
            return found, True
        if page.total <= offset + len(page.hits):
            return found, False
    return found, True


def _placed_in(page: Found, stands: Sequence[bool], asks_for: Callable[[Placed], bool]) -> _Found:
    found: _Found = {}
    for hit in page.hits:
        document = hit.document
        for each in document.placed if isinstance(document, ImageDocument) else ():
            if each.stands in stands and asks_for(each):
                found[each.path, each.diff_id, each.source] = None
    return found


async def _counted(
    view: View, candidates: Sequence[Candidate], deleted: str, within: Condition
) -> list[tuple[Candidate, int]]:
    """Tell of each of *candidates* how many images *within* have it, one at least."""
    counted = await _count_own(view, [file for file in candidates if not file.moved], deleted, within)
    placed = [file for file in candidates if file.moved]
    values = [analysis.placed_values(file.token, deleted) for file in placed]
    asked = [value for some in values for value in some]
    counts = iter(await view.engine.counts("placed", asked, within) if asked else ())
    counted += [(file, sum(next(counts) for _ in some)) for file, some in zip(placed, values, strict=True)]
    return [(file, images) for file, images in counted if images]


async def _count_own(
    view: View, candidates: Sequence[Candidate], deleted: str, within: Condition
) -> list[tuple[Candidate, int]]:
    """Count the images *within* that have files where their layers have them."""
    engine = view.engine
    diff_ids = list(dict.fromkeys(file.diff_id for file in candidates))
    counts = await engine.counts("layer", diff_ids, within) if diff_ids else []
    having = dict(zip(diff_ids, counts, strict=True))
    held = [file for file in candidates if having[file.diff_id]]
    tokens = [file.token for file in held]
    nowhere = [0] * len(held)
    hidden = await engine.counts("hidden", tokens, within) if held and deleted != "include" else nowhere
    moved = await engine.counts("moved", tokens, within) if held and deleted else nowhere
    return [
        (file, (hiding if deleted == "yes" else having[file.diff_id] - hiding) - moving)
        for file, hiding, moving in zip(held, hidden, moved, strict=True)
    ]


async def _looked_up(
    view: View, rows: Sequence[tuple[Candidate, int]], wanted: Callable[[Candidate], bool] = lambda _: True
) -> list[tuple[Candidate, int]]:
    """Return *rows* with the entries of those that are *wanted*; where the index has none, they are left out."""
    unknown = [file for file, _ in rows if file.entry is None and wanted(file)]
    if not unknown:
        return list(rows)
    said = await view.files.entries([(file.diff_id, file.source) for file in unknown])
    entries = dict(zip(unknown, said, strict=True))
    looked_up = [(replace(file, entry=entries.get(file, file.entry)), images) for file, images in rows]
    return [(file, images) for file, images in looked_up if file.entry is not None or not wanted(file)]


def _file_queries(node: Node) -> list[FileQuery]:
    """Return which files *node* asks for; none where it is a condition of images."""
    if isinstance(node, tree.Term):
        return [FileQuery(By.NAME, node.text, prefix=node.form is Form.BEGINNING)] if node.text else []
    if isinstance(node, Field) and node.name in FILE_FIELDS:
        return [file_query(node.name, value) for value in node.values]
    if isinstance(node, Or):
        every_query = [_file_queries(each) for each in node.nodes]
        return [query for queries in every_query for query in queries] if all(every_query) else []
    return []
