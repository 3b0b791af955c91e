"""Blobs: `GET`, `HEAD` and `DELETE` of ``/v2/<name>/blobs/<digest>`` (end-2, end-10)."""

from __future__ import annotations

from cas import BlobReader, Digest
from catalog.registry.call import Call
from catalog.registry.errors import RegistryError
from catalog.registry.messages import Headers, Response, Span
from catalog.registry.ranges import ByteRange, Multipart, Unsatisfiable, parse_ranges

_TYPE = "application/octet-stream"
_FIXED: Headers = [
    (b"content-type", _TYPE.encode()),
    (b"accept-ranges", b"bytes"),
    (b"x-content-type-options", b"nosniff"),
]


async def head(call: Call) -> Response:
    """Tell that the repository has the blob, and its size."""
    digest = Digest.parse(call.argument)
    size = await call.registry.content.stat(call.name, digest)
    return Response(200, [*_FIXED, (b"content-length", b"%d" % size), *_naming(digest)])


async def get(call: Call) -> Response:
    """Send the blob, or those ranges of it that were asked for."""
    digest = Digest.parse(call.argument)
    etag = f'"{digest}"'
    if call.request.header(b"if-none-match") == etag:
        await call.registry.content.stat(call.name, digest)
        return Response(304, _naming(digest))
    asked = call.request.header(b"range")
    if asked is not None and call.request.header(b"if-range") not in (None, etag):
        asked = None
    reader = await call.registry.content.open(call.name, digest)
    try:
        ranges = None if asked is None else parse_ranges(asked, reader.size, call.registry.limits.ranges)
    except Unsatisfiable:
        await reader.aclose()
        raise RegistryError(
            416,
            "RANGE_INVALID",
            f"the blob has {reader.size} bytes",
            {"size": reader.size},
            [(b"content-range", b"bytes */%d" % reader.size)],
        ) from None
    return _answer(reader, digest, ranges)


def _answer(reader: BlobReader, digest: Digest, ranges: list[ByteRange] | None) -> Response:
    if ranges is None:
        headers = [*_FIXED, (b"content-length", b"%d" % reader.size), *_naming(digest)]
        return Response(200, headers, span=Span(reader, 0, reader.size), close=reader.aclose)
    if len(ranges) == 1:
        start, stop = ranges[0]
        headers = [
            *_FIXED,
            (b"content-length", b"%d" % (stop - start)),
            (b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, reader.size)),
            *_naming(digest),
        ]
        return Response(206, headers, span=Span(reader, start, stop), close=reader.aclose)
    several = Multipart(reader, ranges, _TYPE)
    headers = [*_FIXED[1:], *several.headers, *_naming(digest)]
    return Response(206, headers, pieces=several.pieces(), close=reader.aclose)


def _naming(digest: Digest) -> Headers:
    text = digest.text.encode()
    return [(b"docker-content-digest", text), (b"etag", b'"%s"' % text)]


async def delete(call: Call) -> Response:
    """Take the blob out of the repository."""
    digest = Digest.parse(call.argument)
    await call.registry.content.unlink(call.name, digest)
    return Response(202, [(b"content-length", b"0"), (b"docker-content-digest", digest.text.encode())])
