"""People: accounts, their passwords, and who is an administrator."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Integer, Text, bindparam, delete, func, insert, select, update

from auth import namespaces
from auth.errors import BadCredentials, LastAdministrator, NameTaken, PersonUnknown
from auth.names import PersonName
from auth.passwords import Passwords, check_new_password
from auth.tables import people, setup_links, tokens
from database import Conflict, Database, Query, Row, Transaction, new_id
from database.protocol import Reader

_COLUMNS = (
    people.c.id,
    people.c.name,
    people.c.administrator,
    people.c.disabled,
    people.c.generation,
    people.c.created,
)
_BY_NAME = Query(select(*_COLUMNS).where(people.c.name == bindparam("name")))
_BY_ID = Query(select(*_COLUMNS).where(people.c.id == bindparam("row")))
_WITH_PASSWORD = Query(select(*_COLUMNS, people.c.password).where(people.c.name == bindparam("name")))
_LIST = Query(
    select(*_COLUMNS)
    .where(people.c.name > bindparam("after", type_=Text))
    .order_by(people.c.name)
    .limit(bindparam("most", type_=Integer))
)
_INSERT = Query(insert(people), "id", "name", "password", "generation", "administrator", "disabled", "created")
_NEW_PASSWORD = (
    update(people)
    .where(people.c.id == bindparam("row"))
    .values(password=bindparam("hashed"), generation=people.c.generation + 1)
)
_RESET_PASSWORD = Query(_NEW_PASSWORD)
_CHANGE_PASSWORD = Query(_NEW_PASSWORD.where(people.c.generation == bindparam("expected")))
_SET_DISABLED = Query(update(people).where(people.c.id == bindparam("row")).values(disabled=bindparam("flag")))
_SET_ADMINISTRATOR = Query(
    update(people).where(people.c.id == bindparam("row")).values(administrator=bindparam("flag"))
)
# Two who take the right from each other at once would leave nobody: the rows are locked where an engine can do that.
_ACTIVE_ADMINISTRATORS = Query(
    select(people.c.id)
    .where(people.c.administrator == 1, people.c.disabled == 0)
    .order_by(people.c.id)
    .with_for_update()
)
_COUNT_ADMINISTRATORS = Query(select(func.count()).select_from(people).where(people.c.administrator == 1))
_FORGET_REFRESH_TOKENS = Query(
    delete(tokens).where(tokens.c.person_id == bindparam("person"), tokens.c.kind == "refresh")
)
_CLOSE_SETUP_LINK = Query(update(setup_links).where(setup_links.c.used.is_(None)).values(used=bindparam("now")))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account. *generation* counts the passwords that were set; *created* is in seconds since 1970."""

    id: str
    name: str
    administrator: bool
    disabled: bool
    generation: int
    created: int


