"""docker's requests, one by one and in its order: no engine is needed to see that they are answered as it expects.

What is sent follows the engine's own sources (its registry client, its distribution package); what is asserted is what
they check.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.end_to_end.direct import Direct, challenge_of
from tests.end_to_end.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Maker,
    everything,
)
from tests.services import Portolan
from tests.services.portolan import Person
from tests.services.processes import wait_until

#: One header each, as docker sends them.
ACCEPTED = [
    ("Accept", media_type)
    for media_type in (
        DOCKER_MANIFEST,
        DOCKER_LIST,
        OCI_INDEX,
        OCI_MANIFEST,
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
    )
]


Engine = Callable[[Person | None], "Docker"]


class Docker:
    """An engine: it pings, asks for a token when it is challenged, and remembers the token by its scopes."""

    def __init__(self, service: Portolan, person: Person | None) -> None:
        self._person = person
        self.http = httpx.Client(
            base_url=service.url,
            headers={
                "User-Agent": "docker/28.3.0 go/go1.24.4 kernel/6.1 os/linux arch/amd64",
                "Accept-Encoding": "gzip",
            },
            trust_env=False,
        )
        ping = self.http.get("/v2/")
        assert ping.status_code == 401
        assert ping.headers["docker-distribution-api-version"] == "registry/2.0"
        self.challenge = challenge_of(ping)
        self.refresh_token: str | None = None

    def token(self, *scopes: str) -> dict[str, Any]:
        """Ask for a token, with an identity token where there is one."""
        self.http.headers.pop("Authorization", None)
        if self.refresh_token is not None:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.refresh_token,
                "scope": " ".join(scopes),
                "service": self.challenge["service"],
                "client_id": "docker",
            }
            answer = self.http.post(self.challenge["realm"], data=form)
        else:
            query: list[tuple[str, Any]] = [
                ("service", self.challenge["service"]),
                *(("scope", scope) for scope in scopes),
            ]
            headers = {}
            if self._person is not None:
                query = [("account", self._person.name), ("client_id", "docker"), ("offline_token", "true"), *query]
                headers = {"Authorization": self._person.basic}
            answer = self.http.get(self.challenge["realm"], params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        granted: dict[str, Any] = answer.json()
        return granted

    def sign_in(self) -> dict[str, Any]:
        """``docker login``: what it stores is the refresh token, when there is one."""
        granted = self.token()
        self.refresh_token = granted["refresh_token"]
        answer = self.http.get("/v2/", headers={"Authorization": f"Bearer {granted['token']}"})
        assert answer.status_code == 200
        return granted

    def authorize(self, *scopes: str) -> None:
        """Bring a token for *scopes* from now on."""
        self.http.headers["Authorization"] = f"Bearer {self.token(*scopes)['token']}"

    def upload(self, location: str, blob: Blob) -> None:
        """Stream a blob into a session, close it, and look for the blob at once."""
        pieces = (blob.content[at : at + 1000] for at in range(0, blob.size, 1000))
        sent = self.http.patch(location, content=pieces)
        assert sent.request.headers["transfer-encoding"] == "chunked"
        assert sent.status_code == 202, sent.text
        assert sent.headers["range"] == f"0-{blob.size - 1}"
        assert "docker-upload-uuid" in sent.headers

        done = self.http.put(httpx.URL(sent.headers["location"]).copy_merge_params({"digest": blob.digest}))
        assert done.request.headers["content-length"] == "0"
        assert done.status_code == 201, done.text
        assert done.headers["docker-content-digest"] == blob.digest

    def push_blob(self, repository: str, blob: Blob) -> None:
        path = f"/v2/{repository}/blobs/{blob.digest}"
        begun = self.http.post(f"/v2/{repository}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        assert begun.headers["range"] == "0-0"
        self.upload(begun.headers["location"], blob)
        there = self.http.head(path)
        assert (there.status_code, there.headers["content-length"]) == (200, str(blob.size))

    def push_manifest(self, repository: str, tag: str, manifest: Blob) -> None:
        path = f"/v2/{repository}/manifests/{tag}"
        done = self.http.put(path, content=manifest.content, headers={"Content-Type": manifest.media_type})
        assert done.status_code == 201, done.text
        assert done.headers["docker-content-digest"] == manifest.digest

    def pull(self, repository: str, tag: str) -> dict[str, bytes]:
        """HEAD by tag, GET by digest, then the blobs; digest → content."""
        head = self.http.head(f"/v2/{repository}/manifests/{tag}", headers=ACCEPTED)
        assert head.status_code == 200
        digest = head.headers["docker-content-digest"]
        answer = self.http.get(f"/v2/{repository}/manifests/{digest}", headers=ACCEPTED)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == head.headers["content-type"]
        assert head.headers["content-length"] == answer.headers["content-length"] == str(len(answer.content))
        manifest = answer.json()
        found = {digest: answer.content}
        for descriptor in [manifest["config"], *manifest["layers"]]:
            blob = self.http.get(f"/v2/{repository}/blobs/{descriptor['digest']}", follow_redirects=True)
            assert blob.status_code == 200
            found[descriptor["digest"]] = blob.content
        return found


@pytest.fixture
def engine(portolan: Portolan) -> Iterator[Engine]:
    """A function that makes an engine for somebody, or for nobody in particular."""
    with ExitStack() as engines:

        def make(person: Person | None) -> Docker:
            docker = Docker(portolan, person)
            engines.callback(docker.http.close)
            return docker

        yield make


@pytest.fixture
def docker(engine: Engine, alice: Person) -> Docker:
    """An engine that alice has signed in."""
    docker = engine(alice)
    docker.sign_in()
    return docker


def rights(repository: str, actions: str = "push,pull") -> str:
    return f"repository:{repository}:{actions}"


def test_the_challenge_names_the_address_that_was_asked(portolan: Portolan, engine: Engine) -> None:
    assert engine(None).challenge == {"realm": f"{portolan.url}/token", "service": "portolan"}


def test_a_login_gives_an_identity_token(engine: Engine, alice: Person, repository: str) -> None:
    docker = engine(alice)
    granted = docker.sign_in()
    assert granted["token"] == granted["access_token"]
    assert granted["expires_in"] >= 60
    issued = datetime.strptime(granted["issued_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - issued) < timedelta(minutes=1)

    again = docker.token(rights(repository))
    assert again["scope"] == f"repository:{repository}:pull,push"
    assert again["expires_in"] >= 60
    # It is kept as it is for a year, whatever else is handed out.
    assert again.get("refresh_token", docker.refresh_token) == docker.refresh_token


def test_a_login_with_a_wrong_password_is_refused(engine: Engine, direct: Direct) -> None:
    docker = engine(None)
    wrong = Person("carol", "wrong")
    query = {"account": wrong.name, "client_id": "docker", "offline_token": "true", "service": "portolan"}
    answer = docker.http.get(docker.challenge["realm"], params=query, headers={"Authorization": wrong.basic})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_an_identity_token_that_was_revoked_is_refused(portolan: Portolan, engine: Engine) -> None:
    person = portolan.add_person("dora")
    docker = engine(person)
    docker.sign_in()
    portolan.run("user", "password", "dora", "--password-stdin", input="another fine password\n")
    form = {"grant_type": "refresh_token", "refresh_token": docker.refresh_token, "service": "portolan"}
    assert docker.http.post(docker.challenge["realm"], data=form).status_code == 401


def test_a_push(docker: Docker, direct: Direct, repository: str, maker: Maker) -> None:
    image = maker.image(docker=True)
    docker.authorize(rights(repository))
    for blob in image.blobs():
        docker.push_blob(repository, blob)
    docker.push_manifest(repository, "latest", image.manifest)
    assert direct.everything(repository, "latest") == everything(image)


def test_a_second_push_sends_only_what_is_new(docker: Docker, direct: Direct, repository: str, maker: Maker) -> None:
    first = direct.push(repository, maker.image(2, docker=True), "v1")
    second = maker.image([*first.layers, maker.layer(docker=True)], docker=True)

    docker.authorize(rights(repository))
    known = []
    for blob in second.blobs():
        there = docker.http.head(f"/v2/{repository}/blobs/{blob.digest}")
        if there.status_code == 200:
            known.append(blob.digest)
        else:
            assert there.status_code == 404
            docker.push_blob(repository, blob)
    docker.push_manifest(repository, "v2", second.manifest)

    assert known == [layer.blob.digest for layer in first.layers]
    assert direct.everything(repository, "v2") == everything(second)


def test_a_layer_that_another_repository_has_is_mounted(
    docker: Docker, direct: Direct, repository: str, maker: Maker
) -> None:
    layer = maker.layer(docker=True).blob
    direct.push_blob(repository, layer.content, layer.digest)
    target = f"{repository}-copy"
    docker.authorize(rights(target), rights(repository, "pull"))

    mounted = docker.http.post(f"/v2/{target}/blobs/uploads/", params={"from": repository, "mount": layer.digest})

    assert mounted.status_code == 201, mounted.text
    assert mounted.headers["docker-content-digest"] == layer.digest
    assert docker.http.head(f"/v2/{target}/blobs/{layer.digest}").status_code == 200


@pytest.mark.parametrize("elsewhere", ["library/absent", "alice/absent"])
def test_what_cannot_be_mounted_is_uploaded_in_the_session_that_was_answered(
    docker: Docker, direct: Direct, repository: str, maker: Maker, elsewhere: str
) -> None:
    layer = maker.layer(docker=True).blob
    docker.authorize(rights(repository), rights(elsewhere, "pull"))
    begun = docker.http.post(f"/v2/{repository}/blobs/uploads/", params={"from": elsewhere, "mount": layer.digest})
    assert begun.status_code == 202, begun.text
    docker.upload(begun.headers["location"], layer)
    assert direct.blob(repository, layer.digest).content == layer.content


def test_a_pull(docker: Docker, direct: Direct, repository: str, maker: Maker) -> None:
    image = direct.push(repository, maker.image(docker=True), "latest")
    docker.authorize(rights(repository, "pull"))
    assert docker.pull(repository, "latest") == everything(image)


def test_a_list_is_pulled_for_one_platform(docker: Docker, direct: Direct, repository: str, maker: Maker) -> None:
    index = direct.push(repository, maker.multi_platform(docker=True), "latest")
    docker.authorize(rights(repository, "pull"))
    answer = docker.http.get(f"/v2/{repository}/manifests/latest", headers=ACCEPTED)
    assert answer.headers["content-type"] == DOCKER_LIST
    [entry] = [one for one in answer.json()["manifests"] if one["platform"]["architecture"] == "amd64"]
    assert docker.pull(repository, entry["digest"]) == everything(index.children[0])


def test_a_pull_goes_on_where_it_broke_off(docker: Docker, direct: Direct, repository: str, maker: Maker) -> None:
    layer = maker.layer(size=3_000_000, docker=True).blob
    direct.push_blob(repository, layer.content, layer.digest)
    docker.authorize(rights(repository, "pull"))
    path = f"/v2/{repository}/blobs/{layer.digest}"

    received = b""
    with docker.http.stream("GET", path) as answer:
        for piece in answer.iter_raw():
            received += piece
            if len(received) > 1_000_000:
                break
    ask = {"Range": f"bytes={len(received)}-", "Accept-Encoding": "identity"}
    rest = docker.http.get(path, headers=ask)

    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes {len(received)}-{layer.size - 1}/{layer.size}"
    assert hashlib.sha256(received + rest.content).digest() == hashlib.sha256(layer.content).digest()


def test_nobody_in_particular_pulls_what_is_public(
    engine: Engine, direct: Direct, repository: str, maker: Maker
) -> None:
    image = direct.push(repository, maker.image(docker=True), "latest")
    docker = engine(None)
    docker.authorize(rights(repository, "pull"))
    refused = docker.http.head(f"/v2/{repository}/manifests/latest", headers=ACCEPTED)
    assert refused.status_code == 401
    assert challenge_of(refused)["error"] == "insufficient_scope"

    direct.publish(repository)
    docker.authorize(rights(repository, "pull"))
    assert docker.pull(repository, "latest") == everything(image)


class TestSearch:
    """``docker search 127.0.0.1:5000/text``: the first protocol's ping, then its search."""

    def search(self, docker: Docker, text: str, authorization: str | None, limit: str = "25") -> httpx.Response:
        ping = docker.http.get("/v1/_ping")
        assert ping.status_code == 200
        assert ping.json()["standalone"] is True
        assert ping.headers["x-docker-registry-standalone"].lower() == "true"
        headers = {"X-Docker-Token": "true"} | ({"Authorization": authorization} if authorization else {})
        return docker.http.get("/v1/search", params={"q": text, "n": limit}, headers=headers)

    def names(self, answer: httpx.Response) -> list[str]:
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["num_results"] == len(found["results"])
        for result in found["results"]:
            assert {"name", "description", "star_count", "is_official", "is_automated"} <= result.keys()
        return [result["name"] for result in found["results"]]

    @pytest.fixture
    def text(self, portolan: Portolan, alice: Person, direct: Direct, repository: str, maker: Maker) -> str:
        """What finds a private repository of alice's, a public one, and nothing else."""
        text = repository.partition("/")[2]
        asked = f"{portolan.url}/v1/search?q={text}"

        def found(headers: dict[str, str]) -> int:
            return int(httpx.get(asked, headers=headers, trust_env=False).json().get("num_results", 0))

        direct.push(repository, maker.image(1), "v1")
        direct.push(f"{repository}-public", maker.image(1), "v1")
        direct.publish(f"{repository}-public")
        hers = {"Authorization": alice.basic}
        wait_until(lambda: (found(hers), found({})) == (2, 1), 30, "search to know of both")
        return text

    def test_with_a_password(self, docker: Docker, alice: Person, text: str) -> None:
        answer = self.search(docker, text, alice.basic)
        assert self.names(answer) == [f"alice/{text}", f"alice/{text}-public"]
        assert answer.json()["query"] == text
        assert answer.json()["page_size"] == 25

    def test_with_an_identity_token(self, docker: Docker, text: str) -> None:
        """Then it brings an access token, for a scope that nothing else asks for."""
        token = docker.token("registry:catalog:search")["access_token"]
        answer = self.search(docker, text, f"Bearer {token}")
        assert self.names(answer) == [f"alice/{text}", f"alice/{text}-public"]

    def test_without_signing_in(self, engine: Engine, text: str) -> None:
        docker = engine(None)
        assert self.names(self.search(docker, text, None)) == [f"alice/{text}-public"]

    def test_somebody_else_finds_what_is_public(self, portolan: Portolan, engine: Engine, text: str) -> None:
        stranger = portolan.add_person(f"stranger-{text}"[:30])
        docker = engine(stranger)
        assert self.names(self.search(docker, text, stranger.basic)) == [f"alice/{text}-public"]

    def test_an_anonymous_search_that_finds_nothing_is_an_error(self, engine: Engine, direct: Direct) -> None:
        """podman takes any 200 for the end of its search, and would never ask the catalog."""
        docker = engine(None)
        assert self.search(docker, "nothing-has-this-name", None).status_code == 401

    def test_wrong_credentials_are_refused(self, docker: Docker) -> None:
        assert self.search(docker, "x", Person("carol", "wrong").basic).status_code == 401

    def test_the_limit_is_kept(self, docker: Docker, alice: Person, text: str) -> None:
        found = self.search(docker, text, alice.basic, limit="1").json()
        assert (found["num_results"], found["num_pages"], len(found["results"])) == (2, 2, 1)


def test_an_answer_says_which_request_it_was(docker: Docker, repository: str) -> None:
    """Who reports a failure can name it."""
    assert re.fullmatch(r"[\w.-]+", docker.http.get(f"/v2/{repository}/tags/list").headers["x-request-id"])
