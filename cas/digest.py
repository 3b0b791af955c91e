"""The name of a blob: the algorithm and the hexadecimal output of a hash over its bytes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cas.errors import InvalidDigest

if TYPE_CHECKING:
    from hashlib import _Hash

#: Algorithms that the store keeps blobs under, and the length of their output in hexadecimal characters (OCI image
#: specification, descriptor.md, "Registered algorithms").
ALGORITHMS = {"sha256": 64, "sha512": 128}

_PATTERN = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A parsed digest. Only `parse`, `of` and `finish` make one, so a `Digest` is always a safe file name."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``algorithm:hex`` strictly: lower case, a registered algorithm, the exact length.

        Raises:
            InvalidDigest: *text* is not such a digest.
        """
        if _PATTERN.fullmatch(text) is None:
            raise InvalidDigest(text)
        return cls(text)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        """Compute the digest of *content*, which is small enough to be in memory."""
        return cls.finish(hashlib.new(algorithm, content))

    @classmethod
    def finish(cls, running: _Hash) -> Digest:
        """Take the digest of what *running* has been fed so far."""
        return cls(f"{running.name}:{running.hexdigest()}")

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.text.partition(":")[0]

    @property
    def hex(self) -> str:
        """The output of the hash in lower-case hexadecimal."""
        return self.text.partition(":")[2]

    def __str__(self) -> str:
        return self.text
