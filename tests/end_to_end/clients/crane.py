"""crane: works on the registry itself, mostly without a copy on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.clients.client import Client
from tests.end_to_end.images import Content
from tests.end_to_end.layouts import read_layout, write_layout
from tests.services.portolan import Person


class Crane(Client):
    """Pushes from an OCI layout and pulls to one."""

    program = "crane"

    def own_settings(self) -> dict[str, str]:
        return {"DOCKER_CONFIG": str(self.folder / "docker")}

    def log_in(self, person: Person) -> None:
        self.run("auth", "login", "-u", person.name, "--password-stdin", self.address, input=person.password)

    def log_out(self) -> None:
        self.run("auth", "logout", self.address)

    def push(self, content: Content, reference: str) -> None:
        self._run("push", write_layout(self.fresh(), {"made": content}), self.at(reference))

    def pull(self, reference: str) -> dict[str, bytes]:
        folder = self.fresh("pulled")
        self._run("pull", "--format=oci", self.at(reference), folder)
        return read_layout(folder)

    def pull_platform(self, reference: str, platform: str) -> dict[str, bytes]:
        folder = self.fresh("pulled")
        self._run("pull", f"--platform={platform}", "--format=oci", self.at(reference), folder)
        return read_layout(folder)

    def tags(self, repository: str) -> list[str]:
        return self._run("ls", self.at(repository)).split()

    def repositories(self) -> list[str]:
        return self._run("catalog", self.address).split()

    def manifest(self, reference: str) -> bytes:
        return self.read("manifest", "--insecure", self.at(reference))

    def config(self, reference: str) -> bytes:
        return self.read("config", "--insecure", self.at(reference))

    def digest(self, reference: str) -> str:
        return self._run("digest", self.at(reference)).strip()

    def blob(self, repository: str, digest: str) -> bytes:
        return self.read("blob", "--insecure", self.at(f"{repository}@{digest}"))

    def copy(self, source: str, target: str) -> None:
        self._run("copy", self.at(source), self.at(target))

    def tag(self, reference: str, tag: str) -> None:
        self._run("tag", self.at(reference), tag)

    def delete(self, reference: str) -> None:
        self._run("delete", self.at(reference))

    def delete_tag(self, reference: str) -> None:
        self._run("delete", self.at(reference))

    def make_index(self, reference: str, members: Sequence[str]) -> None:
        listed = [option for member in members for option in ("-m", self.at(member))]
        self._run("index", "append", *listed, "-t", self.at(reference))

    def narrow_index(self, reference: str, target: str, platform: str) -> None:
        self._run("index", "filter", self.at(reference), f"--platform={platform}", "-t", self.at(target))

    def change_label(self, reference: str, target: str, label: str) -> None:
        self._run("mutate", f"--label=made={label}", "-t", self.at(target), self.at(reference))

    def add_layer(self, reference: str, target: str, tar: Path) -> None:
        self._run("append", "-b", self.at(reference), "-f", tar, "-t", self.at(target))

    def check(self, reference: str) -> None:
        self._run("validate", "--remote", self.at(reference))

    def files_of(self, reference: str) -> bytes:
        """All files of an image, in one tar."""
        return self.read("export", "--insecure", self.at(reference), "-")

    def copy_repository(self, source: str, target: str) -> None:
        self._run("copy", "--all-tags", self.at(source), self.at(target))

    def _run(self, *arguments: str | Path) -> str:
        return self.run(*arguments, "--insecure")
