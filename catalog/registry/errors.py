"""From what went wrong to what the client is told: the one table of codes and statuses.

The form is the specification's: ``{"errors": [{"code", "message", "detail"}]}`` (OCI distribution, "Error Codes").
Whatever is not in the table is a fault of ours, and a 500.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from cas import (
    BlobUnknown,
    DigestMismatch,
    InvalidDigest,
    InvalidManifest,
    InvalidRepositoryName,
    InvalidTag,
    InvalidUploadId,
    OffsetMismatch,
    StorageFull,
    UploadBusy,
)
from catalog.errors import (
    BlobBusy,
    BlobInUse,
    BlobNotLinked,
    ManifestBlobUnknown,
    ManifestUnknown,
    RepositoryUnknown,
    TagUnknown,
    UploadUnknown,
)
from catalog.registry.messages import BodyTooLarge, Headers, Response
from database import DatabaseFull, DatabaseUnavailable


class RegistryError(Exception):
    """An answer other than success that a handler itself decides on.

    *code* is the specification's (or Docker's) word, *message* a sentence, *detail* facts for a program.
    """

    def __init__(
        self, status: int, code: str, message: str, detail: object = None, headers: Headers | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers or []


class Phrase(NamedTuple):
    """How one kind of error is told."""

    status: int
    code: str
    message: Callable[[Any], str]
    detail: Callable[[Any], object] = lambda error: None
    headers: Headers = []  # noqa: RUF012 - a constant


_AGAIN: Headers = [(b"retry-after", b"1")]

PHRASES: dict[type[Exception], Phrase] = {
    InvalidRepositoryName: Phrase(400, "NAME_INVALID", str),
    InvalidTag: Phrase(400, "TAG_INVALID", str),
    InvalidDigest: Phrase(400, "DIGEST_INVALID", str),
    InvalidUploadId: Phrase(404, "BLOB_UPLOAD_UNKNOWN", lambda _: "there is no such upload"),
    InvalidManifest: Phrase(400, "MANIFEST_INVALID", lambda error: f"the manifest cannot be kept: {error.reason}"),
    BlobUnknown: Phrase(
        404, "BLOB_UNKNOWN", lambda _: "the repository has no such blob", lambda error: {"digest": str(error.digest)}
    ),
    BlobNotLinked: Phrase(
        404, "BLOB_UNKNOWN", lambda _: "the repository has no such blob", lambda error: {"digest": str(error.digest)}
    ),
    RepositoryUnknown: Phrase(404, "NAME_UNKNOWN", lambda _: "there is no such repository"),
    ManifestUnknown: Phrase(
        404,
        "MANIFEST_UNKNOWN",
        lambda _: "the repository has no such manifest",
        lambda error: {"reference": str(error.reference)},
    ),
    TagUnknown: Phrase(
        404, "MANIFEST_UNKNOWN", lambda _: "the repository has no such tag", lambda error: {"reference": str(error.tag)}
    ),
    ManifestBlobUnknown: Phrase(
        404,
        "MANIFEST_BLOB_UNKNOWN",
        lambda error: "push these blobs to the repository first, or mount them: " + ", ".join(error.missing[:10]),
        lambda error: [{"digest": digest} for digest in error.missing[:100]],
    ),
    UploadUnknown: Phrase(404, "BLOB_UPLOAD_UNKNOWN", lambda _: "there is no such upload"),
    UploadBusy: Phrase(
        409, "BLOB_UPLOAD_INVALID", lambda _: "another request is writing to this upload", headers=_AGAIN
    ),
    OffsetMismatch: Phrase(
        416,
        "BLOB_UPLOAD_INVALID",
        lambda error: f"the chunk begins at {error.offset}, the upload holds {error.size} bytes",
        lambda error: {"offset": error.offset, "size": error.size},
    ),
    DigestMismatch: Phrase(
        400,
        "DIGEST_INVALID",
        lambda error: f"the bytes are {error.computed}, not {error.expected}",
        lambda error: {"expected": str(error.expected), "computed": str(error.computed)},
    ),
    BlobInUse: Phrase(
        405,
        "UNSUPPORTED",
        lambda error: f"the manifest {error.manifest} refers to this blob: delete it first",
        lambda error: {"digest": str(error.digest), "manifest": error.manifest},
    ),
    BlobBusy: Phrase(
        503, "UNAVAILABLE", lambda _: "the blob is being removed at this moment: try again", headers=_AGAIN
    ),
    BodyTooLarge: Phrase(
        413, "MANIFEST_INVALID", lambda error: f"the manifest is larger than {error.limit} bytes, the limit here"
    ),
    StorageFull: Phrase(507, "UNAVAILABLE", lambda error: f"no room is left in {error.what}"),
    DatabaseFull: Phrase(507, "UNAVAILABLE", lambda _: "no room is left in the database"),
    DatabaseUnavailable: Phrase(503, "UNAVAILABLE", lambda _: "the database does not answer", headers=_AGAIN),
}


def answer(status: int, code: str, message: str, detail: object = None, headers: Headers | None = None) -> Response:
    """Build an error's response in the specification's form."""
    error: dict[str, object] = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    body = msgspec.json.encode({"errors": [error]})
    head: Headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return Response(status, head + (headers or []), body)


def phrased(error: Exception) -> Response | None:
    """Tell the client of *error*; None when the table has no word for it."""
    if isinstance(error, RegistryError):
        return answer(error.status, error.code, error.message, error.detail, error.headers)
    phrase = PHRASES.get(type(error))
    if phrase is None:
        return None
    return answer(phrase.status, phrase.code, phrase.message(error), phrase.detail(error), phrase.headers)
