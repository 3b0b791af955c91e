"""distribution, the reference registry, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.services.programs import require
from tests.services.scripted import ScriptedServer


@dataclass(frozen=True)
class TokenAuthority:
    """Whose tokens the registry takes: the file of the public keys (JWKS), where clients are sent, and both names."""

    jwks: Path
    realm: str
    service: str = "portolan"
    issuer: str = "portolan"


class Distribution(ScriptedServer):
    """A distribution v3 on the file system.

    *environment* overrides its settings in the way it reads them: ``{"REGISTRY_STORAGE_DELETE_ENABLED": "false"}``.
    """

    script = "distribution.sh"

    def __init__(
        self,
        directory: Path,
        *,
        authority: TokenAuthority | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        arguments: list[str] = []
        if authority is not None:
            arguments = ["--jwks", str(authority.jwks), "--realm", authority.realm]
            arguments += ["--service", authority.service, "--issuer", authority.issuer]
        super().__init__(
            directory, *arguments, environment={"REGISTRY_PROGRAM": str(require("registry")), **(environment or {})}
        )

    @property
    def address(self) -> str:
        """``127.0.0.1:port``, as image names begin."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"
