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
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from cas import CasError, Digest
from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown
from catalog.images.chains import chain_id
from catalog.metadata import documented, jobs
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
#: Seconds before images are looked at again of which facts were there and could not be read.
_UNREAD_AGAIN = 3600.0
#: Seconds between two lines that tell how far it has come.
_TELL_EVERY = 30.0


class _Image(NamedTuple):
    """An image to be read again. (Its manifest is not kept: it may take megabytes.)"""

    repository_id: str
    digest: str


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
                if await self._seen() == self._made_by.stack:
                    return
                if await self._renew():
                    await self._derived.put(_VERSIONS, self._made_by.stack.encode())
                    return
                wait = _UNREAD_AGAIN
            except (DatabaseError, CasError, OSError) as error:
                _log.warning("images cannot be read again now, tried in %g s: %s", _AFTER_FAILURE, error)
                wait = _AFTER_FAILURE
            await asyncio.sleep(wait)

    async def _seen(self) -> str:
        try:
            return (await self._derived.get(_VERSIONS)).decode("ascii", "replace")
        except DerivedUnknown:
            return ""

    async def _renew(self) -> bool:
        """Have images read again; tell whether of all of them it could be seen whether they are to be."""
        _, total = await documented.counts(self._database)
        looked_at = renewed = unread = 0
        told = time.monotonic()
        stale: list[_Image] = []
        async for stored in every_image(self._database):
            image = _Image(stored.repository.id, stored.digest.text)
            try:
                if await self._is_of_others(stored):
                    stale.append(image)
            except OSError as error:  # it is one image's, and others need not wait for its disk to be mended
                if not unread:
                    _log.warning(
                        "what is known of %s of %s cannot be read: %s", image.digest, image.repository_id, error
                    )
                unread += 1
            del stored
            looked_at += 1
            if len(stale) == self._at_once:
                await self._have_read(stale)
                renewed += len(stale)
                stale = []
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                _log.info("%d images were read again, %d of %d manifests seen", renewed, looked_at, total)
        await self._have_read(stale)
        renewed += len(stale)
        if renewed:
            _log.info("%d images were read again by newer catalogers", renewed)
        if unread:
            _log.warning("what is known of %d images cannot be read, looked at again in %g s", unread, _UNREAD_AGAIN)
        return not unread

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

    async def _have_read(self, stale: Sequence[_Image]) -> None:
        """Ask for images, and wait until each was tried: its job is gone, or has failed once more than before."""
        failed = {image: await self._failed(image) or 0 for image in stale}
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for image in stale:
            wanted[image.repository_id].append(image.digest)
        await ask_again(self._database, wanted)
        while failed:
            for image, before in list(failed.items()):
                now = await self._failed(image)
                if now is None or now > before:
                    del failed[image]
                else:
                    failed[image] = now  # somebody may have had it counted anew
            if failed:
                await asyncio.sleep(_LOOK_EVERY)

    async def _failed(self, image: _Image) -> int | None:
        return await jobs.attempts(self._database, image.repository_id, image.digest)
