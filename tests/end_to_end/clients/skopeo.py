"""skopeo: copies between registries and folders."""

from __future__ import annotations

import json

from tests.end_to_end.clients.client import Client, is_docker, is_index
from tests.end_to_end.images import Content
from tests.end_to_end.layouts import read_dir, write_dir, write_layout
from tests.services.portolan import Person

_PLAIN = "--tls-verify=false"
_FROM_PLAIN, _TO_PLAIN = "--src-tls-verify=false", "--dest-tls-verify=false"


class Skopeo(Client):
    """Pushes from an OCI layout, or from its own ``dir:`` where the image is Docker's; pulls to ``dir:``."""

    program = "skopeo"

    def own_settings(self) -> dict[str, str]:
        return {"REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}

    def at(self, reference: str) -> str:
        return f"docker://{super().at(reference)}"

    def log_in(self, person: Person) -> None:
        self.run("login", _PLAIN, "-u", person.name, "--password-stdin", self.address, input=person.password)

    def log_out(self) -> None:
        self.run("logout", self.address)

    def push(self, content: Content, reference: str) -> None:
        source = (
            f"dir:{write_dir(self.fresh(), content)}"
            if is_docker(content)
            else f"oci:{write_layout(self.fresh(), {'made': content})}:made"
        )
        self.copy_from(source, reference, whole=is_index(content))

    def copy_from(self, source: str, reference: str, *, whole: bool = True) -> None:
        every = ["--all"] if whole else []
        self.run("copy", *every, "--preserve-digests", _FROM_PLAIN, _TO_PLAIN, source, self.at(reference))

    def copy(self, source: str, target: str) -> None:
        self.copy_from(self.at(source), target)

    def tag(self, reference: str, tag: str) -> None:
        self.copy(reference, f"{reference.partition(':')[0]}:{tag}")

    def pull(self, reference: str) -> dict[str, bytes]:
        folder = self.fresh("pulled")
        self.run("copy", "--all", "--preserve-digests", _FROM_PLAIN, self.at(reference), f"dir:{folder}")
        return read_dir(folder)

    def pull_platform(self, reference: str, platform: str) -> dict[str, bytes]:
        os, architecture, *variant = platform.split("/")
        folder = self.fresh("pulled")
        chosen = [
            f"--override-os={os}",
            f"--override-arch={architecture}",
            *(f"--override-variant={v}" for v in variant),
        ]
        self.run(*chosen, "copy", "--preserve-digests", _FROM_PLAIN, self.at(reference), f"dir:{folder}")
        return read_dir(folder)

    def tags(self, repository: str) -> list[str]:
        return list(json.loads(self.run("list-tags", _PLAIN, self.at(repository)))["Tags"])

    def manifest(self, reference: str) -> bytes:
        return self.read("inspect", "--raw", _PLAIN, self.at(reference))

    def config(self, reference: str) -> bytes:
        return self.read("inspect", "--config", "--raw", _PLAIN, self.at(reference))

    def digest(self, reference: str) -> str:
        return str(json.loads(self.run("inspect", _PLAIN, self.at(reference)))["Digest"])

    def delete(self, reference: str) -> None:
        self.run("delete", _PLAIN, self.at(reference))

    def copy_repository(self, source: str, target: str) -> None:
        """From a repository to folders and back: it copies no repository to another name."""
        folder = self.fresh("synced")
        self.run("sync", "--all", _FROM_PLAIN, "--src=docker", "--dest=dir", f"{self.address}/{source}", folder)
        for image in sorted(folder.iterdir()):
            self.copy_from(f"dir:{image}", f"{target}:{image.name.rpartition(':')[2]}")
