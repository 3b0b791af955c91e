"""podman and buildah, which unpack what they pull and compress anew what they push."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.clients.client import Client, is_docker
from tests.end_to_end.images import Content
from tests.end_to_end.layouts import write_dir, write_layout
from tests.services.portolan import Person

_PLAIN = "--tls-verify=false"

# As in tests/docker: no control groups, and limits that a machine which is itself a container may set.
_CONTAINERS = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE = """
[storage]
driver = "vfs"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
# `manifest inspect` and `search` have no option for plain HTTP.
_REGISTRIES = """
short-name-mode = "disabled"
[[registry]]
location = "{address}"
insecure = true
"""


class ContainerClient(Client):
    """podman and buildah, with a storage of their own."""

    compresses = True

    def own_settings(self) -> dict[str, str]:
        written = {"containers.conf": _CONTAINERS, "storage.conf": _STORAGE, "registries.conf": _REGISTRIES}
        for name, text in written.items():
            (self.folder / name).write_text(text.format(folder=self.folder, address=self.address))
        (self.folder / "networks").mkdir()
        # `manifest inspect` and `pull --all-tags` look for it here, whatever the environment says; `search` wants the
        # file that the environment names to be there, signed in or not.
        credentials = self.folder / "home" / ".config" / "containers" / "auth.json"
        credentials.parent.mkdir(parents=True)
        credentials.write_text("{}")
        return {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "REGISTRY_AUTH_FILE": str(credentials),
            "BUILDAH_ISOLATION": "chroot",
        }

    def log_in(self, person: Person) -> None:
        self.run("login", _PLAIN, "-u", person.name, "--password-stdin", self.address, input=person.password)

    def log_out(self) -> None:
        self.run("logout", self.address)

    def load(self, content: Content) -> str:
        """Take an image into the storage; return its id."""
        source = (
            f"dir:{write_dir(self.fresh(), content)}"
            if is_docker(content)
            else f"oci:{write_layout(self.fresh(), {'made': content})}:made"
        )
        return self.run("pull", "-q", source).split()[-1]

    def push(self, content: Content, reference: str) -> None:
        self.push_image(self.load(content), reference, "v2s2" if is_docker(content) else "oci")

    def push_image(self, image: str, reference: str, form: str = "oci") -> None:
        self.run("push", _PLAIN, f"--format={form}", image, f"docker://{self.at(reference)}")

    def pull(self, reference: str) -> tuple[str, ...]:
        """Pull, and return the diff_ids of what is in the storage then."""
        return self.stored(self.run("pull", "-q", _PLAIN, self.at(reference)).split()[-1])

    def pull_platform(self, reference: str, platform: str) -> tuple[str, ...]:
        image = self.run("pull", "-q", _PLAIN, f"--platform={platform}", self.at(reference)).split()[-1]
        return self.stored(image)

    def stored(self, image: str) -> tuple[str, ...]:
        """Write an image of the storage out, and return the digests of its layers' bytes, unpacked."""
        folder = self.fresh("stored")
        self.run("push", "-q", image, f"dir:{folder}")
        manifest = json.loads((folder / "manifest.json").read_bytes())
        return diff_ids(
            [(folder / layer["digest"].removeprefix("sha256:")).read_bytes() for layer in manifest["layers"]]
        )

    def copy(self, source: str, target: str) -> None:
        """From one name in the registry to another, through the storage."""
        image = self.run("pull", "-q", _PLAIN, self.at(source)).split()[-1]
        self.run("tag", image, self.at(target))
        self.run("push", _PLAIN, self.at(target))

    def tag(self, reference: str, tag: str) -> None:
        self.copy(reference, f"{reference.partition(':')[0]}:{tag}")

    def manifest(self, reference: str) -> bytes:
        """Read a manifest list; it comes out formatted anew."""
        return self.read("manifest", "inspect", self.at(reference))

    def make_index(self, reference: str, members: Sequence[str]) -> None:
        index = self.fresh("index").name
        self.run("manifest", "create", index)
        for member in members:
            self.run("manifest", "add", _PLAIN, index, f"docker://{self.at(member)}")
        self.run("manifest", "push", "--all", _PLAIN, index, f"docker://{self.at(reference)}")

    def pull_all_tags(self, repository: str) -> None:
        self.run("pull", "-q", "--all-tags", _PLAIN, self.at(repository))

    def local_tags(self, repository: str) -> set[str]:
        listed = json.loads(self.run("images", "--json" if self.program == "buildah" else "--format=json"))
        names = [name for image in listed for name in (image.get("names") or image.get("Names") or [])]
        return {name.rpartition(":")[2] for name in names if name.startswith(self.at(repository) + ":")}


class Podman(ContainerClient):
    """podman, with its search."""

    program = "podman"

    def tags(self, repository: str) -> list[str]:
        listed = json.loads(self.run("search", "--list-tags", "--format=json", _PLAIN, self.at(repository)) or "[]")
        return [tag for entry in listed for tag in entry["Tags"]]

    def search(self, text: str) -> list[str]:
        listed = json.loads(self.run("search", "--format=json", _PLAIN, self.at(text)) or "[]")
        return [entry["Name"].removeprefix(f"{self.address}/") for entry in listed]

    def config(self, reference: str) -> bytes:
        """What podman tells of an image after pulling it, in the form of a config."""
        image = self.run("pull", "-q", _PLAIN, self.at(reference)).split()[-1]
        found = json.loads(self.run("image", "inspect", image))[0]
        return json.dumps({"author": found["Author"], "rootfs": {"diff_ids": found["RootFS"]["Layers"]}}).encode()

    def build_on(self, base: str, reference: str, label: str) -> None:
        """Build an image on one of the registry's, with a new label, and push it."""
        folder = self.fresh("build")
        folder.mkdir()
        (folder / "Containerfile").write_text(f"FROM {self.at(base)}\nCOPY Containerfile /built\nLABEL made={label}\n")
        self.run("build", _PLAIN, "--format=oci", "--tag", self.at(reference), folder)
        self.run("push", _PLAIN, self.at(reference))


class Buildah(ContainerClient):
    """buildah, with its working containers."""

    program = "buildah"

    def read(self, *arguments: str | Path, input: str | bytes = b"", folder: Path | None = None) -> bytes:
        # Other than podman it does not read the variable.
        registries = f"--registries-conf={self.folder / 'registries.conf'}"
        return super().read(registries, *arguments, input=input, folder=folder)

    def config(self, reference: str) -> bytes:
        """What buildah tells of an image after pulling it: the config itself."""
        image = self.run("pull", "-q", _PLAIN, self.at(reference)).split()[-1]
        return str(json.loads(self.run("inspect", "--type=image", image))["Config"]).encode()

    def build_on(self, base: str, reference: str, label: str) -> None:
        """Make a working container from an image of the registry, and commit it straight into the registry."""
        container = self.run("from", "-q", _PLAIN, self.at(base)).strip()
        added = self.fresh("file")
        added.write_text(label)
        self.run("copy", container, added, "/built")
        self.run("config", f"--label=made={label}", container)
        self.run("commit", "-q", _PLAIN, "--format=oci", "--rm", container, f"docker://{self.at(reference)}")


def diff_ids(layers: Sequence[bytes]) -> tuple[str, ...]:
    """The digests of layers before they were compressed."""
    plain = (gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer for layer in layers)
    return tuple(f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in plain)
