"""Conditions on files, answered exactly for each image.

The layer index knows which layers hold a file; an image knows its layers, and which of their files upper layers hide
(`hidden`, a token for each file of a layer). So an image has a file in its merged tree where it has a layer with it and
does not hide it there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cas.layer_index.protocol import By, FileQuery, FoundFile, FoundFiles, LayerIndex
from catalog.search.access import terms
from catalog.search.conditions import All, Condition, Every, Some, Term, Terms, Without
from catalog.search.documents import hidden_token
from catalog.search.engine import SearchEngine
from catalog.search.errors import TooBroad
from catalog.search.language import FIELDS, Field, Form, Takes, Value
from catalog.search.language.check import bare_digest, bare_path
from catalog.search.patterns import check

#: Files (each layer's counts) that one condition looks at.
MOST_FILES = 5_000
#: Layers whose matching files are all hidden in one image or another: each is a condition of its own.
MOST_PARTLY_HIDDEN = 500

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


class Files:
    """Files that are asked for in one search."""

    def __init__(self, engine: SearchEngine, layer_index: LayerIndex) -> None:
        self._engine = engine
        self._layer_index = layer_index
        self._found: dict[FileQuery, FoundFiles] = {}

    async def of_field(self, field: Field) -> list[FoundFile]:
        """Find the files of any of a field's values, in all layers: candidates only.

        Raises:
            TooBroad: there are more than `MOST_FILES`.
        """
        found: dict[tuple[str, str], FoundFile] = {}
        for value in field.values:
            for file in await self.find(file_query(field.name, value), f"{field.name}:{value.text}"):
                found[(file.diff_id.text, file.entry.path)] = file
        return list(found.values())

    async def find(self, query: FileQuery, what: str) -> list[FoundFile]:
        """Find files; *what* names them in the error that there are too many."""
        found = await self.some(query)
        if found.more:
            raise TooBroad(what, f"more than {MOST_FILES:,} files match; give more of the path or name")
        return found.files

    async def some(self, query: FileQuery) -> FoundFiles:
        """Find up to `MOST_FILES` files."""
        if query not in self._found:
            self._found[query] = await self._layer_index.find_files(query, MOST_FILES)
        return self._found[query]

    async def condition(self, files: Sequence[FoundFile], deleted: str) -> Condition:
        """Return the condition that an image has one of *files*: in its merged tree; or (*deleted* ``yes``) hidden in
        it; or (``include``) either.

        Raises:
            TooBroad: it would be too large.
        """
        if deleted == "include":
            return terms("layer", (file.diff_id.text for file in files))
        tokens = {
            (file.diff_id.text, file.entry.path): hidden_token(file.diff_id.text, file.entry.path) for file in files
        }
        if deleted == "yes":
            return terms("hidden", tokens.values())
        hiding = await self._engine.counts("hidden", list(tokens.values()), All())
        by_layer: dict[str, list[str]] = defaultdict(list)
        shown: dict[str, None] = {}
        for ((diff_id, _), token), images in zip(tokens.items(), hiding, strict=True):
            by_layer[diff_id].append(token)
            if not images:
                shown[diff_id] = None
        # Where a layer has a matching file that no image hides, to have the layer is enough.
        partly = [
            Every((Term("layer", diff_id), Without(Every(tuple(Term("hidden", token) for token in hidden)))))
            for diff_id, hidden in by_layer.items()
            if diff_id not in shown
        ]
        if len(partly) > MOST_PARTLY_HIDDEN:
            advice = f"such files are hidden by upper layers of images in more than {MOST_PARTLY_HIDDEN} ways"
            raise TooBroad("files", advice)
        return Some((Terms("layer", tuple(shown)), *partly)) if shown else Some(tuple(partly))
