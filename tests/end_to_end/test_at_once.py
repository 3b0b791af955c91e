"""Many clients at the same moment, on one web process and on two."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from tests.conftest import StartPortolan
from tests.end_to_end.clients import Buildah, Client, Crane, Oras, Podman, Regctl, Skopeo, diff_ids
from tests.end_to_end.conftest import logged, unexpected
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Maker, everything

#: Six that push the very bytes that they are given, and two that compress them in their own way.
VERBATIM: tuple[type[Client], ...] = (Skopeo, Crane, Oras, Regctl, Skopeo, Crane)
COMPRESSING: tuple[type[Podman | Buildah], ...] = (Podman, Buildah)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_push_the_same_new_layer_at_once(
    start_portolan: StartPortolan, tmp_path: Path, maker: Maker, workers: str
) -> None:
    """All succeed, and it is there once: into a repository that is not there either, until one of them makes it."""
    service = start_portolan({"PORTOLAN_WORKERS": workers})
    alice = service.add_person("alice")
    layer = maker.layer(size=12_000_000)
    images = [maker.image([layer]) for _ in (*VERBATIM, *COMPRESSING)]
    at_once = Barrier(len(images))

    def pusher(number: int, kind: type[Client]) -> Callable[[], None]:
        client, image = kind(tmp_path / str(number), service.address), images[number]
        client.log_in(alice)
        loaded = client.load(image) if isinstance(client, Podman | Buildah) else None

        def push() -> None:
            at_once.wait()
            if loaded is not None:
                assert isinstance(client, Podman | Buildah)
                client.push_image(loaded, f"alice/app:v{number}")
            else:
                client.push(image, f"alice/app:v{number}")

        return push

    with ThreadPoolExecutor(len(images)) as threads:
        pushers = list(threads.map(pusher, range(len(images)), (*VERBATIM, *COMPRESSING)))
        for done in [threads.submit(push) for push in pushers]:
            done.result()

    with Direct(service.url, alice) as direct:
        assert direct.tags("alice/app") == [f"v{number}" for number in range(len(images))]
        for number, image in enumerate(images[: len(VERBATIM)]):
            assert direct.everything("alice/app", f"v{number}") == everything(image)
        for number in range(len(VERBATIM), len(images)):
            [pushed] = direct.json("alice/app", f"v{number}")["layers"]
            assert diff_ids([direct.blob("alice/app", pushed["digest"]).content]) == (layer.diff_id,)
    kept = list((service.data / "blobs").rglob(layer.blob.digest.removeprefix("sha256:")))
    assert [file.read_bytes() for file in kept] == [layer.blob.content]
    assert not [left for left in (service.data / "uploads").rglob("*") if left.is_file()]
    assert not unexpected(service)
    # That they met is told by how many of them sent the whole layer.
    sent = [line for line in logged(service) if line.get("received") == layer.blob.size]
    assert len(sent) > 1, "the first was done before the second began: this tested nothing"


def test_an_upload_may_go_through_another_process_with_each_chunk(start_portolan: StartPortolan, maker: Maker) -> None:
    """Balancers send each request wherever they like; so does the kernel, with a connection for each request."""
    service = start_portolan({"PORTOLAN_WORKERS": "2"})
    alice = service.add_person("alice")
    content = maker.random_bytes(300_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def ask(method: str, path: str, **options: object) -> httpx.Response:
        with Direct(service.url, alice) as once:
            return once.http.request(method, path, **options)  # type: ignore[arg-type]

    location = ask("POST", "/v2/alice/app/blobs/uploads/").headers["location"]
    for at in range(0, len(content), 10_000):
        chunk = content[at : at + 10_000]
        sent = ask("PATCH", location, content=chunk, headers={"Content-Range": f"{at}-{at + len(chunk) - 1}"})
        assert sent.status_code == 202, sent.text
        location = sent.headers["location"]
        assert ask("GET", location).headers["range"] == f"0-{at + len(chunk) - 1}"
    done = ask("PUT", location, params={"digest": digest})
    assert done.status_code == 201, done.text
    assert all(ask("GET", f"/v2/alice/app/blobs/{digest}").content == content for _ in range(6))
    assert len({line["pid"] for line in logged(service) if line.get("method") == "PATCH"}) == 2
    assert not unexpected(service)
