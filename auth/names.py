"""Names of people: each is the name of their namespace too."""

from __future__ import annotations

import re
from dataclasses import dataclass

from auth.errors import InvalidPersonName

SHORTEST = 2
LONGEST = 64

#: Names that would be mistaken for something else: parts of addresses, roles, and the words of the protocol.
_RESERVED_TEXT = """
about account accounts admin administrator administrators all anonymous anybody api apps assets auth blob blobs
catalog config default docs everybody explore guest healthz help hub image images index layer layers library login
logout manifest manifests me metrics namespace namespaces new nobody null oauth oauth2 official org organisation
organisations organization organizations owner package packages password people person portolan private public
readyz registry repositories repository root scratch search security self session sessions set-up settings setup
sign-in sign-out sign-up signin signout signup static status support system tag tags token tokens undefined uploads
user users v1 v2 v3 well-known www
"""
RESERVED = frozenset(_RESERVED_TEXT.split())

# One component of a repository's name (OCI distribution specification, "Pulling manifests").
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_RULE = f"expected {SHORTEST} to {LONGEST} of a-z and 0-9, joined by single '.', '_', '__' or dashes"


@dataclass(frozen=True, slots=True, order=True)
class PersonName:
    """The name of somebody who has, or could have, an account."""

    text: str

    @classmethod
    def parse(cls, text: str) -> PersonName:
        """Read a name as somebody gives it who signs in.

        Raises:
            InvalidPersonName: *text* does not follow the grammar.
        """
        if not SHORTEST <= len(text) <= LONGEST or _COMPONENT.fullmatch(text) is None:
            raise InvalidPersonName(text, _RULE)
        return cls(text)

    @classmethod
    def choose(cls, text: str, default_namespace: str = "library") -> PersonName:
        """Read a name that a new account is to have.

        Raises:
            InvalidPersonName: *text* does not follow the grammar, or is reserved.
        """
        if text in RESERVED or text == default_namespace:
            raise InvalidPersonName(text, "it is reserved")
        return cls.parse(text)

    def __str__(self) -> str:
        return self.text
