"""Puts the corpus where Portolan keeps what it derives: the search index and the layer index of a data directory.

No image was pushed, so the database knows of none. That costs the measurements nothing: search asks the database only
for what its caller may read and what became less visible lately, and an administrator may read everything.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks.search_corpus import REPLACED, Corpus
from cas import Digest
from cas.entries import Entry
from cas.layer_index.protocol import BlobRecord
from cas.layer_index.rocks import RocksLayerIndex
from catalog.search.documents import Document, ImageDocument, LayerDocument, PackageDocument
from catalog.search.engine import Write
from catalog.search.tantivy_writer import TantivyWriter

if TYPE_CHECKING:
    from pathlib import Path

#: Documents of one commit, as a rebuild writes them.
BATCH = 1000
#: Files of a layer. Those of a base are more than most layers hold, so that finding one is finding it among others.
_FILES_OF_BASE = 2000
_FILES_OF_LAYER = 20
#: One layer in so many holds what the corpus' questions about files ask for.
_ONE_IN = 50
#: Names that look-ups choose from.
_CHOICE = 500


@dataclass
class Loaded:
    """What there is to be asked for, and how long it took to write it."""

    corpus: Corpus
    documents: int = 0
    images: int = 0
    seconds: float = 0.0
    layer_seconds: float = 0.0
    layers: list[str] = field(default_factory=list)
    packages: list[tuple[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


async def load(data: Path, images: int) -> Loaded:
    """Write a corpus of *images* images into the data directory of a Portolan that does not run.

    `seconds` of what is returned is the time in which documents were analysed and written, the last commit's included;
    making them up is not in it.
    """
    loaded = Loaded(Corpus(images))
    layers: dict[str, LayerDocument] = {}
    in_images: dict[str, int] = {}
    writer = await TantivyWriter.open(data / "search")
    rebuild = await writer.begin_rebuild()
    try:
        documents = loaded.corpus.documents()
        while batch := list(islice(documents, BATCH)):
            for document in batch:
                _remember(document, loaded, layers, in_images)
            begun = time.perf_counter()
            await rebuild.apply([Write(document, 1) for document in batch])
            loaded.seconds += time.perf_counter() - begun
            loaded.documents += len(batch)
        begun = time.perf_counter()
        await rebuild.finish()
        loaded.seconds += time.perf_counter() - begun
    finally:
        await writer.aclose()
    begun = time.perf_counter()
    await _load_layers(data / "index", layers, in_images, loaded)
    loaded.layer_seconds = time.perf_counter() - begun
    return loaded


def _remember(document: Document, loaded: Loaded, layers: dict[str, LayerDocument], in_images: dict[str, int]) -> None:
    match document:
        case ImageDocument():
            loaded.images += 1
            for diff_id in document.diff_ids:
                in_images[diff_id] = in_images.get(diff_id, 0) + 1
        case LayerDocument():
            layers[document.diff_id] = document
        case PackageDocument():
            loaded.packages.append((document.ecosystem, document.name))
        case _:
            pass


async def _load_layers(
    index: Path, layers: dict[str, LayerDocument], in_images: dict[str, int], loaded: Loaded
) -> None:
    dice = random.Random(loaded.corpus.seed)
    names = loaded.corpus.names
    async with RocksLayerIndex.open(index) as owned, owned.rebuilding() as rebuild:
        for number, (diff_id, layer) in enumerate(layers.items()):
            is_base = in_images[diff_id] > loaded.images / 100
            paths = _paths(dice, number, _FILES_OF_BASE if is_base else _FILES_OF_LAYER)
            if is_base:
                paths += REPLACED
            if number % _ONE_IN == 0:
                paths.append(f"usr/lib/{names['directory']}/{names['file']}")
            if number % _ONE_IN == 1:
                paths.append(f"usr/lib/{names['directory']}/plugins/plugin-{number}.so")
            entries = [_file(path, number) for path in sorted(set(paths))]
            read = Digest.parse(diff_id)
            await rebuild.add_layer(read, 100_000, entries, {})
            for digest, size in layer.blobs.items():
                await rebuild.add_blob(Digest.parse(digest), BlobRecord(read, size, layer.raw_size, 1_700_000_000))
            loaded.paths.append(dice.choice(paths))
    # A base is asked for as often as any other layer: that is, seldom.
    loaded.layers = dice.sample(list(layers), min(_CHOICE, len(layers)))
    loaded.packages = dice.sample(loaded.packages, min(_CHOICE, len(loaded.packages)))
    loaded.paths = dice.sample(loaded.paths, min(_CHOICE, len(loaded.paths)))


def _paths(dice: random.Random, number: int, count: int) -> list[str]:
    """Make up paths: some that many layers have, and some of a layer's own."""
    shared = [f"usr/share/doc/package-{dice.randrange(3000)}/copyright" for _ in range(count // 10)]
    return [*shared, *(f"usr/lib/part-{number % 997}/module-{number}-{each}.so" for each in range(count - len(shared)))]


def _file(path: str, number: int) -> Entry:
    return Entry(path, mode=0o644, size=len(path), digest=sha256(f"{path} {number}".encode()).digest())
