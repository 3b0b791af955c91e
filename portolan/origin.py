"""The address that a client knows the service by: as it was set, or as this client asked for it."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

#: A host as it may stand in an address: nothing in it can end the quoted string of a challenge or the line.
HOST = re.compile(rb"[A-Za-z0-9._-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


class Origin:
    """Tells addresses. What proxies said was put into the scope before, where they are trusted (`portolan.front`)."""

    def __init__(self, public_url: str | None) -> None:
        self._public_url = public_url

    def address(self, scope: MutableMapping[str, Any]) -> str:
        """Return ``https://host``, without a slash at its end."""
        if self._public_url is not None:
            return self._public_url
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if HOST.fullmatch(host):
            return f"{scope['scheme']}://{host.decode()}"
        server = scope.get("server") or ("localhost", None)
        port = "" if server[1] is None else f":{server[1]}"
        return f"{scope['scheme']}://{f'[{server[0]}]' if ':' in server[0] else server[0]}{port}"

    def realm(self, scope: MutableMapping[str, Any]) -> str:
        """Return the address of the token endpoint, on the host that was asked: some clients accept no other."""
        return f"{self.address(scope)}/token"
