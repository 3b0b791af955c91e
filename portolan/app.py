"""How the program hangs together: every service is made here, from settings, and nowhere else.

foundations      database, store
services         the hub's, the catalog's, pages, health, figures
application      front ─┬─ registry    /v2/ and /v1/, nothing in between
                        └─ site        everything else, on Starlette
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from auth.access import Access
from auth.fingerprints import Fingerprints
from auth.keys import PublicKeys, SigningKeys
from auth.last_use import LastUse
from auth.passwords import Passwords
from auth.people import People
from auth.sessions import Sessions
from auth.set_up import SetUp
from auth.sign_in import SignIn
from auth.tokens import Tokens
from auth.verifier import Verifier
from cas import BlobStore
from cas.derived import Derived, DirectoryDerived
from cas.directory import DirectoryStore
from cas.layer_index.remote import RemoteLayerIndex
from catalog.browse import Browse
from catalog.browse.service import BrowseService
from catalog.content import Content
from catalog.metadata.pulls import PullCounter
from catalog.registry import Limits, Registry, RegistryApplication
from catalog.repositories import Repositories
from catalog.search.tantivy_engine import TantivySearch
from database import Database, DatabaseError, Query, connect
from portolan import banner, logs
from portolan.counted import CountedDatabase
from portolan.front import Application, Front
from portolan.health import Health
from portolan.metrics import Metrics
from portolan.origin import Origin
from portolan.settings import Settings
from portolan.site import metrics_site, site
from ui import Pages

#: The history of the database's tables.
MIGRATIONS = Path(__file__).with_name("migrations")

#: Seconds between two writings of pull counts.
_PULLS_EVERY = 10.0

log = logs.get_logger()

_ASK = Query(text("SELECT 1"))


@dataclass(frozen=True, slots=True)
class Foundations:
    """Where everything that is kept is kept."""

    database: Database
    store: BlobStore
    derived: Derived


@asynccontextmanager
async def foundations(settings: Settings) -> AsyncIterator[Foundations]:
    """Open the database and the store, and close them at the end.

    Raises:
        DatabaseUnavailable: the database cannot be opened.
    """
    database = await connect(settings.database, settings.database_connections)
    try:
        yield Foundations(database, DirectoryStore(settings.store), DirectoryDerived(settings.store))
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub's services: who somebody is, and what they may do."""

    passwords: Passwords
    people: People
    tokens: Tokens
    last_use: LastUse
    signing_keys: SigningKeys
    public_keys: PublicKeys
    verifier: Verifier
    access: Access
    sign_in: SignIn
    set_up: SetUp
    sessions: Sessions


async def hub(settings: Settings, database: Database, repositories: Repositories) -> Hub:
    """Make the hub's services; the keys that it needs are made where there are none yet."""
    namespace = settings.default_namespace
    fingerprints = await Fingerprints.open(database)
    passwords = Passwords()
    last_use = LastUse(database)
    tokens = Tokens(database, fingerprints, last_use)
    public_keys = PublicKeys(database)
    verifier = Verifier(public_keys, settings.audience, settings.issuer, namespace)
    access = Access(database, repositories, namespace)
    return Hub(
        passwords=passwords,
        people=People(database, passwords, namespace),
        tokens=tokens,
        last_use=last_use,
        signing_keys=await SigningKeys.open(database),
        public_keys=public_keys,
        verifier=verifier,
        access=access,
        sign_in=SignIn(database, passwords, tokens, verifier, access),
        set_up=SetUp(database, fingerprints, passwords, namespace),
        sessions=Sessions(database, fingerprints),
    )


@dataclass(frozen=True, slots=True)
class Services:
    """All that a web process needs."""

    settings: Settings
    database: Database
    hub: Hub
    repositories: Repositories
    registry: Registry
    browse: Browse
    pages: Pages
    origin: Origin
    health: Health
    metrics: Metrics


@asynccontextmanager
async def services(settings: Settings, *, shares_figures: bool = False) -> AsyncIterator[Services]:
    """Make the services of a web process, keep their background work going, and close them at the end.

    Raises:
        DatabaseError: the database cannot be used.
    """
    async with foundations(settings) as opened:
        metrics = Metrics(settings.figures if shares_figures else None)
        database: Database = CountedDatabase(opened.database, metrics.figures)
        repositories = Repositories(database)
        people = await hub(settings, database, repositories)
        pulls = PullCounter(database)
        origin = Origin(settings.public_url)
        public = settings.default_visibility == "public"
        content = Content(database, opened.store, public_by_default=public)
        engine = TantivySearch(settings.search)
        index = RemoteLayerIndex(settings.ingest_socket)
        browse = BrowseService(
            database, content, opened.derived, index, engine, people.access, settings.default_namespace
        )

        async def database_answers() -> dict[str, object]:
            await database.one(_ASK)
            return {}

        async def store_answers() -> dict[str, object]:
            await opened.store.free()
            return {}

        async def key_signs() -> dict[str, object]:
            await people.signing_keys.current()
            return {}

        made = Services(
            settings=settings,
            database=database,
            hub=people,
            repositories=repositories,
            registry=Registry(
                database=database,
                content=content,
                pulls=pulls,
                verifier=people.verifier,
                access=people.access,
                sign_in=people.sign_in,
                search=browse.repositories_with,
                realm=origin.realm,
                service=settings.audience,
                default_namespace=settings.default_namespace,
                public_by_default=public,
                sparse_manifests=settings.sparse_manifests == "accept",
                limits=Limits(manifest=settings.manifest_limit, ranges=settings.range_limit),
            ),
            browse=browse,
            pages=Pages(
                browse=browse,
                repositories=repositories,
                access=people.access,
                set_up=people.set_up,
                sign_in=people.sign_in,
                sessions=people.sessions,
                people=people.people,
                tokens=people.tokens,
                address=origin.address,
                commands=banner.first_push,
                default_namespace=settings.default_namespace,
            ),
            origin=origin,
            health=Health(
                {"database": database_answers, "store": store_answers, "signing_key": key_signs}, settings.heartbeat
            ),
            metrics=metrics,
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(metrics.keep()),
                group.create_task(people.last_use.run()),
                group.create_task(_write_pulls(pulls)),
            ]
            try:
                yield made
            finally:
                for task in tasks:
                    task.cancel()
        await people.passwords.close()
        await index.aclose()
        await engine.aclose()


def application(made: Services) -> Application:
    """Put the applications of a web process together."""
    return Front(
        RegistryApplication(made.registry),
        site(made),
        made.metrics.figures,
        made.settings.trusted_proxies,
        made.settings.access_log,
    )


def metrics_application(made: Services) -> Application:
    """Return what the listener of `metrics_listen` serves: figures and health."""
    return metrics_site(made)


async def _write_pulls(pulls: PullCounter) -> None:
    """Write pull counts now and then until cancelled, and once more then."""
    try:
        while True:
            await asyncio.sleep(_PULLS_EVERY)
            await _try_write_pulls(pulls)
    finally:
        await _try_write_pulls(pulls)


async def _try_write_pulls(pulls: PullCounter) -> None:
    try:
        await pulls.flush()
    except DatabaseError as error:  # it keeps them for the next time
        log.warning("pull counts were not written", reason=str(error))
