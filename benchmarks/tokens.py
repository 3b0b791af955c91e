"""Bearer tokens for the load generator's clients."""

from __future__ import annotations

import base64
import json
import secrets
import time
import urllib.parse
import urllib.request
from typing import Any, Protocol

from joserfc import jwt
from joserfc.jwk import ECKey

#: Tokens live for 300 s. Those that are older than this, in seconds, are not given to a new measurement.
_FRESH = 200


class Issuer(Protocol):
    """Who issues tokens, and what a registry must know to trust them."""

    @property
    def realm(self) -> str: ...

    def issue(self, repository: str, actions: str) -> str: ...

    def keys(self) -> bytes:
        """The public keys, as a JSON Web Key Set (RFC 7517)."""
        ...


class PortolanIssuer:
    """Portolan's own hub: its token endpoint and its published keys."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.realm = f"http://{address}/token"
        self._keys = f"http://{address}/.well-known/jwks.json"
        self._tokens = f"http://{address}/api/v1/tokens"
        self._credentials = base64.b64encode(f"{user}:{password}".encode()).decode()

    def issue(self, repository: str, actions: str) -> str:
        query = urllib.parse.urlencode({"service": "portolan", "scope": f"repository:{repository}:{actions}"})
        request = urllib.request.Request(
            f"{self.realm}?{query}", headers={"Authorization": f"Basic {self._credentials}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            token: str = json.load(answer)["token"]
        granted = {
            action for entry in claims(token)["access"] if entry["name"] == repository for action in entry["actions"]
        }
        if granted != set(actions.split(",")):
            raise SystemExit(f"Portolan granted {sorted(granted)} on {repository}; the benchmark needs {actions}")
        return token

    def personal(self) -> str:
        """A personal token, for the JSON API."""
        headers = {"Authorization": f"Basic {self._credentials}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._tokens, json.dumps({"name": "benchmark"}).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            token: str = json.load(answer)["token"]
        return token

    def keys(self) -> bytes:
        with urllib.request.urlopen(self._keys, timeout=30) as answer:
            body: bytes = answer.read()
        return body


class OwnIssuer:
    """Issues the same kind of token where no Portolan runs (`--distribution-only`)."""

    realm = "http://127.0.0.1:9/token"  # nobody asks it

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", auto_kid=True)

    def issue(self, repository: str, actions: str) -> str:
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": actions.split(",")}]
        body = {"iss": "portolan", "aud": "portolan", "sub": secrets.token_hex(16), "jti": secrets.token_hex(16),
                "iat": now, "nbf": now, "exp": now + 300, "access": access}  # fmt: skip
        return jwt.encode({"alg": "ES256", "typ": "JWT", "kid": self._key.kid}, body, self._key)

    def keys(self) -> bytes:
        return json.dumps({"keys": [self._key.as_dict(private=False)]}).encode()


class Wallet:
    """Keeps a token for each client and repository for as long as it is fresh."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._held: dict[tuple[int, str, str], tuple[float, str]] = {}

    def tokens(self, clients: int, repository: str, actions: str) -> list[str]:
        """One token for each client: real ones do not share them, and a server may remember those it has verified."""
        return [self._token(client, repository, actions) for client in range(clients)]

    def _token(self, client: int, repository: str, actions: str) -> str:
        issued, token = self._held.get((client, repository, actions), (0.0, ""))
        if time.monotonic() - issued > _FRESH or not token:
            token = self._issuer.issue(repository, actions)
            self._held[client, repository, actions] = (time.monotonic(), token)
        return token


def claims(token: str) -> dict[str, Any]:
    """What a token says, unverified: that is for the servers, which the benchmark only tells what to expect."""
    body = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded
