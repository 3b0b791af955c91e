"""A layer index that looks at every file: what answers are held against."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cas import Digest
from cas.entries import FILE, SYMLINK, Entry
from cas.layer_index.protocol import BlobRecord, By, ChainRecord, FileQuery, FoundFile, FoundFiles


class MemoryLayers:
    """Layers by their diff_ids."""

    def __init__(self, layers: Mapping[Digest, Sequence[Entry]]) -> None:
        self._layers = layers

    async def find_files(self, query: FileQuery, most: int, after: bytes = b"") -> FoundFiles:
        found = [
            FoundFile(diff_id, entry.path)
            for diff_id, entries in self._layers.items()
            for entry in entries
            if (entry.kind == FILE or (entry.kind == SYMLINK and query.by is not By.SHA256)) and _matches(query, entry)
        ]
        found.sort(key=lambda file: (file.path, file.diff_id.text))
        start = int(after or b"0")
        more = len(found) > start + most
        return FoundFiles(found[start : start + most], more, b"%d" % (start + most) if more else b"")

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobRecord | None]:
        return [None for _ in digests]

    async def compressions(self, diff_id: Digest) -> list[Digest]:
        return []

    async def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        return [diff_id in self._layers for diff_id in diff_ids]

    async def children(self, diff_id: Digest, directory: str, after: str = "", most: int = 1000) -> list[Entry]:
        raise NotImplementedError

    async def entries(self, wanted: Sequence[tuple[Digest, str]]) -> list[list[Entry]]:
        return [[entry for entry in self._layers.get(diff_id, ()) if entry.path == path] for diff_id, path in wanted]

    async def chains(self, chain_ids: Sequence[Digest]) -> list[ChainRecord | None]:
        return [None for _ in chain_ids]

    async def facts(self, diff_id: Digest, kind: str) -> bytes | None:
        return None


def _matches(query: FileQuery, entry: Entry) -> bool:
    value = {
        By.PATH: entry.path,
        By.NAME: entry.path.rpartition("/")[2],
        By.SHA256: entry.digest.hex(),
    }[query.by]
    if query.pattern is not None:
        return value.startswith(query.text) and re.fullmatch(query.pattern, value, re.ASCII | re.DOTALL) is not None
    return value.startswith(query.text) if query.prefix else value == query.text
