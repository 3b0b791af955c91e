"""The commands that clients pull and push with, to be copied: with what they need where nothing is encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be typed for a client; several lines are several commands."""

    client: str
    text: str


def pull(address: str, reference: str) -> list[Command]:
    """List commands that fetch *reference* (``name:tag`` or ``name@digest``) from the service at *address*."""
    plain = address.startswith("http://")
    image = f"{urlsplit(address).netloc}/{reference}"
    folder = reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
    tls, source = (" --tls-verify=false", " --src-tls-verify=false") if plain else ("", "")
    return [
        Command("docker", f"docker pull {image}"),
        Command("podman", f"podman pull{tls} {image}"),
        Command("skopeo", f"skopeo copy{source} docker://{image} oci:{folder}"),
        Command("crane", f"crane pull {image} {folder}.tar"),
        Command("oras", f"oras cp{' --from-plain-http' if plain else ''} --to-oci-layout {image} {folder}"),
        Command("regctl", f"regctl image copy {image} ocidir://{folder}"),
        Command("containerd", f"ctr images pull{' --plain-http' if plain else ''} {image}"),
    ]


def pull_artifact(address: str, reference: str) -> list[Command]:
    """List commands that fetch what is no image, which those that run images refuse."""
    plain = address.startswith("http://")
    artifact = f"{urlsplit(address).netloc}/{reference}"
    folder = reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return [
        Command("oras", f"oras pull{' --plain-http' if plain else ''} {artifact}"),
        Command("regctl", f"regctl artifact get {artifact}"),
        Command("skopeo", f"skopeo copy{' --src-tls-verify=false' if plain else ''} docker://{artifact} oci:{folder}"),
    ]


def push(address: str, name: str) -> list[Command]:
    """List commands that push an image that is there already, under the tag TAG, into the repository *name*."""
    plain = address.startswith("http://")
    host = urlsplit(address).netloc
    image = f"{host}/{name}:TAG"
    tls, target = (" --tls-verify=false", " --dest-tls-verify=false") if plain else ("", "")
    return [
        Command("docker", f"docker login {host}\ndocker tag IMAGE {image}\ndocker push {image}"),
        Command("podman", f"podman login{tls} {host}\npodman push{tls} IMAGE {image}"),
        Command("skopeo", f"skopeo login{tls} {host}\nskopeo copy --all{target} oci:DIRECTORY docker://{image}"),
        Command("crane", f"crane auth login {host}\ncrane push FILE.tar {image}"),
    ]
