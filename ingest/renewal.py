"""Images that an earlier program read, read again by this one's catalogers: in the background, a few at a time.

    versions/1      by what all stacks were made (`ingest.versions`), when that was last seen to be so

What others made stays in use until its turn comes. A layer's turn comes with its first image, that of a push among
them; each is an ordinary job, which is tried again when it fails. Who is cut off goes over all images again and leaves
those alone whose turn has come.
"""

from __future__ import annotations

import asyncio
import logging
import time

from cas import CasError, Digest
from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown
from catalog.images.chains import chain_id
from catalog.metadata import documented, images
from database import Database, DatabaseError
from ingest.consumer import ask_again
from ingest.facts import Facts
from ingest.images import StoredManifest, every_image
from ingest.versions import MadeBy

_log = logging.getLogger(__name__)

_VERSIONS = DerivedName("versions/1")

#: Seconds between two looks at whether the jobs are done.
_LOOK_EVERY = 0.1
#: Seconds before it is begun again where database or store did not answer.
_AFTER_FAILURE = 30.0
#: Seconds between two lines that tell how far it has come.
_TELL_EVERY = 30.0


class Renewal:
    """Renews what others made. One works at a time in an installation, beside its worker."""

    def __init__(self, database: Database, derived: Derived, facts: Facts, made_by: MadeBy, at_once: int = 2) -> None:
        """Ask for *at_once* images at a time: what is pushed meanwhile waits for no more than these."""
        self._database = database
        self._derived = derived
        self._facts = facts
        self._made_by = made_by
        self._at_once = at_once

    async def run(self) -> None:
        """Renew all that there is, once; return when it is done."""
        while True:
            try:
                if await self._seen() != self._made_by.stack:
                    await self._renew()
                    await self._derived.put(_VERSIONS, self._made_by.stack.encode())
                return
            except (DatabaseError, CasError) as error:
                _log.warning("images cannot be read again now, tried in %g s: %s", _AFTER_FAILURE, error)
                await asyncio.sleep(_AFTER_FAILURE)

    async def _seen(self) -> str:
        try:
            return (await self._derived.get(_VERSIONS)).decode("ascii", "replace")
        except DerivedUnknown:
            return ""

    async def _renew(self) -> None:
        _, total = await documented.counts(self._database)
        looked_at = renewed = 0
        told = time.monotonic()
        async for some in every_image(self._database):
            stale = [stored for stored in some if await self._is_of_others(stored)]
            for start in range(0, len(stale), self._at_once):
                await self._have_read(stale[start : start + self._at_once])
                renewed += len(stale[start : start + self._at_once])
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    _log.info("%d images were read again, %d of %d manifests seen", renewed, looked_at, total)
            looked_at += len(some)
        if renewed:
            _log.info("%d images were read again by newer catalogers", renewed)

    async def _is_of_others(self, stored: StoredManifest) -> bool:
        """Tell whether something is known of the image's layers that others made."""
        assert stored.image is not None
        blobs = await self._facts.blobs([layer.digest for layer in stored.image.layers if stored.has(layer)])
        if any(blob is not None and blob.made_by != self._made_by.layer for blob in blobs):
            return True
        diff_ids = [Digest.parse(blob.diff_id) for blob in blobs if blob is not None]
        if not diff_ids or len(diff_ids) < len(stored.image.layers):
            return False
        return await self._facts.stack_made_by(chain_id(diff_ids)) not in (None, self._made_by.stack)

    async def _have_read(self, stale: list[StoredManifest]) -> None:
        """Ask for images, and wait until each was tried."""
        row_id, digests = stale[0].repository.id, [stored.digest.text for stored in stale]
        await ask_again(self._database, {row_id: digests})
        while True:
            waiting = await images.jobs_among(self._database, row_id, digests)
            if all(job.parked or job.error for job in waiting.values()):
                return
            await asyncio.sleep(_LOOK_EVERY)