class People:
    """Makes, changes and lists accounts. Whoever calls this has made sure that the caller may."""

    def __init__(self, database: Database, passwords: Passwords, default_namespace: str = "library") -> None:
        self._database = database
        self._passwords = passwords
        self._default_namespace = default_namespace

    async def add(self, name: str, password: str | None = None, *, administrator: bool = False) -> Person:
        """Make an account and the namespace of the same name. Without a password nobody can sign in with one.

        Raises:
            InvalidPersonName: *name* does not follow the grammar, or is reserved.
            InvalidPassword: *password* cannot be one.
            NameTaken: there is a person or a namespace of that name.
        """
        chosen = PersonName.choose(name, self._default_namespace)
        hashed = None
        if password is not None:
            hashed = await self._passwords.hash(check_new_password(password, chosen.text))

        async def work(tx: Transaction) -> Person:
            if administrator:
                await tx.run(_CLOSE_SETUP_LINK, now=int(time.time()))
            return await insert_person(tx, chosen, hashed, administrator=administrator)

        try:
            return await self._database.write(work)
        except Conflict:  # somebody made it between our look and our insert
            raise NameTaken(chosen.text) from None

    async def find(self, name: str) -> Person:
        """Return the person called *name*.

        Raises:
            PersonUnknown: there is none.
        """
        return await _find(self._database, name)

    async def everybody(self, after: str = "", most: int = 1000) -> list[Person]:
        """List people by name, at most *most*, after the name *after* (which need not exist)."""
        return [_person(row) for row in await self._database.all(_LIST, after=after, most=most)]

    async def set_password(self, name: str, password: str, *, generation: int | None = None) -> None:
        """Give a person a new password; their refresh tokens end, their personal tokens stay.

        Where the right to do so came from the earlier password, *generation* is that password's.

        Raises:
            PersonUnknown: there is none of that name.
            InvalidPassword: *password* cannot be one.
            BadCredentials: the password was changed by somebody else since *generation*.
        """
        person = await _find(self._database, name)
        hashed = await self._passwords.hash(check_new_password(password, name))

        async def work(tx: Transaction) -> None:
            if generation is None:
                await tx.run(_RESET_PASSWORD, row=person.id, hashed=hashed)
            elif not await tx.run(_CHANGE_PASSWORD, row=person.id, hashed=hashed, expected=generation):
                raise BadCredentials
            await tx.run(_FORGET_REFRESH_TOKENS, person=person.id)

        await self._database.write(work)

    async def set_disabled(self, name: str, disabled: bool) -> None:
        """Shut a person out, or let them in again. Their refresh tokens end, their personal tokens rest.

        Raises:
            PersonUnknown: there is none of that name.
            LastAdministrator: nobody else could administer.
        """

        async def work(tx: Transaction) -> None:
            person = await _find(tx, name)
            if disabled:
                await _keep_an_administrator(tx, person)
                await tx.run(_FORGET_REFRESH_TOKENS, person=person.id)
            await tx.run(_SET_DISABLED, row=person.id, flag=int(disabled))

        await self._database.write(work)

    async def set_administrator(self, name: str, administrator: bool) -> None:
        """Give a person the rights of an administrator, or take them away.

        Raises:
            PersonUnknown: there is none of that name.
            LastAdministrator: nobody else could administer.
        """

        async def work(tx: Transaction) -> None:
            person = await _find(tx, name)
            if administrator:
                await tx.run(_CLOSE_SETUP_LINK, now=int(time.time()))
            else:
                await _keep_an_administrator(tx, person)
            await tx.run(_SET_ADMINISTRATOR, row=person.id, flag=int(administrator))

        await self._database.write(work)


async def insert_person(tx: Transaction, name: PersonName, hashed: str | None, *, administrator: bool) -> Person:
    """Add the rows of an account: the person and the namespace.

    Raises:
        NameTaken: there is a person or a namespace of that name.
        Conflict: somebody else is making it at this moment.
    """
    if await tx.one(_BY_NAME, name=name.text) is not None or await namespaces.exists(tx, name.text):
        raise NameTaken(name.text)
    person = Person(new_id(), name.text, administrator, False, 1, int(time.time()))
    await tx.run(
        _INSERT,
        id=person.id,
        name=person.name,
        password=hashed,
        generation=person.generation,
        administrator=int(administrator),
        disabled=0,
        created=person.created,
    )
    await namespaces.add(tx, person.name, person.id)
    return person


async def has_administrator(reader: Reader) -> bool:
    """Tell whether anybody was ever made an administrator: one who is disabled counts, or anyone could follow them."""
    row = await reader.one(_COUNT_ADMINISTRATORS)
    return row is not None and row[0] > 0


async def by_id(reader: Reader, person_id: str) -> Person | None:
    """Return the person with that id."""
    row = await reader.one(_BY_ID, row=person_id)
    return None if row is None else _person(row)


async def with_password(reader: Reader, name: str) -> tuple[Person | None, str | None]:
    """Return the person called *name* and the hash of their password; None for what there is not."""
    row = await reader.one(_WITH_PASSWORD, name=name)
    return (None, None) if row is None else (_person(row[:-1]), row[-1])


async def _find(reader: Reader, name: str) -> Person:
    row = await reader.one(_BY_NAME, name=name)
    if row is None:
        raise PersonUnknown(name)
    return _person(row)


async def _keep_an_administrator(tx: Transaction, leaving: Person) -> None:
    active = [row[0] for row in await tx.all(_ACTIVE_ADMINISTRATORS)]
    if active == [leaving.id]:
        raise LastAdministrator(leaving.name)


def _person(row: Row) -> Person:
    person_id, name, administrator, disabled, generation, created = row
    return Person(person_id, name, bool(administrator), bool(disabled), generation, created)
