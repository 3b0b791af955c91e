"""What was left out of a layer's facts, counted by reason and told in words."""

from __future__ import annotations

#: Different reasons that are kept; catalogers phrase theirs as they like.
_MOST = 100
#: Characters of a path that are shown.
_SHOWN = 120


class Remarks:
    """Counts what is alike, so that a million of them take no more room than one."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._more = 0

    def add(self, reason: str, path: str | bytes = "") -> None:
        """Remark on *path* (or on the layer as a whole) that something of it was left out, and why."""
        reason = reason if len(reason) <= 2 * _SHOWN else reason[: 2 * _SHOWN - 1] + "…"
        if reason in self._counts:
            self._counts[reason] += 1
        elif len(self._counts) < _MOST:
            text = path if isinstance(path, str) else path.decode("utf-8", "backslashreplace")
            self._counts[reason] = 1
            self._first[reason] = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        else:
            self._more += 1

    def lines(self) -> list[str]:
        """Return a line for each reason, in the order in which they came up."""
        lines = []
        for reason, count in self._counts.items():
            path = self._first[reason]
            line = f"{reason}: {path}" if path else reason
            lines.append(line if count == 1 else f"{line} (and {count - 1} more)")
        if self._more:
            lines.append(f"{self._more} other things were left out")
        return lines
