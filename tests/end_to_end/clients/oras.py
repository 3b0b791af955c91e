"""oras: artifacts first, images as well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.clients.client import Client, platform_of
from tests.end_to_end.images import Blob, Content
from tests.end_to_end.layouts import read_layout, write_layout
from tests.services.portolan import Person

_PLAIN, _FROM_PLAIN, _TO_PLAIN = "--plain-http", "--from-plain-http", "--to-plain-http"


class Oras(Client):
    """Copies from an OCI layout and to one."""

    program = "oras"

    def own_settings(self) -> dict[str, str]:
        return {"DOCKER_CONFIG": str(self.folder / "docker")}

    def log_in(self, person: Person) -> None:
        self.run("login", _PLAIN, "-u", person.name, "--password-stdin", self.address, input=person.password)

    def log_out(self) -> None:
        self.run("logout", self.address)

    def push(self, content: Content, reference: str) -> None:
        layout = write_layout(self.fresh(), {"made": content})
        self.run("cp", _TO_PLAIN, "--from-oci-layout", f"{layout}:made", self.at(reference))

    def pull(self, reference: str) -> dict[str, bytes]:
        return self._pull(reference)

    def pull_platform(self, reference: str, platform: str) -> dict[str, bytes]:
        return self._pull(reference, f"--platform={platform}")

    def _pull(self, reference: str, *options: str) -> dict[str, bytes]:
        folder = self.fresh("pulled")
        self.run("cp", *options, _FROM_PLAIN, "--to-oci-layout", self.at(reference), f"{folder}:pulled")
        return read_layout(folder)

    def tags(self, repository: str) -> list[str]:
        return self.run("repo", "tags", _PLAIN, self.at(repository)).split()

    def repositories(self) -> list[str]:
        return self.run("repo", "ls", _PLAIN, self.address).split()

    def manifest(self, reference: str) -> bytes:
        return self.read("manifest", "fetch", _PLAIN, self.at(reference))

    def config(self, reference: str) -> bytes:
        return self.read("manifest", "fetch-config", _PLAIN, self.at(reference))

    def digest(self, reference: str) -> str:
        return self.run("resolve", _PLAIN, self.at(reference)).strip()

    def blob(self, repository: str, digest: str) -> bytes:
        return self.read("blob", "fetch", _PLAIN, "--output=-", self.at(f"{repository}@{digest}"))

    def push_blob(self, repository: str, content: bytes, digest: str) -> None:
        file = self.fresh("blob")
        file.write_bytes(content)
        self.run("blob", "push", _PLAIN, self.at(f"{repository}@{digest}"), file)

    def delete_blob(self, repository: str, digest: str) -> None:
        self.run("blob", "delete", "--force", _PLAIN, self.at(f"{repository}@{digest}"))

    def push_manifest(self, reference: str, manifest: Blob) -> None:
        file = self.fresh("manifest")
        file.write_bytes(manifest.content)
        self.run("manifest", "push", _PLAIN, f"--media-type={manifest.media_type}", self.at(reference), file)

    def copy(self, source: str, target: str) -> None:
        self.run("cp", _FROM_PLAIN, _TO_PLAIN, self.at(source), self.at(target))

    def copy_with_referrers(self, source: str, target: str) -> None:
        self.run("cp", "--recursive", _FROM_PLAIN, _TO_PLAIN, self.at(source), self.at(target))

    def tag(self, reference: str, tag: str) -> None:
        self.run("tag", _PLAIN, self.at(reference), tag)

    def delete(self, reference: str) -> None:
        self.run("manifest", "delete", "--force", _PLAIN, self.at(reference))

    def attach(self, reference: str, artifact_type: str, content: bytes) -> None:
        folder = self.fresh("attached")
        folder.mkdir()
        (folder / "attached").write_bytes(content)
        chosen = f"--artifact-type={artifact_type}"
        self.run("attach", _PLAIN, chosen, self.at(reference), "attached", folder=folder)

    def referrers(self, reference: str) -> list[str]:
        listed = json.loads(self.run("discover", _PLAIN, "--format=json", "--depth=1", self.at(reference)))
        return [entry["digest"] for entry in listed["referrers"] or []]

    def push_files(self, reference: str, files: dict[str, bytes]) -> None:
        folder = self.fresh("files")
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        self.run("push", _PLAIN, "--artifact-type=application/vnd.example", self.at(reference), *files, folder=folder)

    def pull_files(self, reference: str) -> dict[str, bytes]:
        folder = self.fresh("files")
        self.run("pull", _PLAIN, "--output", folder, self.at(reference))
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    def make_index(self, reference: str, members: Sequence[str]) -> None:
        """Of manifests in the same repository, named by their tags or digests."""
        within = [member.partition("@")[2] or member.rpartition(":")[2] for member in members]
        self.run("manifest", "index", "create", _PLAIN, self.at(reference), *within)

    def narrow_index(self, reference: str, target: str, platform: str) -> None:
        """Leave all but *platform* out of an index, under another tag."""
        self.tag(reference, target.rpartition(":")[2])
        left_out = [entry for entry in json.loads(self.manifest(target))["manifests"] if platform_of(entry) != platform]
        removed = [f"--remove={entry['digest']}" for entry in left_out]
        self.run("manifest", "index", "update", _PLAIN, *removed, self.at(target))

    def back_up(self, reference: str) -> Path:
        folder = self.fresh("backup")
        self.run("backup", _PLAIN, "--include-referrers", "--output", folder, self.at(reference))
        return folder

    def restore(self, folder: Path, reference: str) -> None:
        self.run("restore", _PLAIN, "--input", folder, self.at(reference))
