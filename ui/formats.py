"""Numbers, sizes, times, digests and instructions as people read them: pure functions, the templates' filters."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_STEPS = (
    (60, 1, "second"),
    (3600, 60, "minute"),
    (86_400, 3600, "hour"),
    (30 * 86_400, 86_400, "day"),
    (365 * 86_400, 30 * 86_400, "month"),
)
_NOP = re.compile(r"^/bin/sh -c #\(nop\)\s*")
_SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ (?:\S+=(?:\"[^\"]*\"|\S*) )*)?/bin/(?:ba|da|)sh -c\s+")
_BUILDKIT = re.compile(r"\s*# buildkit$")

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def size(count: int | None) -> str:
    """``1.4 GiB``; bytes below 1 KiB as they are."""
    if count is None:
        return "–"
    if abs(count) < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in _UNITS:
        amount /= 1024
        if abs(amount) < 999.5 or unit == _UNITS[-1]:
            break
    return f"{amount:.0f} {unit}" if abs(amount) >= 100 else f"{amount:.1f} {unit}"


def signed_size(count: int) -> str:
    """A difference: ``+12.0 MiB``, ``−3 B``."""
    return f"{'+' if count > 0 else '−' if count < 0 else '±'}{size(abs(count))}"


def number(count: int) -> str:
    """``12,345``."""
    return f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 image``, ``12 images``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ago(moment: int, now: float | None = None) -> str:
    """``3 hours ago``; ``just now`` also for what a clock elsewhere puts into the future."""
    if not moment:
        return "never"
    seconds = int((time.time() if now is None else now) - moment)
    if seconds < 5:
        return "just now"
    for below, each, name in _STEPS:
        if seconds < below:
            return f"{plural(seconds // each, name)} ago"
    return f"{plural(seconds // (365 * 86_400), 'year')} ago"


def until(moment: int, now: float | None = None) -> str:
    """``in 3 hours``."""
    seconds = int(moment - (time.time() if now is None else now))
    if seconds < 60:
        return "within a minute"
    for below, each, name in _STEPS:
        if seconds < below:
            return f"in {plural(seconds // each, name)}"
    return f"in {plural(seconds // (365 * 86_400), 'year')}"


def moment(seconds: int) -> str:
    """``2026-11-24 00:03 UTC``; empty for what is no time."""
    return _formatted(seconds, "%Y-%m-%d %H:%M UTC")


def machine_time(seconds: int) -> str:
    """The same for a program: ``2026-11-24T00:03:00Z``."""
    return _formatted(seconds, "%Y-%m-%dT%H:%M:%SZ")


def _formatted(seconds: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return ""


def short(digest: str) -> str:
    """The first twelve characters of a digest's hexadecimal part."""
    return digest.partition(":")[2][:12] or digest[:12]


def instruction(created_by: str) -> str:
    """An entry of the history as it stood in the build file: without what builders put around it."""
    text = _BUILDKIT.sub("", created_by.strip())
    if _NOP.match(text):
        return _NOP.sub("", text).strip()
    if _SHELL.match(text):
        return "RUN " + _SHELL.sub("", text).strip()
    return text


def mode(bits: int, kind: str) -> str:
    """``drwxr-xr-x``."""
    letters = {"directory": "d", "symlink": "l", "device": "b", "pipe": "p"}.get(kind, "-")
    for shift, (special, letter) in zip((6, 3, 0), ((0o4000, "s"), (0o2000, "s"), (0o1000, "t")), strict=True):
        three = bits >> shift
        letters += "r" if three & 4 else "-"
        letters += "w" if three & 2 else "-"
        if bits & special:
            letters += letter if three & 1 else letter.upper()
        else:
            letters += "x" if three & 1 else "-"
    return letters


def command_line(words: list[str]) -> str:
    """The words of an entrypoint or a command, as JSON: what is one word stays one."""
    return json.dumps(words, ensure_ascii=False)


def browser(agent: str) -> str:
    """``Firefox on Linux``: what a ``User-Agent`` says of a browser and its system, as far as people know these names.

    Browsers claim to be each other: of the names that are found, the first one of the list is the one that is meant.
    """
    name = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    if not name:
        return agent or "A browser that does not say its name"
    return f"{name} on {system}" if system else name


def path_of(text: str) -> str:
    """Quote what somebody chose for use in the path of an address; slashes stay."""
    return quote(text, safe="/@+:~,=!")


def link(path: str, /, **parameters: object) -> str:
    """Put an address together; parameters that are empty or None are left out."""
    query = urlencode(
        [(name.rstrip("_"), str(value)) for name, value in parameters.items() if value not in (None, "", False)]
    )
    return f"{path}?{query}" if query else path


def share(part: int, whole: int) -> str:
    """A part as a percentage for a width: ``37.5%``; what is there at all can be seen."""
    if whole <= 0 or part <= 0:
        return "0%"
    return f"{min(100.0, max(0.4, 100 * part / whole)):.2f}%"


def reference(name: str, tag: str) -> str:
    """``name:tag``, ``name@digest``."""
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


def sentence(text: str) -> str:
    """The text with a capital at its beginning and a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".") if text else ""


def counted(counts: Mapping[str, int]) -> int:
    """The sum of some counts."""
    return sum(counts.values())
