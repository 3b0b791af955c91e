"""What can go wrong with reading layers.

IngestError
├── LayerUnreadable          nothing can be said of the layer, for its diff_id cannot be known, or it is no archive
│   ├── CompressionUnknown   neither gzip nor zstandard nor a bare tar
│   ├── CompressionDamaged   the compressed stream is not what its format asks, or its checksum is wrong
│   ├── LayerTruncated       the compressed stream ends in its middle
│   ├── NotAnArchive         what it decompresses to does not begin as a tar does
│   └── LimitBroken          it would cost more than the limits allow: bytes, ratio, window, seconds
├── ArchiveDamaged           the tar is damaged further on: what stands before is read, and the facts say so
├── ReaderFailed             the process that read it was given up
│   ├── NotStarted           it could not be started
│   ├── TooSlow              it took more seconds than it may
│   ├── OutOfMemory          it needed more memory than it may have
│   ├── AnswerTooLarge       it found more than can be kept
│   ├── ReaderKilled         it was killed, or ended by itself
│   └── ProgramFault         it met an error of the program
├── ConfigUnreadable         the config of an image is not what it should be, or does not fit the manifest
├── DiffIdMismatch           a layer is not what the config says it is
├── LayerUnread              one of an image's layers could not be read: which, and why
├── StackUnreadable          the layers of an image were read, and could not be put together: why
├── BlobMissing              a blob that the manifest names is not stored
├── FactsMissing             what layers of an image hold was read, and is not there any more: which image
└── WorkerDied               the ingest process died while it had nothing else in hand
"""

from __future__ import annotations

import signal

from cas import Digest


class IngestError(Exception):
    """Root of the tree above."""


class LayerUnreadable(IngestError):
    """*reason* says why, in words for whoever pushed it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CompressionUnknown(LayerUnreadable):
    pass


class CompressionDamaged(LayerUnreadable):
    pass


class LayerTruncated(LayerUnreadable):
    pass


class NotAnArchive(LayerUnreadable):
    pass


class LimitBroken(LayerUnreadable):
    """*limit* is the name of a field of `ingest.limits.ReadLimits`."""

    def __init__(self, limit: str, reason: str) -> None:
        super().__init__(reason)
        self.limit = limit


class ArchiveDamaged(IngestError):
    """*reason* says what was found instead, and at which byte of the tar."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReaderFailed(IngestError):
    """*reason* says why, in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotStarted(ReaderFailed):
    """*error* is what stood against it, for the log."""

    def __init__(self, error: str) -> None:
        super().__init__("no process could be started to read it")
        self.error = error


class TooSlow(ReaderFailed):
    def __init__(self, seconds: float) -> None:
        super().__init__(f"it took more than {seconds:g} seconds")
        self.seconds = seconds


class OutOfMemory(ReaderFailed):
    def __init__(self, memory: int) -> None:
        super().__init__(f"it needed more than {memory >> 20} MiB of memory (the setting reader_memory)")
        self.memory = memory


class AnswerTooLarge(ReaderFailed):
    def __init__(self, size: int) -> None:
        super().__init__(f"what was found takes more than {size >> 20} MiB")
        self.size = size


class ReaderKilled(ReaderFailed):
    """*status* is how the process ended: negative for the number of a signal; None where that is not known."""

    def __init__(self, status: int | None) -> None:
        if status is None:
            how = "it stopped answering"
        elif status < 0:
            how = f"it was killed by {signal.Signals(-status).name}"
        else:
            how = f"it ended with status {status}"
        super().__init__(how)
        self.status = status


class ProgramFault(ReaderFailed):
    """*error* is what it met and *trace* says where, both for the log."""

    def __init__(self, error: str, trace: str) -> None:
        super().__init__("it met an error of the program, which is in the log")
        self.error = error
        self.trace = trace


class ConfigUnreadable(IngestError):
    """*reason* says why, in words for whoever pushed it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DiffIdMismatch(IngestError):
    """Layer *index* (from 0, from the bottom), the blob *digest*, is *computed* when it is decompressed, and not what
    the config *claimed*."""

    def __init__(self, index: int, digest: Digest, claimed: str, computed: Digest) -> None:
        super().__init__(index, digest, claimed, computed)
        self.index = index
        self.digest = digest
        self.claimed = claimed
        self.computed = computed

    def __str__(self) -> str:
        return (
            f"layer {self.index} ({self.digest}) is {self.computed} when it is decompressed,"
            f" and the config says that it is {self.claimed[:100]}"
        )


class BlobMissing(IngestError):
    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest

    def __str__(self) -> str:
        return f"the blob {self.digest} is not in the repository"


class WorkerDied(IngestError):
    def __str__(self) -> str:
        return "the ingest process died while it read this, and nothing else"


class LayerUnread(IngestError):
    """Layer *index* (from 0, from the bottom), the blob *digest*: *reason* in words. *final* where nothing will change
    that: it is of a kind that is not read."""

    def __init__(self, index: int, digest: Digest, reason: str, *, final: bool = False) -> None:
        super().__init__(index, digest, reason)
        self.index = index
        self.digest = digest
        self.reason = reason
        self.final = final

    def __str__(self) -> str:
        return f"layer {self.index} ({self.digest}) could not be read: {self.reason}"


class StackUnreadable(IngestError):
    """*reason* says why, in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"its layers could not be put together: {self.reason}"


class FactsMissing(IngestError):
    """*digest* is the image's."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"facts of layers of {digest} are not there any more")
        self.digest = digest
