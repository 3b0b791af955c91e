"""Repositories: their names, who may see them, and how they come and go."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from auth import namespaces
from auth.access import Visible
from cas import RepositoryName
from catalog.errors import RepositoryUnknown
from catalog.metadata import tightened
from catalog.metadata.tables import links, pulls, repositories
from database import Query, Transaction, events, insert_or, json_items, new_id
from database.protocol import Reader

_BY_NAME = Query(select(repositories).where(repositories.c.name == bindparam("name")))
_BY_ID = Query(select(repositories).where(repositories.c.id == bindparam("row")))
_AFTER_ID = Query(
    select(repositories)
    .where(repositories.c.id > bindparam("row", type_=Text))
    .order_by(repositories.c.id)
    .limit(bindparam("most", type_=Integer))
)
_EVERYTHING = Query(select(repositories).order_by(repositories.c.name))
_PUBLIC = Query(select(repositories.c.public).where(repositories.c.name == bindparam("name")))
_ID = Query(
    select(repositories.c.id).where(repositories.c.name == bindparam("name")).with_for_update(read=True, key_share=True)
)
#: Against a push that would add a link between the look at the links and the deletion, and against another change.
_LOCKED = Query(select(repositories.c.id).where(repositories.c.name == bindparam("name")).with_for_update())
_INSERT = Query(
    insert_or(repositories).on_conflict_do_nothing(), "id", "name", "namespace", "public", "description", "created"
)
_SET = Query(
    update(repositories)
    .where(repositories.c.id == bindparam("row"))
    .values(
        public=func.coalesce(bindparam("new_public", type_=Integer), repositories.c.public),
        description=func.coalesce(bindparam("new_description", type_=Text), repositories.c.description),
        deprecated=func.coalesce(bindparam("new_deprecated", type_=Integer), repositories.c.deprecated),
    )
)
_DELETE = Query(delete(repositories).where(repositories.c.id == bindparam("row")))
_LINKED = Query(select(links.c.digest).where(links.c.repository_id == bindparam("row")))
_PULLS = Query(select(func.coalesce(func.sum(pulls.c.pulls), 0)).where(pulls.c.repository_id == bindparam("row")))


class Repository(NamedTuple):
    """A repository's row; *created* is in seconds since 1970. One that is *deprecated* works as any other: its owner
    advises against it, and search ranks it lower."""

    id: str
    name: RepositoryName
    public: bool
    description: str
    created: int
    deprecated: bool


async def find(reader: Reader, name: RepositoryName) -> Repository:
    """Return the repository.

    Raises:
        RepositoryUnknown: there is none of that name.
    """
    row = await reader.one(_BY_NAME, name=name.text)
    if row is None:
        raise RepositoryUnknown(name)
    return _repository(row)


async def by_id(reader: Reader, repository_id: str) -> Repository | None:
    """Return the repository, None where it is gone."""
    row = await reader.one(_BY_ID, row=repository_id)
    return None if row is None else _repository(row)


async def after(reader: Reader, repository_id: str, most: int) -> list[Repository]:
    """List repositories in the order of their ids, those after *repository_id*."""
    return [_repository(row) for row in await reader.all(_AFTER_ID, row=repository_id, most=most)]


async def everything(reader: Reader) -> list[Repository]:
    """Return all repositories by name."""
    return [_repository(row) for row in await reader.all(_EVERYTHING)]


async def is_public(reader: Reader, name: RepositoryName) -> bool | None:
    """Tell whether everybody may pull from it; None when there is no such repository."""
    row = await reader.one(_PUBLIC, name=name.text)
    return None if row is None else bool(row[0])


async def pull_count(reader: Reader, repository: Repository) -> int:
    """Tell how often something was pulled from it."""
    row = await reader.one(_PULLS, row=repository.id)
    return int(row[0]) if row is not None else 0


async def ensure(tx: Transaction, name: RepositoryName, *, public: bool) -> str:
    """Return the repository's id, making it (and its namespace) when it is not there: a first push does that.

    It stays there until *tx* ends: on PostgreSQL the row is locked against deletion.
    """
    while True:
        row = await tx.one(_ID, name=name.text)
        if row is not None:
            return str(row[0])
        await namespaces.ensure(tx, name.namespace)
        made = new_id()
        inserted = await tx.run(
            _INSERT,
            id=made,
            name=name.text,
            namespace=name.namespace,
            public=int(public),
            description="",
            created=int(time.time()),
        )
        if inserted:
            await events.record(tx, "repository.created", made, {"name": name.text, "public": public})
            return made


async def change(
    tx: Transaction,
    name: RepositoryName,
    *,
    public: bool | None = None,
    description: str | None = None,
    deprecated: bool | None = None,
) -> Repository:
    """Set what is not None, and return the repository as it is then. One that is made private is so in every search
    from the commit on.

    Raises:
        RepositoryUnknown: there is none of that name.
    """
    # Locked, so that of two changes at once each sees what the other made of it: what was public is what it changes.
    if await tx.one(_LOCKED, name=name.text) is None:
        raise RepositoryUnknown(name)
    before = await find(tx, name)
    await tx.run(
        _SET,
        row=before.id,
        new_public=None if public is None else int(public),
        new_description=description,
        new_deprecated=None if deprecated is None else int(deprecated),
    )
    after = await find(tx, name)
    version = await events.record(
        tx,
        "repository.changed",
        after.id,
        {
            "name": name.text,
            "public": after.public,
            "was_public": before.public,
            "deprecated": after.deprecated,
            "was_deprecated": before.deprecated,
        },
    )
    if before.public and not after.public:
        await tightened.add(tx, after.id, version)
    return after


async def remove(tx: Transaction, name: RepositoryName) -> list[str]:
    """Delete the repository with its tags, manifests and links; return the digests that it linked.

    Raises:
        RepositoryUnknown: there is none of that name.
    """
    if await tx.one(_LOCKED, name=name.text) is None:
        raise RepositoryUnknown(name)
    repository = await find(tx, name)
    linked = [str(digest) for (digest,) in await tx.all(_LINKED, row=repository.id)]
    await tx.run(_DELETE, row=repository.id)
    version = await events.record(tx, "repository.deleted", repository.id, {"name": name.text})
    await tightened.add(tx, repository.id, version)
    return linked


def _visible_condition() -> ColumnElement[bool]:
    """Whether a caller may read a repository, from the parameters that `_visible` gives."""
    by_namespace = repositories.c.namespace.in_(
        select(json_items(bindparam("namespaces", type_=Text)).table_valued("value").c.value)
    )
    return or_(bindparam("everything", type_=Integer) == 1, repositories.c.public == 1, by_namespace)


def _visible(visible: Visible) -> dict[str, object]:
    return {"everything": int(visible.everything), "namespaces": json.dumps(sorted(visible.namespaces))}


#: Whether a name is shown without its namespace: one component in the default namespace.
_SHORT = and_(
    repositories.c.namespace == bindparam("default_namespace", type_=Text),
    ~repositories.c.name.like(bindparam("deeper", type_=Text)),
)
_LONG_AFTER, _SHORT_AFTER = (
    Query(
        select(repositories.c.name, repositories.c.public)
        .where(_visible_condition(), condition, repositories.c.name > bindparam("last", type_=Text))
        .order_by(repositories.c.name)
        .limit(bindparam("most", type_=Integer))
    )
    for condition in (~_SHORT, _SHORT)
)


async def names_after(reader: Reader, visible: Visible, default_namespace: str, last: str, most: int) -> list[str]:
    """List the names that *visible* admits, as they are shown, in ASCII order, after *last* (which need not exist).

    The names that are shown without their namespace stand elsewhere in the order of what is stored, so two lists are
    read and merged. At most *most*.
    """
    spelled = {"default_namespace": default_namespace, "deeper": f"{default_namespace}/%/%"}
    long = await _admitted_after(reader, _LONG_AFTER, visible, last, most, spelled)
    short = await _admitted_after(reader, _SHORT_AFTER, visible, f"{default_namespace}/{last}", most, spelled)
    return sorted([name.text for name in long] + [name.short(default_namespace) for name in short])[:most]


async def _admitted_after(
    reader: Reader, query: Query, visible: Visible, last: str, most: int, spelled: dict[str, str]
) -> list[RepositoryName]:
    """Read on until *most* names were admitted: what narrows a token further is not in the statement."""
    found: list[RepositoryName] = []
    while len(found) < most:
        rows = await reader.all(query, last=last, most=most, **_visible(visible), **spelled)
        names = [(RepositoryName(name), bool(public)) for name, public in rows]
        found += [name for name, public in names if visible.admits(name, public)]
        if len(rows) < most:
            break
        last = names[-1][0].text
    return found


def _repository(row: tuple[Any, ...]) -> Repository:
    row_id, name, _, public, description, created, deprecated = row
    return Repository(row_id, RepositoryName(name), bool(public), description, created, bool(deprecated))
