"""What a setting's text may be: each kind reads it, says what it expects, and writes it back.

`Kind.read` takes the text of a variable or a value of a TOML file and raises `ValueError` for what it cannot take; the
sentence that a person reads is made of `Kind.expected`, once, in `portolan.settings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

Network = IPv4Network | IPv6Network

_SIZES = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of setting."""

    #: What a person is told: "expected …".
    expected: str
    #: Takes text, or what TOML made of it; raises `ValueError`.
    read: Callable[[Any], T]
    #: Text that `read` turns into the same value again.
    write: Callable[[T], str] = str


class Address(NamedTuple):
    """Where to listen: a host (an address or a name, "" for every address of the machine) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _text_of(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value.strip()


def whole_number(least: int, most: int) -> Kind[int]:
    """A number without a fraction, between two others."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not least <= number <= most:
            raise ValueError
        return number

    return Kind(f"a whole number from {least} to {most}", read)


def at_most(most: str, kind: Kind[int]) -> Kind[int]:
    """A quantity of *kind* with an upper end, written as people write it."""

    def read(value: object) -> int:
        number = kind.read(value)
        if number > kind.read(most):
            raise ValueError
        return number

    return Kind(f"{kind.expected}, at most {most}", read)


def at_least(least: str, kind: Kind[int]) -> Kind[int]:
    """A quantity of *kind* with a lower end, written as people write it."""

    def read(value: object) -> int:
        number = kind.read(value)
        if number < kind.read(least):
            raise ValueError
        return number

    return Kind(f"{kind.expected}, at least {least}", read)


def one_of(*words: str) -> Kind[str]:
    """One of a few words."""

    def read(value: object) -> str:
        word = _text_of(value).lower()
        if word not in words:
            raise ValueError
        return word

    return Kind(f"{', '.join(words[:-1])} or {words[-1]}", read)


def matching(pattern: re.Pattern[str], expected: str) -> Kind[str]:
    """Text that follows *pattern*."""

    def read(value: object) -> str:
        text = _text_of(value)
        if pattern.fullmatch(text) is None:
            raise ValueError
        return text

    return Kind(expected, read)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """*kind*, or nothing, which is written as empty text."""

    def read(value: object) -> T | None:
        return None if value == "" else kind.read(value)

    def write(value: T | None) -> str:
        return "" if value is None else kind.write(value)

    return Kind(f"{kind.expected}, or empty", read, write)


def _read_path(value: object) -> Path:
    text = _text_of(value)
    if not text or "\0" in text:
        raise ValueError
    return Path(text).expanduser().absolute()


def _read_address(value: object) -> Address:
    host, colon, port = _text_of(value).rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError
    return Address(host, int(port))


def _read_public_url(value: object) -> str:
    text = _text_of(value).removesuffix("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError
    if parts.path or parts.query or parts.fragment:
        raise ValueError
    _ = parts.port  # raises for a port that is no number
    return f"{parts.scheme}://{parts.netloc}"


def _read_database_url(value: object) -> str:
    text = _text_of(value)
    if text.startswith("sqlite:///") and len(text) > len("sqlite:///"):
        return text
    if text.startswith(("postgresql://", "postgres://")) and len(urlsplit(text).path) > 1:
        return text
    raise ValueError


def _read_networks(value: object) -> tuple[Network, ...]:
    words = value if isinstance(value, list) else _text_of(value).split(",")
    return tuple(ip_network(_text_of(word)) for word in words if word != "" and _text_of(word))


def _read_quantity(units: dict[str, int]) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            number, unit = value, ""
        else:
            found = re.fullmatch(r"(\d{1,15})\s*([A-Za-z]*)", _text_of(value))
            if found is None:
                raise ValueError
            number, unit = int(found[1]), found[2].lower()
        if unit not in units or number <= 0:
            raise ValueError
        return number * units[unit]

    return read


PATH = Kind("a path", _read_path)
ADDRESS = Kind("host:port, such as 127.0.0.1:5000, [::1]:5000 or :5000 for every address", _read_address)
PUBLIC_URL = Kind("http:// or https:// with a host and perhaps a port, and no path", _read_public_url)
DATABASE_URL = Kind("sqlite:///path or postgresql://user:password@host/name", _read_database_url)
NETWORKS: Kind[tuple[Network, ...]] = Kind(
    "addresses or networks (10.0.0.0/8), separated by commas",
    _read_networks,
    lambda networks: ",".join(str(network) for network in networks),
)
SIZE = Kind("a number of bytes, or a number with KiB, MiB or GiB", _read_quantity(_SIZES))
DURATION = Kind("a number of seconds, or a number with s, m, h, d or w", _read_quantity(_SECONDS))
NAMESPACE = matching(_COMPONENT, "a-z and 0-9, joined by single '.', '_', '__' or dashes")
#: It stands in the challenge, where some clients look for the names of the schemes in the whole line.
AUDIENCE = matching(
    re.compile(r"(?!.*(?i:basic|bearer))[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}"),
    "letters, digits and . _ : / -, at most 255, without the words basic and bearer",
)
SECRET = matching(re.compile(r"[\x21-\x7e]{16,}"), "at least 16 visible ASCII characters without spaces")
