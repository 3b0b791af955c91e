"""The real clients, each with one method for each of its verbs, so that a test can be written once for all of them.

What a method does is one command or a few, as its manual tells them; nothing here speaks the protocol itself.
"""

from tests.end_to_end.clients.client import Client, ClientFailed
from tests.end_to_end.clients.containers import Buildah, ContainerClient, Podman, diff_ids
from tests.end_to_end.clients.crane import Crane
from tests.end_to_end.clients.oras import Oras
from tests.end_to_end.clients.regctl import Regctl
from tests.end_to_end.clients.skopeo import Skopeo

#: By the name of the program.
CLIENTS: dict[str, type[Client]] = {each.program: each for each in (Skopeo, Podman, Buildah, Crane, Oras, Regctl)}

__all__ = [
    "CLIENTS",
    "Buildah",
    "Client",
    "ClientFailed",
    "ContainerClient",
    "Crane",
    "Oras",
    "Podman",
    "Regctl",
    "Skopeo",
    "diff_ids",
]
