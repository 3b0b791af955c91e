"""Uploads: ``/v2/<name>/blobs/uploads/`` and the sessions under it (end-4 to end-6, end-11 to end-14).

A chunk's Content-Range is written ``0-9``, without a unit and without a size, and so is the Range of the answers: the
specification's own form. A PATCH without Content-Range, as docker streams a layer, continues where the session ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

from cas import Digest, InvalidRepositoryName, OffsetMismatch, RepositoryName, UploadId
from catalog.registry.call import Call, ScopeMissing
from catalog.registry.errors import RegistryError
from catalog.registry.messages import Headers, Response

_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d+|\*))?")


async def begin(call: Call) -> Response:
    """Mount a blob, take a whole one, or open a session: whichever the query asks for."""
    mounted = call.request.parameter("mount")
    if mounted:
        digest = Digest.parse(mounted)
        if await _mount(call, digest):
            return _created(call, digest)
    elif (named := call.request.parameter("digest")) is not None:
        digest = Digest.parse(named)
        await call.registry.content.receive(call.name, digest, call.request.stream())
        return _created(call, digest)
    algorithm = call.request.parameter("digest-algorithm")
    if algorithm is not None and algorithm not in ("sha256", "sha512"):
        raise RegistryError(400, "DIGEST_INVALID", f"{algorithm!r} is not supported: use sha256 or sha512")
    upload = await call.registry.content.begin(call.name, call.grant.subject)
    return Response(202, [*_session(call, upload, 0), (b"oci-chunk-min-length", b"1")])


async def _mount(call: Call, digest: Digest) -> bool:
    """Try to take the blob from where the caller may read it; that it cannot be done is no error, but a session.

    A token tells what was asked for and refused by an entry without actions: whoever never asked is challenged to, as
    is usual, and whoever was refused uploads the bytes instead.

    Raises:
        ScopeMissing: the token says nothing of the repository to mount from.
    """
    source = call.request.parameter("from")
    if source is None:
        readable = json.dumps([name for name, actions in call.grant.access.items() if actions & {"pull", "*"}])
        return await call.registry.content.mount_from_anywhere(call.name, digest, readable)
    try:
        name = RepositoryName.parse(source, call.registry.default_namespace)
    except InvalidRepositoryName:
        return False
    if not call.grant.mentions(name):
        raise ScopeMissing(source)
    return call.grant.may("pull", name) and await call.registry.content.mount(call.name, digest, name)


async def status(call: Call) -> Response:
    """Tell how much a session has received."""
    upload = UploadId.parse(call.argument)
    size = await call.registry.content.size(call.name, upload, call.grant.subject)
    return Response(204, _session(call, upload, size)[1:])  # RFC 9110, 8.6: a 204 has no Content-Length


async def append(call: Call) -> Response:
    """Add a chunk to a session."""
    upload = UploadId.parse(call.argument)
    size = await _append(call, upload, call.request.stream())
    return Response(202, _session(call, upload, size))


async def finish(call: Call) -> Response:
    """Add the last chunk, if there is one, and publish the blob."""
    upload = UploadId.parse(call.argument)
    named = call.request.parameter("digest")
    if named is None:
        raise RegistryError(400, "DIGEST_INVALID", "the query must name the blob: ?digest=sha256:…")
    digest = Digest.parse(named)
    if call.request.content_length != 0:
        await _append(call, upload, call.request.stream())
    await call.registry.content.finish(call.name, upload, call.grant.subject, digest)
    return _created(call, digest)


async def cancel(call: Call) -> Response:
    """Close a session and drop what it received."""
    upload = UploadId.parse(call.argument)
    await call.registry.content.cancel(call.name, upload, call.grant.subject)
    return Response(204)


async def _append(call: Call, upload: UploadId, chunks: AsyncIterator[bytes]) -> int:
    offset, length = _chunk(call)
    try:
        size = await call.registry.content.append(call.name, upload, call.grant.subject, offset, chunks)
    except OffsetMismatch as error:
        raise RegistryError(
            416,
            "BLOB_UPLOAD_INVALID",
            f"the chunk begins at {error.offset}, the upload holds {error.size} bytes",
            {"offset": error.offset, "size": error.size},
            _session(call, upload, error.size)[1:],
        ) from error
    if offset is not None and size != offset + length:
        raise RegistryError(400, "SIZE_INVALID", f"Content-Range promises {length} bytes, {size - offset} came")
    return size


def _chunk(call: Call) -> tuple[int | None, int]:
    """Return the chunk's offset and length in bytes; None where the client leaves both to the session."""
    header = call.request.header(b"content-range")
    if header is None:
        return None, 0
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[1]) > int(match[2]):
        raise RegistryError(400, "SIZE_INVALID", f"Content-Range is {header[:80]!r}: expected <first>-<last>")
    length = call.request.content_length
    expected = int(match[2]) - int(match[1]) + 1
    if length is not None and length != expected:
        raise RegistryError(400, "SIZE_INVALID", f"Content-Range promises {expected} bytes, Content-Length {length}")
    return int(match[1]), expected


def _session(call: Call, upload: UploadId, size: int) -> Headers:
    return [
        (b"content-length", b"0"),
        (b"location", call.path(f"blobs/uploads/{upload}")),
        (b"range", b"0-%d" % max(size - 1, 0)),
        (b"docker-upload-uuid", upload.text.encode()),
    ]


def _created(call: Call, digest: Digest) -> Response:
    return Response(
        201,
        [
            (b"content-length", b"0"),
            (b"location", call.path(f"blobs/{digest}")),
            (b"docker-content-digest", digest.text.encode()),
        ],
    )
