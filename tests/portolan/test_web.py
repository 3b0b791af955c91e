"""A web process: TLS, figures, health, and what is told where nothing is."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import StartPortolan
from tests.portolan.certificates import certificate
from tests.services import Portolan
from tests.services.processes import free_port, wait_until

METRICS_TOKEN = "a-token-of-the-tests-own"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portolan]:
    """A service with figures on the main address."""
    settings = {
        "PORTOLAN_METRICS_TOKEN": METRICS_TOKEN,
        "PORTOLAN_WORKERS": "2",
        "PORTOLAN_TRUSTED_PROXIES": "127.0.0.2",
    }
    with Portolan(tmp_path_factory.mktemp("portolan"), settings=settings) as service:
        # one process answers before the other has told that it serves, and the log is compared below
        wait_until(lambda: "docker push" in service.log.read_text(), 20, "all that is told at the start")
        yield service


@pytest.fixture
def asking(served: Portolan) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 64]
)
def test_what_is_no_request_is_refused_and_not_logged(served: Portolan, nonsense: bytes) -> None:
    before = served.log.read_text()
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=10)) as connection:
        connection.sendall(nonsense)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")

    assert served.log.read_text() == before


def test_alive_and_ready_need_no_sign_in_and_are_not_stored(asking: httpx.Client) -> None:
    alive, ready = asking.get("/healthz"), asking.get("/readyz")

    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert ready.json()["ready"] is True
    assert set(ready.json()["parts"]) == {"database", "store", "signing_key", "ingest"}
    assert {alive.headers["cache-control"], ready.headers["cache-control"]} == {"no-store"}


def test_ingest_is_known_to_be_ready(served: Portolan, asking: httpx.Client) -> None:
    wait_until(
        lambda: asking.get("/readyz").json()["parts"]["ingest"]["state"] == "ready", 20, "the first sign of life"
    )


def test_figures_need_their_token(asking: httpx.Client) -> None:
    for authorization in (None, "Bearer", "Bearer wrong", f"Basic {METRICS_TOKEN}", f"Bearer {METRICS_TOKEN}x"):
        answer = asking.get("/metrics", headers={} if authorization is None else {"Authorization": authorization})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert METRICS_TOKEN not in answer.text


def test_figures_are_those_of_all_processes(asking: httpx.Client) -> None:
    def told() -> float:
        answer = asking.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        assert answer.status_code == 200
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == "portolan_request_duration_seconds_count" and sample.labels["route"] == "tags"
        )

    assert told() == 0  # a route that no other test here asks for
    for _ in range(20):
        with httpx.Client(trust_env=False) as another:  # a connection of its own: either process may get it
            another.get(asking.base_url.join("/v2/ada/app/tags/list"))

    wait_until(lambda: told() == 20, 20, "both processes' figures")


def test_without_a_token_or_an_address_there_are_no_figures(portolan: Portolan) -> None:
    assert portolan.status("/metrics")[0] == 404


def test_figures_on_an_address_of_their_own(start_portolan: StartPortolan) -> None:
    port = free_port()
    service = start_portolan({"PORTOLAN_METRICS_LISTEN": f"127.0.0.1:{port}"})

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as asking:
        assert "portolan_event_loop_lag_seconds_count" in asking.get("/metrics").text
        assert asking.get("/healthz").text == "ok\n"
        assert asking.get("/readyz").status_code == 200
        for path in ("/", "/v2/", "/token", "/set-up"):
            assert asking.get(path).status_code == 404
    assert service.status("/metrics")[0] == 404


def test_tls_carries_everything(start_portolan: StartPortolan, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    service = start_portolan({"PORTOLAN_TLS_CERTIFICATE": str(chain), "PORTOLAN_TLS_KEY": str(key)})
    person = service.add_person("ada")
    context = ssl.create_default_context(cafile=str(chain))
    blob = os.urandom(3_000_000)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"

    with httpx.Client(base_url=service.url, verify=context, trust_env=False, timeout=60) as asking:
        challenge = asking.get("/v2/").headers["www-authenticate"]
        assert f'realm="{service.url}/token"' in challenge
        token = asking.get(
            "/token",
            params={"service": "portolan", "scope": "repository:ada/app:pull,push"},
            auth=(person.name, person.password),
        ).json()["token"]
        asking.headers["Authorization"] = f"Bearer {token}"
        place = asking.post("/v2/ada/app/blobs/uploads/").headers["location"]
        put = asking.put(place, params={"digest": digest}, content=blob)
        assert put.status_code == 201, put.text
        assert asking.get(f"/v2/ada/app/blobs/{digest}").content == blob
    assert service.stop() == 0


def test_plain_requests_to_tls_are_not_answered(start_portolan: StartPortolan, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    service = start_portolan({"PORTOLAN_TLS_CERTIFICATE": str(chain), "PORTOLAN_TLS_KEY": str(key)})

    with pytest.raises(httpx.TransportError), httpx.Client(trust_env=False) as asking:
        asking.get(f"http://{service.address}/healthz")
    assert service.is_ready()


def test_paths_that_lead_nowhere_are_told_in_the_form_of_who_asks(asking: httpx.Client) -> None:
    page, api, registry = asking.get("/nothing"), asking.get("/api/v1/nothing"), asking.get("/v2/nothing/at/all")

    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert api.status_code == 404
    assert api.headers["content-type"] == "application/problem+json"
    assert registry.status_code == 404
    assert registry.json()["errors"][0]["code"]


def test_methods_that_are_not_served_are_told(asking: httpx.Client) -> None:
    for method, path in (("DELETE", "/"), ("PUT", "/set-up"), ("POST", "/healthz"), ("PATCH", "/token")):
        answer = asking.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"]


def test_the_server_does_not_tell_what_it_is_made_of(asking: httpx.Client) -> None:
    assert "server" not in asking.get("/").headers


@pytest.mark.parametrize("path", ["/readyz", "/v2/", "/"])
def test_a_request_id_is_on_every_answer_and_cannot_be_chosen_by_strangers(asking: httpx.Client, path: str) -> None:
    answer = asking.get(path, headers={"X-Request-Id": "chosen"})

    assert answer.headers["x-request-id"] not in ("", "chosen")
    assert len(answer.headers.get_list("x-request-id")) == 1


def test_the_challenge_names_the_host_that_was_asked_and_believes_no_stranger(
    served: Portolan, asking: httpx.Client
) -> None:
    plain = asking.get("/v2/", headers={"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"})
    assert f'realm="{served.url}/token"' in plain.headers["www-authenticate"]

    proxied = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=served.url, transport=proxied, trust_env=False) as behind:
        answer = behind.get("/v2/", headers={"X-Forwarded-Host": "registry.test", "X-Forwarded-Proto": "https"})
        assert 'realm="https://registry.test/token"' in answer.headers["www-authenticate"]


def test_a_web_process_alone_serves_and_ends_on_sigterm(start_portolan: StartPortolan) -> None:
    service = start_portolan(command=("web",))

    assert service.readiness()["parts"]["ingest"]["state"] == "unknown"
    assert "Portolan is ready at" in service.log.read_text()
    assert service.stop() == 0
