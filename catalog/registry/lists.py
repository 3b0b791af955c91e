"""Lists: tags, referrers, and the repositories of the registry.

Pages follow one another by ``Link: <…>; rel="next"``; ``last`` need not exist, and the order is ASCII's.
"""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from cas import Digest, Tag
from cas.manifest import OCI_INDEX
from catalog import metadata
from catalog.errors import ManifestUnknown
from catalog.registry.call import Call
from catalog.registry.errors import RegistryError
from catalog.registry.messages import Headers, Response

_DEFAULT_CATALOG_PAGE = 100


async def tags(call: Call) -> Response:
    """`GET /v2/<name>/tags/list` (end-8): a page larger than the limit is cut to it."""
    most = call.registry.limits.tags
    asked = _page_size(call)
    size = most if asked is None else min(asked, most)
    last = call.request.parameter("last") or ""
    names = await metadata.tags.names_after(call.registry.database, call.name, last, size + 1) if size else []
    if not names:
        await metadata.repositories.find(call.registry.database, call.name)
    page, more = names[:size], len(names) > size
    following = _next(f"/v2/{call.spelled}/tags/list", n=size, last=page[-1]) if more else []
    return _json({"name": call.spelled, "tags": page}, following)


async def catalog(call: Call) -> Response:
    """`GET /v2/_catalog`: the repositories that this caller may pull from, as the hub sees it."""
    most = call.registry.limits.repositories
    asked = _page_size(call)
    size = min(_DEFAULT_CATALOG_PAGE, most) if asked is None else asked
    if size > most:
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", f"n must be at most {most}", {"n": size})
    caller = await call.registry.access.caller_of(call.grant)
    visible = await call.registry.access.visible(caller)
    last = call.request.parameter("last") or ""
    namespace = call.registry.default_namespace
    names = (
        await metadata.repositories.names_after(call.registry.database, visible, namespace, last, size + 1)
        if size
        else []
    )
    page, more = names[:size], len(names) > size
    following = _next("/v2/_catalog", n=size, last=page[-1]) if more else []
    return _json({"repositories": page}, following)


async def referrers(call: Call) -> Response:
    """`GET /v2/<name>/referrers/<digest>` (end-12): an index of what has that subject; never a 404.

    What clients of registries without this list keep under the tag ``sha256-<hex>`` is listed as well.
    """
    subject = Digest.parse(call.argument)
    wanted = call.request.parameter("artifactType")
    last = call.request.parameter("last") or ""
    limits = call.registry.limits
    found = await metadata.manifests.referrers(
        call.registry.database, call.name, subject, last, limits.referrers, limits.manifest
    )
    listed = [
        _Descriptor(
            row.media_type,
            row.digest,
            row.size,
            row.artifact_type or msgspec.UNSET,
            msgspec.Raw(row.annotations.encode()) if row.annotations else msgspec.UNSET,
        )
        for row in found.page
    ]
    if not found.more:
        listed += await _fallback(call, subject)
    headers: Headers = []
    if wanted is not None:
        listed = [each for each in listed if each.artifactType == wanted]
        headers.append((b"oci-filters-applied", b"artifactType"))
    if found.more:
        following = {"last": found.page[-1].digest} | ({} if wanted is None else {"artifactType": wanted})
        headers += _next(f"/v2/{call.spelled}/referrers/{subject}", **following)
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    return _json(body, headers, OCI_INDEX)


async def _fallback(call: Call, subject: Digest) -> list[_Descriptor]:
    """Return what the index under the subject's fallback tag lists and is in this repository, without what says
    itself that it refers to the subject: that is listed anyway."""
    if subject.algorithm != "sha256":
        return []
    try:
        found = await metadata.manifests.get(call.registry.database, call.name, Tag(f"sha256-{subject.hex}"))
        listed = _decode_index(found.content).manifests[: call.registry.limits.referrers]
    except (ManifestUnknown, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    here = await metadata.manifests.others_among(
        call.registry.database, call.name, subject, [each.digest for each in listed]
    )
    return [each for each in listed if each.digest in here]


class _Descriptor(msgspec.Struct):
    mediaType: str
    digest: str
    size: int
    artifactType: str | msgspec.UnsetType = msgspec.UNSET
    annotations: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Index(msgspec.Struct):
    manifests: list[_Descriptor] = []


_decode_index = msgspec.json.Decoder(_Index).decode


def _page_size(call: Call) -> int | None:
    text = call.request.parameter("n")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "n must be a whole number, 0 or more", {"n": text[:80]})
    return int(text)


def _next(path: str, **query: object) -> Headers:
    return [(b"link", f'<{path}?{urlencode(query)}>; rel="next"'.encode())]


def _json(value: object, headers: Headers, content_type: str = "application/json") -> Response:
    body = msgspec.json.encode(value)
    fixed: Headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    return Response(200, fixed + headers, body)
