"""Many clients at the same moment, on one web process and on two."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest

from tests.conftest import StartPortolan
from tests.end_to_end.clients import Buildah, Client, ContainerClient, Crane, Oras, Podman, Regctl, Skopeo
from tests.end_to_end.conftest import logged, unexpected
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Image, Maker
from tests.end_to_end.matrix import arrived
from tests.services import Portolan
from tests.services.portolan import Person

#: Six that push the very bytes that they are given, and two that compress them in their own way.
VERBATIM: tuple[type[Client], ...] = (Skopeo, Crane, Oras, Regctl, Skopeo, Crane)
COMPRESSING: tuple[type[Client], ...] = (Podman, Buildah)
ROUNDS = 8


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_push_the_same_new_layer_at_once(
    start_portolan: StartPortolan, tmp_path: Path, maker: Maker, workers: str
) -> None:
    """All succeed, and it is there once: into a repository that is not there either, until one of them makes it.

    A client that comes late finds the layer there. So they meet again with another one, until several of them sent it.
    """
    service = start_portolan({"PORTOLAN_WORKERS": workers})
    alice = service.add_person("alice")
    kinds = (*VERBATIM, *COMPRESSING)
    clients = [kind(tmp_path / str(number), service.address) for number, kind in enumerate(kinds)]
    for client in clients:
        client.log_in(alice)

    sent = 0
    for number in range(ROUNDS):
        layer = maker.layer(size=8_000_000)
        push_at_once(clients, f"alice/app{number}", [maker.image([layer]) for _ in kinds], service, alice)
        sent = sum(line.get("received") == layer.blob.size for line in logged(service))
        if sent > 1:
            break
    assert sent > 1, "the first was always done before the second began: this tested nothing"
    assert not list(service.data.rglob("uploads/*")), "every session came to its end"
    assert not unexpected(service)


def push_at_once(
    clients: Sequence[Client], repository: str, images: Sequence[Image], service: Portolan, alice: Person
) -> None:
    """Let each client push its image, all of one layer, and see that all of it arrived."""
    [layer] = images[0].layers
    start = Barrier(len(clients), timeout=60)

    def push(number: int) -> None:
        client, image, reference = clients[number], images[number], f"{repository}:v{number}"
        if isinstance(client, ContainerClient):
            loaded = client.load(image)
            start.wait()
            client.push_image(loaded, reference)
        else:
            start.wait()
            client.push(image, reference)

    with ThreadPoolExecutor(len(clients)) as threads:
        for done in [threads.submit(push, number) for number in range(len(clients))]:
            done.result()

    with Direct(service.url, alice) as direct:
        assert direct.tags(repository) == [f"v{number}" for number in range(len(clients))]
        for number, (client, image) in enumerate(zip(clients, images, strict=True)):
            assert arrived(client, direct, f"{repository}:v{number}", image)
    kept = [
        file.read_bytes()
        for file in (service.data / "store" / "blobs").rglob(layer.blob.digest.removeprefix("sha256:"))
    ]
    assert len(kept) == 1
    assert kept[0] == layer.blob.content


def test_an_upload_may_go_through_another_process_with_each_chunk(
    start_portolan: StartPortolan, tmp_path: Path, maker: Maker
) -> None:
    """Balancers send each request wherever they like; here they alternate between two nodes on the same data."""
    nodes = [start_portolan(command=("serve",), directory=tmp_path), start_portolan(None, ("web",), tmp_path)]
    alice = nodes[0].add_person("alice")
    content = maker.random_bytes(160_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with ExitStack() as connections:
        ways = itertools.cycle([connections.enter_context(Direct(node.url, alice)).http for node in nodes])
        location = next(ways).post("/v2/alice/app/blobs/uploads/").headers["location"]
        for at in range(0, len(content), 10_000):
            chunk = content[at : at + 10_000]
            sent = next(ways).patch(location, content=chunk, headers={"Content-Range": f"{at}-{at + len(chunk) - 1}"})
            assert sent.status_code == 202, sent.text
            location = sent.headers["location"]
        # Both know how far it came, whoever is asked.
        assert [next(ways).get(location).headers["range"] for _ in nodes] == [f"0-{len(content) - 1}"] * 2
        done = next(ways).put(location, params={"digest": digest})
        assert done.status_code == 201, done.text
        assert [next(ways).get(f"/v2/alice/app/blobs/{digest}").content for _ in nodes] == [content] * 2
        assert [next(ways).get(location).status_code for _ in nodes] == [404, 404]
    assert not unexpected(nodes[0])
