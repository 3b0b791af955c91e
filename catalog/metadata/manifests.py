"""Manifests: kept as they came, with what each refers to."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, Text, bindparam, delete, func, or_, select, text, true

from cas import Digest, Manifest, Reference, RepositoryName, Role, Tag
from catalog.errors import ManifestBlobUnknown, ManifestUnknown
from catalog.metadata import blobs, repositories, tags
from catalog.metadata.tables import manifest_references, manifests
from catalog.metadata.tables import repositories as repositories_table
from catalog.metadata.tables import tags as tags_table
from database import Query, Transaction, events, insert_or, json_items
from database.protocol import Reader

_HEAD = (manifests.c.repository_id, manifests.c.digest, manifests.c.media_type, manifests.c.size)
_IN_REPOSITORY = manifests.join(repositories_table, repositories_table.c.id == manifests.c.repository_id)
_TAGGED = _IN_REPOSITORY.join(
    tags_table,
    (tags_table.c.repository_id == manifests.c.repository_id) & (tags_table.c.digest == manifests.c.digest),
)
_BY_DIGEST = (repositories_table.c.name == bindparam("name"), manifests.c.digest == bindparam("reference"))
_BY_TAG = (repositories_table.c.name == bindparam("name"), tags_table.c.name == bindparam("reference"))
_STAT = {
    Digest: Query(select(*_HEAD).select_from(_IN_REPOSITORY).where(*_BY_DIGEST)),
    Tag: Query(select(*_HEAD).select_from(_TAGGED).where(*_BY_TAG)),
}
_GET = {
    Digest: Query(select(*_HEAD, manifests.c.content).select_from(_IN_REPOSITORY).where(*_BY_DIGEST)),
    Tag: Query(select(*_HEAD, manifests.c.content).select_from(_TAGGED).where(*_BY_TAG)),
}
_AMONG = select(json_items(bindparam("digests", type_=Text)).table_valued("value").c.value)
_KEEP = Query(
    insert_or(manifests).on_conflict_do_update(
        index_elements=["repository_id", "digest"],
        set_={
            "media_type": text("excluded.media_type"),
            "artifact_type": text("excluded.artifact_type"),
            "subject": text("excluded.subject"),
            "annotations": text("excluded.annotations"),
        },
        where=manifests.c.media_type != text("excluded.media_type"),
    ),
    "repository_id",
    "digest",
    "media_type",
    "size",
    "artifact_type",
    "subject",
    "annotations",
    "pushed",
    "content",
)
_REFER = Query(
    insert_or(manifest_references)
    .from_select(
        ["repository_id", "parent", "role", "child"],
        select(
            bindparam("repository", type_=Text),
            bindparam("manifest", type_=Text),
            bindparam("as_role", type_=Text),
            json_items(bindparam("children", type_=Text)).table_valued("value").c.value,
        ).where(true()),  # SQLite takes ON CONFLICT for a join's ON where the SELECT ends without a WHERE
    )
    .on_conflict_do_nothing()
)
_REMOVE = Query(
    delete(manifests).where(
        manifests.c.repository_id == bindparam("repository"), manifests.c.digest == bindparam("manifest")
    )
)
_HOLDING = Query(
    select(manifest_references.c.parent)
    .where(
        manifest_references.c.repository_id == bindparam("repository"),
        manifest_references.c.child == bindparam("manifest"),
        manifest_references.c.role == Role.MANIFEST.value,
    )
    .order_by(manifest_references.c.parent)
    .limit(bindparam("most", type_=Integer))
)
_CHILDREN = Query(
    select(manifest_references.c.child)
    .where(
        manifest_references.c.repository_id == bindparam("repository"),
        manifest_references.c.parent == bindparam("manifest"),
        manifest_references.c.role == Role.MANIFEST.value,
    )
    .order_by(manifest_references.c.child)
)
_REFERRERS = Query(
    select(
        manifests.c.digest,
        manifests.c.media_type,
        manifests.c.size,
        manifests.c.artifact_type,
        func.coalesce(func.length(manifests.c.annotations), 0),
    )
    .select_from(_IN_REPOSITORY)
    .where(
        repositories_table.c.name == bindparam("name"),
        manifests.c.subject == bindparam("subject"),
        manifests.c.digest > bindparam("last", type_=Text),
    )
    .order_by(manifests.c.digest)
    .limit(bindparam("most", type_=Integer))
)


_ANNOTATIONS = Query(
    select(manifests.c.digest, manifests.c.annotations)
    .select_from(_IN_REPOSITORY)
    .where(repositories_table.c.name == bindparam("name"), manifests.c.digest.in_(_AMONG))
)
_OTHERS_AMONG = Query(
    select(manifests.c.digest)
    .select_from(_IN_REPOSITORY)
    .where(
        repositories_table.c.name == bindparam("name"),
        manifests.c.digest.in_(_AMONG),
        or_(manifests.c.subject.is_(None), manifests.c.subject != bindparam("subject")),
    )
)


class StoredManifest(NamedTuple):
    """A manifest as it is served; *size* in bytes, *content* empty where only its head was asked for."""

    repository_id: str
    digest: str
    media_type: str
    size: int
    content: bytes = b""


class Referrer(NamedTuple):
    """What a list of referrers says of one; *annotations* is a JSON object's text, empty where it has none."""

    digest: str
    media_type: str
    size: int
    artifact_type: str | None
    annotations: str


class Referrers(NamedTuple):
    """One page of referrers, and whether there are more after it."""

    page: list[Referrer]
    more: bool


