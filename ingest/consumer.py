"""From events to jobs.

    what changed                        whose documents are written anew
    repository.created                  the repository's
    repository.changed                  the repository's; if it was who may see it, or whether it is deprecated: with
                                        those of all that it holds
    repository.deleted                  the repository's, with those of all that it held: they are removed
    manifest.pushed                     the manifest's, the repository's
    manifest.deleted                    the manifest's, its children's (an index gave them its tags), the repository's
    tag.moved, tag.deleted              those of the manifests that it points to and pointed to, the repository's

What is asked for an index is handed on to its children when its turn comes (`ingest.worker`). Events of one reading ask
for a document once, and get one version together: they were all committed before it was made, so whoever begins the job
after that sees what each of them tells of.

Jobs and the cursor are written in one transaction: no event is lost, and one that is read twice would do no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from catalog.metadata import cursors, jobs
from catalog.metadata.cursors import Cursor
from catalog.metadata.jobs import EVERYTHING, REPOSITORY
from database import Database, DatabaseError, Transaction, events
from database.events import Event

_log = logging.getLogger(__name__)

#: The name of the cursor.
SEARCH = cursors.SEARCH
#: Seconds between two looks. The events are written by other processes, SQLite tells nobody of them, and a look costs
#: 15 µs there: twenty a second are less than any way of being told, and the first of what a push costs is no more than
#: this.
EVERY = 0.05
#: Events that are read at a time.
MOST = 500
#: Seconds before the next look at a database that did not answer.
_AFTER_FAILURE = 1.0


class Consumer:
    """Reads the events after its cursor."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, on_jobs: Callable[[], None]) -> None:
        """Read until cancelled; *on_jobs* is called when there are new jobs."""
        fails = False
        while True:
            try:
                read = await self.step()
            except DatabaseError as error:
                if not fails:
                    _log.warning("events cannot be read: %s", error)
                fails = True
                await asyncio.sleep(_AFTER_FAILURE)
                continue
            fails = False
            if read:
                on_jobs()
            if read < MOST:
                await asyncio.sleep(EVERY)

    async def step(self) -> int:
        """Turn the next events into jobs; return how many they were."""
        seen = await cursors.read(self._database, SEARCH)
        read = await events.read_after(self._database, seen.position, MOST)
        if not read:
            return 0
        version = max(seen.version + 1, *(event.position.sequence for event in read))
        wanted = documents_of(read)

        async def write(tx: Transaction) -> bool:
            if not await cursors.move(tx, SEARCH, seen, Cursor(read[-1].position, version)):
                return False
            for repository_id, digests in wanted.items():
                await jobs.ask(tx, repository_id, digests, version)
            return True

        return len(read) if await self._database.write(write) else 0


async def ask_again(database: Database, wanted: Mapping[str, Collection[str]]) -> None:
    """Have documents written anew though no event asks for it: digests, `REPOSITORY` and `EVERYTHING`, by repository.
    What is under way for them now does not count."""

    async def write(tx: Transaction) -> bool:
        seen = await cursors.read(tx, SEARCH)
        if not await cursors.move(tx, SEARCH, seen, Cursor(seen.position, seen.version + 1)):
            return False
        for repository_id, digests in wanted.items():
            await jobs.ask(tx, repository_id, digests, seen.version + 1)
        return True

    while not await database.write(write):  # on PostgreSQL somebody may have moved the cursor in between
        pass


def documents_of(read: Iterable[Event]) -> dict[str, set[str]]:
    """Return whose documents the events *read* ask for: digests, `REPOSITORY` and `EVERYTHING`, by repository."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for event in read:
        if event.repository_id is None:
            continue
        asked = wanted[event.repository_id]
        body = event.body
        match event.kind:
            case "repository.created":
                asked.add(REPOSITORY)
            case "repository.changed":
                same = all(body.get(name) == body.get(f"was_{name}") for name in ("public", "deprecated"))
                asked.add(REPOSITORY if same else EVERYTHING)
            case "repository.deleted":
                asked.add(EVERYTHING)
            case "manifest.pushed" | "manifest.deleted":
                asked |= {REPOSITORY, body["digest"], *body.get("children", ())}
            case "tag.moved" | "tag.deleted":
                asked |= {REPOSITORY, *(body[name] for name in ("digest", "was") if body.get(name))}
    return {repository_id: asked for repository_id, asked in wanted.items() if asked}
