"""Access tokens: what the hub signs and the registry believes (distribution specification, "Token Authentication").

iss   the public URL, or "portolan"          exp   iat + 300
sub   the person's id, "" for nobody         nbf   iat
aud   the service's name                     jti   random
access   [{"type", "name", "actions"}]       limits   the scopes of the personal token behind it, where it has any
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TypedDict

from joserfc import jwt

from auth.keys import ALGORITHM, SigningKey
from auth.limits import Limits

#: Seconds that a token lives.
LIFETIME = 300


class Access(TypedDict):
    """One entry of the ``access`` claim."""

    type: str
    name: str
    actions: list[str]


def sign_access_token(
    key: SigningKey,
    *,
    issuer: str,
    subject: str,
    audience: str,
    access: Sequence[Access],
    limits: Limits | None,
    now: int,
) -> str:
    """Make the token's text, signed with *key* and no other."""
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "exp": now + LIFETIME,
        "nbf": now,
        "iat": now,
        "jti": secrets.token_hex(16),
        "access": access,
    }
    if limits is not None:
        claims["limits"] = str(limits)
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, key.key, algorithms=[ALGORITHM])
