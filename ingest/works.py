"""What reader processes do: pure functions from bytes to facts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from catalog.images.facts import LayerFacts
from catalog.images.objects import decode, encode
from catalog.images.squash import squash
from ingest.catalogers import PROGRAMS, catalogers
from ingest.limits import ReadLimits
from ingest.reader_process import Work
from ingest.reading import read_layer
from ingest.versions import versions


class ReadBlob(msgspec.Struct):
    """What a blob turned out to be: the digest of what it decompresses to, and the bytes of both; *versions* are those
    of its facts."""

    diff_id: str
    size: int
    raw_size: int
    versions: dict[str, int]


class StackParameters(msgspec.Struct):
    """What is to be said of a stack: by whom it was squashed, and of how many files that links lead elsewhere documents
    tell (`ReadLimits.placed`)."""

    made_by: str
    most_placed: int


def read(parameters: Mapping[str, object], parts: Sequence[bytearray], descriptor: int | None) -> Sequence[bytes]:
    """Read a layer within *parameters* (those of `ReadLimits`): a `ReadBlob`, and the object of its facts."""
    assert descriptor is not None
    limits = msgspec.convert(parameters, ReadLimits)
    # A file, or a socket that its pieces come through; whoever gave the descriptor closes it, and nobody else may: its
    # number is soon that of another one.
    source = io.FileIO(descriptor, "r", closefd=False)
    layer = read_layer(source, limits, catalogers(limits), PROGRAMS)
    facts = layer.facts
    about = ReadBlob(facts.diff_id, layer.size, facts.size, facts.versions)
    return [msgspec.msgpack.encode(about), encode(facts)]


def squash_stack(
    parameters: Mapping[str, object], parts: Sequence[bytearray], descriptor: int | None
) -> Sequence[bytes]:
    """Squash the layers whose facts' objects *parts* are, the bottom one first, as `StackParameters` say: the object of
    the stack's facts, which say by whom they were made if all layers were read by this program's catalogers."""
    asked = msgspec.convert(parameters, StackParameters)
    wanted, is_ours = versions(), True

    def layers() -> Iterator[LayerFacts]:
        nonlocal is_ours
        for position, part in enumerate(parts):
            layer = decode(bytes(part), LayerFacts)
            is_ours = is_ours and layer.versions == wanted
            yield layer
            parts[position].clear()

    chain = squash(layers(), asked.most_placed)
    # What other catalogers read of a layer may be known as long as it cannot be read again: the stack of it is made
    # anew as soon as it can be.
    return [encode(replace(chain, made_by=asked.made_by if is_ours else ""))]


WORKS: dict[str, Work] = {"read": read, "squash": squash_stack}
