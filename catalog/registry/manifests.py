"""Manifests: ``/v2/<name>/manifests/<reference>`` (end-3, end-7, end-9)."""

from __future__ import annotations

from cas import Digest, Manifest, Tag, parse_reference
from catalog import metadata
from catalog.metadata.manifests import Push, StoredManifest
from catalog.registry.call import Call
from catalog.registry.errors import RegistryError
from catalog.registry.messages import Headers, Response

#: The tags that one push by digest may set.
_MOST_TAGS = 100
#: A Warning header's text stays well below this many bytes (OCI distribution specification, "Warnings").
_MOST_WARNING = 4000


async def head(call: Call) -> Response:
    """Tell a manifest's type, size and digest."""
    reference = parse_reference(call.argument)
    found = await metadata.manifests.stat(call.registry.database, call.name, reference)
    return Response(200, _describing(found))


async def get(call: Call) -> Response:
    """Send a manifest byte for byte as it was pushed, and count the pull."""
    reference = parse_reference(call.argument)
    found = await metadata.manifests.get(call.registry.database, call.name, reference)
    call.registry.pulls.count(found.repository_id)
    if call.request.header(b"if-none-match") == f'"{found.digest}"':
        return Response(304, _describing(found)[1:])
    return Response(200, _describing(found), found.content)


def _describing(found: StoredManifest) -> Headers:
    digest = found.digest.encode()
    return [
        (b"content-length", b"%d" % found.size),
        (b"content-type", found.media_type.encode()),
        (b"docker-content-digest", digest),
        (b"etag", b'"%s"' % digest),
        (b"x-content-type-options", b"nosniff"),
    ]


async def put(call: Call) -> Response:
    """Keep a manifest under its digest, and point tags to it: the reference, and each ``?tag=``."""
    reference = parse_reference(call.argument)
    tags = [Tag.parse(value) for key, value in call.request.query() if key == "tag"]
    if len(tags) >= _MOST_TAGS:
        raise RegistryError(400, "TAG_INVALID", f"one push sets at most {_MOST_TAGS - 1} tags")
    content = await call.request.body(call.registry.limits.manifest)
    algorithm = reference.algorithm if isinstance(reference, Digest) else "sha256"
    manifest = Manifest.parse(content, _media_type(call), algorithm)
    if isinstance(reference, Tag):
        also = [reference]
    else:
        also = []
        if reference != manifest.digest:
            raise RegistryError(
                400,
                "DIGEST_INVALID",
                f"the bytes are {manifest.digest}, not {reference}",
                {"expected": str(reference), "computed": str(manifest.digest)},
            )
    push = Push(
        name=call.name,
        manifest=manifest,
        tags=[*also, *tags],
        subject=call.grant.subject,
        public=call.registry.public_by_default,
        sparse=call.registry.sparse_manifests,
    )
    await call.registry.database.write(lambda tx: metadata.manifests.put(tx, push))
    headers: Headers = [
        (b"content-length", b"0"),
        (b"location", call.path(f"manifests/{manifest.digest}")),
        (b"docker-content-digest", manifest.digest.text.encode()),
    ]
    if manifest.subject is not None:
        headers.append((b"oci-subject", manifest.subject.text.encode()))
    if tags:
        headers.append((b"oci-tag", ", ".join(tag.text for tag in tags).encode()))
    return Response(201, headers)


def _media_type(call: Call) -> str | None:
    header = call.request.header(b"content-type")
    if header is None:
        return None
    media_type = header.partition(";")[0].strip()
    # What curl and some libraries send when nobody said anything else says nothing.
    return None if media_type in ("", "application/x-www-form-urlencoded", "application/octet-stream") else media_type


async def delete(call: Call) -> Response:
    """Delete a manifest by its digest with the tags that point to it, or a tag alone by its name."""
    reference = parse_reference(call.argument)
    database, name, subject = call.registry.database, call.name, call.grant.subject
    if isinstance(reference, Tag):
        tag = reference
        repository = await metadata.repositories.find(database, name)
        await database.write(lambda tx: metadata.tags.remove(tx, repository.id, name, tag, subject))
        return Response(202, [(b"content-length", b"0")])
    digest = reference
    holding = await database.write(lambda tx: metadata.manifests.remove(tx, name, digest, subject))
    headers: Headers = [(b"content-length", b"0")]
    if holding:
        text = f"still listed by {', '.join(holding)}"[:_MOST_WARNING]
        headers.append((b"warning", f'299 - "{text}"'.encode()))
    return Response(202, headers)
