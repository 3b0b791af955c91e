"""Chores: small pieces of work that are due again and again.

Each has a task of its own and an interval. One that fails is logged and tried again, sooner at first; it never ends the
others. A chore does no harm when it is done twice, or is cut off in the middle.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

_log = logging.getLogger(__name__)

#: Seconds before a chore that failed is tried again; doubled each time, up to its interval.
FIRST_RETRY = 5.0


@dataclass(frozen=True, slots=True)
class Chore:
    """*work* is to be done every *interval* seconds, for the first time soon after the start."""

    name: str
    interval: float
    work: Callable[[], Awaitable[object]]


async def run_chores(chores: Sequence[Chore], still_ours: Callable[[], Awaitable[None]]) -> None:
    """Do *chores* until cancelled.

    *still_ours* is asked before each: what it raises, because another process may be doing them by now, ends them all.
    """
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(chore, still_ours), name=chore.name)


async def _repeat(chore: Chore, still_ours: Callable[[], Awaitable[None]]) -> None:
    failures = 0
    while True:
        await still_ours()
        try:
            await chore.work()
        except Exception:  # noqa: BLE001 - whatever it is, the others go on and it is tried again
            failures += 1
            _log.exception("the chore %r failed", chore.name)
        else:
            failures = 0
        # Off by up to a tenth, so that chores of one interval do not all come at once.
        wait = min(FIRST_RETRY * 2 ** (failures - 1), chore.interval) if failures else chore.interval
        await asyncio.sleep(wait * random.uniform(0.9, 1.0))  # noqa: S311 - nothing hangs on its being guessed
