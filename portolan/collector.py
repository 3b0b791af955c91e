"""Python's collector of garbage, in processes that serve for long."""

from __future__ import annotations

import gc

#: Objects more than those that went, after which the young ones are looked at. An answer has thousands, which all go
#: by themselves when it is sent.
_YOUNG = 20_000


def keep_what_is_there() -> None:
    """Tell the collector that whatever there is now stays: the program itself, some hundred thousand objects. To go
    over them takes tens of milliseconds, in the middle of an answer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
