"""The Authorization header (RFC 9110, section 11.6.2): Basic (RFC 7617) and Bearer (RFC 6750)."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field

from auth.errors import BadCredentials

#: Longer names and secrets than any that exist are refused before anything is computed from them.
LONGEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class Basic:
    """A name, and a password or a personal token."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A personal token or an access token."""

    secret: str = field(repr=False)


def parse_authorization(header: str | None) -> Basic | Bearer | None:
    """Read the header; None where there is none, or an empty name with an empty password, as some clients send it.

    Raises:
        BadCredentials: another scheme, or what follows the scheme does not read as it should (in UTF-8).
    """
    if header is None:
        return None
    scheme, _, rest = header.strip().partition(" ")
    rest = rest.strip()
    if len(rest) > LONGEST:
        raise BadCredentials
    match scheme.lower():
        case "bearer" if rest and rest.isascii():
            return Bearer(rest)
        case "basic":
            try:
                name, colon, secret = b64decode(rest, validate=True).decode().partition(":")
            except ValueError:
                raise BadCredentials from None
            if not colon:
                raise BadCredentials
            return Basic(name, secret) if name or secret else None
        case _:
            raise BadCredentials
