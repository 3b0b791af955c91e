"""A repository that is made private is gone from every answer at once, though nobody writes its documents anew."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import StartPortolan
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Image, Maker
from tests.end_to_end.parts import pids
from tests.services import Portolan, wait_until

STATUS = b"Package: shiplog\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.2\n"

#: What everybody may ask, and what would show the image.
QUESTIONS = (
    "search?q=logbook",
    "search?q=type:image",
    "search?q=package:shiplog",
    "search?q=-package:absent+type:image",
    "search?q=label:crew%3Dten",
    "search?q=file:ship.log",
    "search?q=layer:{layer}",
    "search?q=type:package+shiplog",
    "search?q=type:file+file:ship.log",
    "search?q=type:layer+layer:{layer}",
    "suggest?q=logb",
    "suggest?q=package:shi",
    "suggest?q=label:cr",
    "files?path=/srv/ship.log",
    "files?name=ship*",
    "packages/deb/shiplog",
    "layers/{layer}",
    "layers/{diff_id}",
    "images/{image}",
    "images/{image}/packages",
    "images/{image}/files",
    "repositories/alice/logbook",
    "resolve?image=alice/logbook:v1",
)


@pytest.fixture
def service(start_portolan: StartPortolan) -> Iterator[Portolan]:
    """A service whose ingest process goes on after the test, so that it can end."""
    service = start_portolan()
    (ingest,) = pids(service, "ingest")
    yield service
    os.kill(ingest, signal.SIGCONT)


#: What a question is answered with that cannot be answered at this moment.
REFUSED = object()


def asked(http: httpx.Client, image: Image) -> dict[str, Any]:
    """Ask everything; return the answers by question: None where there is nothing of that name."""
    names = {"image": image.digest, "layer": image.layers[0].blob.digest, "diff_id": image.diff_ids[0]}
    found: dict[str, Any] = {}
    for question in QUESTIONS:
        answer = http.get(f"/api/v1/{question.format_map(names)}")
        assert answer.status_code in (200, 401, 404, 503), (question, answer.text)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            found[question] = REFUSED
        else:
            found[question] = answer.json() if answer.status_code == 200 else None
    return found


def test_also_while_the_ingest_process_stands_still(service: Portolan, maker: Maker) -> None:
    alice = service.add_person("alice")
    image = maker.image(
        [maker.layer({"var/lib/dpkg/status": STATUS, "srv/ship.log": b"all is well"})], labels={"crew": "ten"}
    )
    with (
        Direct(service.url, alice) as direct,
        httpx.Client(base_url=service.url, trust_env=False, timeout=30) as nobody,
        httpx.Client(base_url=service.url, trust_env=False, timeout=30, auth=(alice.name, alice.password)) as hers,
    ):
        nothing = asked(nobody, image)
        direct.push("alice/logbook", image, "v1")
        direct.publish("alice/logbook")
        query = {"q": "package:shiplog"}
        wait_until(lambda: nobody.get("/api/v1/search", params=query).json()["total"] == 1, 60, "the image to be found")
        shown = asked(nobody, image)
        assert [question for question, answer in nothing.items() if shown[question] == answer] == []

        (ingest,) = pids(service, "ingest")
        os.kill(ingest, signal.SIGSTOP)
        done = hers.patch("/api/v1/repositories/alice/logbook", json={"public": False})
        assert done.status_code == 200, done.text

        hidden = asked(nobody, image)
        refused = {question for question, answer in hidden.items() if answer is REFUSED}
        assert all("file" in question for question in refused), "only files need the process that stands still"
        assert {question: hidden[question] for question in nothing if question not in refused} == {
            question: answer for question, answer in nothing.items() if question not in refused
        }
        assert hers.get("/api/v1/search", params=query).json()["total"] == 1, "she may read it still"

        os.kill(ingest, signal.SIGCONT)
        assert asked(nobody, image) == nothing