async def stat(reader: Reader, name: RepositoryName, reference: Reference) -> StoredManifest:
    """Return what is known of a manifest without reading its bytes.

    Raises:
        ManifestUnknown: the reference names none in the repository, or there is no such repository.
    """
    row = await reader.one(_STAT[type(reference)], name=name.text, reference=reference.text)
    if row is None:
        raise ManifestUnknown(name, reference)
    return StoredManifest(*row)


async def get(reader: Reader, name: RepositoryName, reference: Reference) -> StoredManifest:
    """Return a manifest with its bytes.

    Raises:
        ManifestUnknown: the reference names none in the repository, or there is no such repository.
    """
    row = await reader.one(_GET[type(reference)], name=name.text, reference=reference.text)
    if row is None:
        raise ManifestUnknown(name, reference)
    return StoredManifest(*row)


class Push(NamedTuple):
    """A manifest that is pushed: where to, under which tags, by whom, and what its repository is to be if new."""

    name: RepositoryName
    manifest: Manifest
    tags: Sequence[Tag]
    subject: str
    public: bool
    sparse: bool


async def put(tx: Transaction, push: Push) -> None:
    """Keep a manifest, and move tags to it. What it needs must be in the repository: elsewhere is not enough.

    A child of an index may come later or never (an index may be sparse); so may a layer that lies elsewhere, and with
    *sparse* every blob.

    Raises:
        ManifestBlobUnknown: blobs that it needs are not linked in the repository.
    """
    manifest = push.manifest
    repository_id = await repositories.ensure(tx, push.name, public=push.public)
    if not push.sparse:
        await _require_blobs(tx, repository_id, push)
    changed = await tx.run(_KEEP, **_row(repository_id, manifest))
    for role in Role:
        children = sorted({found.digest.text for found in manifest.references if found.role is role})
        if children:
            await tx.run(
                _REFER,
                repository=repository_id,
                manifest=manifest.digest.text,
                as_role=role.value,
                children=json.dumps(children),
            )
    if changed:
        body = {"name": push.name.text, "digest": manifest.digest.text, "media_type": manifest.media_type}
        await events.record(tx, "manifest.pushed", repository_id, body)
    for tag in push.tags:
        await tags.move(tx, repository_id, push.name, tag, manifest.digest, push.subject)


async def _require_blobs(tx: Transaction, repository_id: str, push: Push) -> None:
    needed = {
        found.digest.text
        for found in push.manifest.references
        if found.role is not Role.MANIFEST and not found.optional
    }
    missing = needed - await blobs.linked_among(tx, repository_id, json.dumps(sorted(needed)))
    if missing:
        raise ManifestBlobUnknown(push.name, sorted(missing))


def _row(repository_id: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "repository_id": repository_id,
        "digest": manifest.digest.text,
        "media_type": manifest.media_type,
        "size": len(manifest.content),
        "artifact_type": manifest.artifact_type,
        "subject": None if manifest.subject is None else manifest.subject.text,
        "annotations": json.dumps(manifest.annotations) if manifest.annotations else None,
        "pushed": int(time.time()),
        "content": manifest.content,
    }


async def remove(tx: Transaction, name: RepositoryName, digest: Digest, subject: str) -> list[str]:
    """Delete a manifest and the tags that point to it; return the digests of some indexes that still hold it.

    Raises:
        ManifestUnknown: there is none of that digest in the repository.
    """
    found = await stat(tx, name, digest)
    await tags.remove_pointing_to(tx, found.repository_id, name, digest, subject)
    holding = await tx.all(_HOLDING, repository=found.repository_id, manifest=digest.text, most=10)
    # What an index held goes with its row, and whoever reads the event has to know whose tags it took along.
    children = [
        str(child) for (child,) in await tx.all(_CHILDREN, repository=found.repository_id, manifest=digest.text)
    ]
    await tx.run(_REMOVE, repository=found.repository_id, manifest=digest.text)
    body = {"name": name.text, "digest": digest.text, **({"children": children} if children else {})}
    await events.record(tx, "manifest.deleted", found.repository_id, body)
    return [str(parent) for (parent,) in holding]


async def referrers(
    reader: Reader, name: RepositoryName, subject: Digest, last: str, most: int, most_bytes: int
) -> Referrers:
    """List the manifests whose subject is *subject*, by digest, after *last*.

    A page has at most *most* of them, and ends before their annotations are more than *most_bytes* characters; one is
    always on it.
    """
    rows = await reader.all(_REFERRERS, name=name.text, subject=subject.text, last=last, most=most + 1)
    taken, length = 0, 0
    for row in rows[:most]:
        length += row[4]
        if taken and length > most_bytes:
            break
        taken += 1
    page = rows[:taken]
    digests = json.dumps([row[0] for row in page if row[4]])
    annotations: dict[str, str] = dict(await reader.all(_ANNOTATIONS, name=name.text, digests=digests))
    listed = [
        Referrer(digest, media_type, size, artifact_type, annotations.get(digest, ""))
        for digest, media_type, size, artifact_type, _ in page
    ]
    return Referrers(listed, len(rows) > taken)


async def others_among(reader: Reader, name: RepositoryName, subject: Digest, digests: Sequence[str]) -> set[str]:
    """Return those of *digests* that are manifests of the repository and do not say themselves that they refer to
    *subject*."""
    rows = await reader.all(_OTHERS_AMONG, name=name.text, subject=subject.text, digests=json.dumps(list(digests)))
    return {str(digest) for (digest,) in rows}
