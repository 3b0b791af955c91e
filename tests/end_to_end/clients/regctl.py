"""regctl, of regclient: has a word for nearly every request of the protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.clients.client import Client, platform_of
from tests.end_to_end.images import Blob, Content
from tests.end_to_end.layouts import read_layout, write_layout
from tests.services.portolan import Person


class Regctl(Client):
    """Copies from an OCI layout (``ocidir:``) and to one."""

    program = "regctl"

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder, address)
        self.run("registry", "set", "--tls=disabled", "--skip-check", address)

    def own_settings(self) -> dict[str, str]:
        return {"REGCTL_CONFIG": str(self.folder / "regctl.json"), "DOCKER_CONFIG": str(self.folder / "docker")}

    def log_in(self, person: Person) -> None:
        self.run("registry", "login", "-u", person.name, "--pass-stdin", self.address, input=person.password)

    def log_out(self) -> None:
        self.run("registry", "logout", self.address)

    def push(self, content: Content, reference: str) -> None:
        layout = write_layout(self.fresh(), {"made": content})
        self.run("image", "copy", f"ocidir://{layout}:made", self.at(reference))

    def pull(self, reference: str) -> dict[str, bytes]:
        return self._pull(reference)

    def pull_platform(self, reference: str, platform: str) -> dict[str, bytes]:
        return self._pull(reference, f"--platform={platform}")

    def _pull(self, reference: str, *options: str) -> dict[str, bytes]:
        folder = self.fresh("pulled")
        self.run("image", "copy", *options, self.at(reference), f"ocidir://{folder}:pulled")
        return read_layout(folder)

    def tags(self, repository: str) -> list[str]:
        return self.run("tag", "ls", self.at(repository)).split()

    def repositories(self) -> list[str]:
        # It reads one page, of a hundred if nobody says more.
        return self.run("repo", "ls", "--limit=1000", self.address).split()

    def manifest(self, reference: str) -> bytes:
        return self.read("manifest", "get", "--format=raw-body", self.at(reference))

    def config(self, reference: str) -> bytes:
        return self.read("image", "inspect", "--format=raw-body", self.at(reference))

    def digest(self, reference: str) -> str:
        return self.run("image", "digest", self.at(reference)).strip()

    def blob(self, repository: str, digest: str) -> bytes:
        return self.read("blob", "get", self.at(repository), digest)

    def push_blob(self, repository: str, content: bytes, digest: str) -> None:
        self.run("blob", "put", f"--digest={digest}", self.at(repository), input=content)

    def delete_blob(self, repository: str, digest: str) -> None:
        self.run("blob", "delete", self.at(repository), digest)

    def push_manifest(self, reference: str, manifest: Blob) -> None:
        self.run("manifest", "put", f"--content-type={manifest.media_type}", self.at(reference), input=manifest.content)

    def copy(self, source: str, target: str) -> None:
        self.run("image", "copy", self.at(source), self.at(target))

    def copy_with_referrers(self, source: str, target: str) -> None:
        self.run("image", "copy", "--referrers", self.at(source), self.at(target))

    def tag(self, reference: str, tag: str) -> None:
        self.copy(reference, f"{reference.partition(':')[0]}:{tag}")

    def delete(self, reference: str) -> None:
        self.run("manifest", "delete", self.at(reference))

    def delete_tag(self, reference: str) -> None:
        self.run("tag", "delete", self.at(reference))

    def attach(self, reference: str, artifact_type: str, content: bytes) -> None:
        self.run("artifact", "put", f"--artifact-type={artifact_type}", "--subject", self.at(reference), input=content)

    def referrers(self, reference: str) -> list[str]:
        listed = json.loads(self.run("artifact", "list", "--format={{json .}}", self.at(reference)))
        return [entry["digest"] for entry in listed["descriptors"]]

    def referrer_tree(self, reference: str) -> str:
        return self.run("artifact", "tree", self.at(reference))

    def push_files(self, reference: str, files: dict[str, bytes]) -> None:
        folder = self.fresh("files")
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        listed = [option for name in files for option in (f"--file={name}", "--file-media-type=text/plain")]
        chosen = "--artifact-type=application/vnd.example"
        self.run("artifact", "put", chosen, "--file-title", *listed, self.at(reference), folder=folder)

    def pull_files(self, reference: str) -> dict[str, bytes]:
        folder = self.fresh("files")
        folder.mkdir()
        self.run("artifact", "get", "--output", folder, self.at(reference))
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    def make_index(self, reference: str, members: Sequence[str]) -> None:
        self.run("index", "create", *(f"--ref={self.at(member)}" for member in members), self.at(reference))

    def narrow_index(self, reference: str, target: str, platform: str) -> None:
        """Leave all but *platform* out of an index, under another tag."""
        self.copy(reference, target)
        left_out = [entry for entry in json.loads(self.manifest(target))["manifests"] if platform_of(entry) != platform]
        self.run("index", "delete", *(f"--digest={entry['digest']}" for entry in left_out), self.at(target))

    def change_label(self, reference: str, target: str, label: str) -> None:
        self.run("image", "mod", f"--label=made={label}", "--create", self.at(target), self.at(reference))

    def add_layer(self, reference: str, target: str, tar: Path) -> None:
        self.run("image", "mod", f"--layer-add=tar={tar}", "--create", self.at(target), self.at(reference))

    def rename_digests(self, reference: str, target: str) -> None:
        """Make the same image anew with SHA-512 throughout."""
        self.run("image", "mod", "--digest-algo=sha512", "--create", self.at(target), self.at(reference))

    def copy_repository(self, source: str, target: str) -> None:
        self.run("repo", "copy", self.at(source), self.at(target))

    def back_up(self, reference: str) -> Path:
        file = self.fresh("backup")
        self.run("image", "export", self.at(reference), file)
        return file

    def restore(self, folder: Path, reference: str) -> None:
        self.run("image", "import", self.at(reference), folder)
