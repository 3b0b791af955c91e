"""How repositories come and go and who may see them: with clients, the command line and the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.end_to_end.clients import CLIENTS, ClientFailed
from tests.end_to_end.conftest import ClientOf
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Maker, everything
from tests.services import Portolan
from tests.services.portolan import Person

DENIED = r"(?i)unauthorized|denied|required"


@pytest.fixture(scope="module")
def bob(portolan: Portolan) -> Person:
    """Somebody else."""
    return portolan.add_person("bob")


@pytest.fixture(scope="module")
def operating(portolan: Portolan, operator: Person) -> Iterator[Direct]:
    """An administrator, without a client between."""
    with Direct(portolan.url, operator) as direct:
        yield direct


@pytest.fixture(scope="module")
def nobody(portolan: Portolan) -> Iterator[Direct]:
    """Nobody in particular, without a client between."""
    with Direct(portolan.url) as direct:
        yield direct


@pytest.fixture(scope="module")
def api(portolan: Portolan, alice: Person) -> Iterator[httpx.Client]:
    """The JSON API, as alice."""
    auth = (alice.name, alice.password)
    with httpx.Client(base_url=f"{portolan.url}/api/v1", auth=auth, trust_env=False) as client:
        yield client


def may_pull(somebody: Direct, repository: str) -> bool:
    status = somebody.manifest(repository, "v1").status_code
    assert status in (200, 401)
    return status == 200


class TestVisibility:
    def test_a_first_push_makes_a_private_repository(
        self, direct: Direct, nobody: Direct, api: httpx.Client, repository: str, maker: Maker
    ) -> None:
        assert api.get(f"/repositories/{repository}").status_code == 404
        direct.push(repository, maker.image(1), "v1")
        told = api.get(f"/repositories/{repository}").json()
        assert (told["name"], told["public"], told["description"]) == (repository, False, "")
        assert may_pull(direct, repository)
        assert not may_pull(nobody, repository)

    def test_the_api_makes_it_public_and_private_again_at_once(
        self, direct: Direct, nobody: Direct, api: httpx.Client, repository: str, maker: Maker
    ) -> None:
        direct.push(repository, maker.image(1), "v1")
        changed = api.patch(f"/repositories/{repository}", json={"public": True, "description": "A fine thing"})
        assert changed.status_code == 200
        assert (changed.json()["public"], changed.json()["description"]) == (True, "A fine thing")
        assert may_pull(nobody, repository)

        assert api.patch(f"/repositories/{repository}", json={"public": False}).json()["description"] == "A fine thing"
        # Whoever holds a token keeps it for its five minutes; no new one is given.
        with Direct(str(nobody.http.base_url)) as another:
            assert not may_pull(another, repository)

    def test_the_command_line_does_on_the_machine(
        self, portolan: Portolan, direct: Direct, nobody: Direct, repository: str, maker: Maker
    ) -> None:
        direct.push(repository, maker.image(1), "v1")
        told = portolan.run("repository", "set", repository, "--public", "--description=Told", "--local", "--json")
        assert json.loads(told.stdout)["public"] is True
        assert may_pull(nobody, repository)
        shown = portolan.run("repository", "show", repository, "--local").stdout
        assert "public" in shown
        assert "Told" in shown

    def test_the_command_line_deprecates_on_the_machine(
        self, portolan: Portolan, direct: Direct, repository: str, maker: Maker
    ) -> None:
        direct.push(repository, maker.image(1), "v1")
        for option, deprecated in (("--deprecated", True), ("--no-deprecated", False)):
            told = json.loads(portolan.run("repository", "set", repository, option, "--local", "--json").stdout)
            assert (told["deprecated"], told["public"]) == (deprecated, False)
            listed = portolan.run("repository", "list", "--local").stdout.splitlines()
            for line in (
                portolan.run("repository", "show", repository, "--local").stdout,
                next(line for line in listed if line.split()[:1] == [repository]),
            ):
                assert ("private, deprecated" in line) == deprecated
            assert may_pull(direct, repository)

    def test_the_command_line_does_over_the_network(
        self, portolan: Portolan, alice: Person, direct: Direct, nobody: Direct, repository: str, maker: Maker
    ) -> None:
        direct.push(repository, maker.image(1), "v1")
        portolan.run("login", portolan.url, "--username=alice", "--password-stdin", input=alice.password + "\n")
        server = f"--server={portolan.url}"
        assert repository in portolan.run("repository", "list", server).stdout
        portolan.run("repository", "set", repository, "--public", server)
        assert may_pull(nobody, repository)
        portolan.run("repository", "delete", repository, "--yes", server)
        assert direct.http.get(f"/v2/{repository}/tags/list").status_code == 404

    def test_a_stranger_changes_nothing_and_learns_nothing(
        self, portolan: Portolan, bob: Person, direct: Direct, repository: str, maker: Maker
    ) -> None:
        direct.push(repository, maker.image(1), "v1")
        with httpx.Client(base_url=f"{portolan.url}/api/v1", auth=(bob.name, bob.password), trust_env=False) as his:
            for name in (repository, f"{repository}-absent"):
                answers = [
                    his.get(f"/repositories/{name}"),
                    his.patch(f"/repositories/{name}", json={"public": True}),
                    his.delete(f"/repositories/{name}"),
                ]
                assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [
                    (404, "There is no such repository.")
                ] * 3
            direct.publish(repository)
            assert his.get(f"/repositories/{repository}").status_code == 200
            assert his.patch(f"/repositories/{repository}", json={"public": False}).status_code == 403
            assert his.delete(f"/repositories/{repository}").status_code == 403
        assert may_pull(direct, repository)


class TestNamespaces:
    def test_an_administrators_first_push_makes_a_namespace(
        self, operating: Direct, direct: Direct, client_of: ClientOf, operator: Person, maker: Maker
    ) -> None:
        image, name = maker.image(1), f"{maker.name('team')}/app"
        client_of("crane", operator).push(image, f"{name}:v1")
        assert operating.everything(name, "v1") == everything(image)
        assert not may_pull(direct, name), "it is the administrators'"

    @pytest.mark.parametrize("program", CLIENTS)
    def test_a_person_pushes_to_no_namespace_but_their_own(
        self, client_of: ClientOf, alice: Person, bob: Person, operating: Direct, maker: Maker, program: str
    ) -> None:
        client, image = client_of(program, alice), maker.image(1)
        for name in (f"bob/{maker.name()}", f"{maker.name('nobodys')}/app"):
            with pytest.raises(ClientFailed, match=DENIED):
                client.push(image, f"{name}:v1")
            assert operating.http.get(f"/v2/{name}/tags/list").status_code == 404

    @pytest.mark.parametrize("program", CLIENTS)
    def test_a_name_of_one_component_is_pulled_and_shown_as_it_was_pushed(
        self, client_of: ClientOf, operator: Person, operating: Direct, maker: Maker, program: str
    ) -> None:
        """``host:port/alpine`` is ``library/alpine``, under either name."""
        client, image, name = client_of(program, operator), maker.image(1), maker.name("alpine")
        client.push(image, f"{name}:v1")
        assert client.pull(f"{name}:v1") == (image.diff_ids if client.compresses else everything(image))
        assert operating.digest(f"library/{name}", "v1") == operating.digest(name, "v1")

        assert name in client_of("crane", operator).repositories()
        assert f"library/{name}" not in client_of("crane", operator).repositories()

    def test_only_administrators_push_names_of_one_component(
        self, client_of: ClientOf, alice: Person, operator: Person, nobody: Direct, operating: Direct, maker: Maker
    ) -> None:
        image, name = maker.image(1), maker.name("alpine")
        with pytest.raises(ClientFailed, match=DENIED):
            client_of("skopeo", alice).push(image, f"{name}:v1")
        with pytest.raises(ClientFailed, match=DENIED):
            client_of("skopeo", alice).push(image, f"library/{name}:v1")

        client_of("skopeo", operator).push(image, f"{name}:v1")
        operating.publish(name)
        assert nobody.everything(name, "v1") == nobody.everything(f"library/{name}", "v1") == everything(image)
        assert client_of("podman", None).search(name) == [name]


class TestNarrowTokens:
    """A personal token that may pull from one repository, in a password's place."""

    @pytest.fixture
    def narrow(self, api: httpx.Client, alice: Person, repository: str) -> Person:
        made = api.post("/tokens", json={"name": "for pulling", "scopes": f"repository:{repository}:pull"})
        assert made.status_code == 201, made.text
        return Person(alice.name, made.json()["token"])

    @pytest.mark.parametrize("program", CLIENTS)
    def test_it_pulls_and_is_refused_everything_else(
        self, client_of: ClientOf, direct: Direct, narrow: Person, repository: str, maker: Maker, program: str
    ) -> None:
        image = direct.push(repository, maker.image(1), "v1")
        direct.push(f"{repository}-other", maker.image(1), "v1")
        client = client_of(program, narrow)

        assert client.pull(f"{repository}:v1") == (image.diff_ids if client.compresses else everything(image))
        with pytest.raises(ClientFailed, match=DENIED):
            client.pull(f"{repository}-other:v1")
        with pytest.raises(ClientFailed, match=DENIED):
            client.push(maker.image(1), f"{repository}:v2")
        assert direct.tags(repository) == ["v1"]

    @pytest.mark.parametrize("program", ["skopeo", "crane", "oras", "regctl"])
    def test_it_deletes_nothing(
        self, client_of: ClientOf, direct: Direct, narrow: Person, repository: str, maker: Maker, program: str
    ) -> None:
        image = direct.push(repository, maker.image(1), "v1")
        with pytest.raises(ClientFailed, match=DENIED):
            client_of(program, narrow).delete(f"{repository}@{image.digest}")
        assert direct.tags(repository) == ["v1"]

    def test_one_that_may_push_pushes_there_alone(
        self, portolan: Portolan, client_of: ClientOf, alice: Person, direct: Direct, repository: str, maker: Maker
    ) -> None:
        scope = f"--scope=repository:{repository}:pull,push"
        made = portolan.run("token", "create", "robot", scope, "--user=alice", "--json").stdout
        crane = client_of("crane", Person(alice.name, json.loads(made)["token"]))
        image = maker.image(1)
        crane.push(image, f"{repository}:v1")
        assert direct.everything(repository, "v1") == everything(image)
        with pytest.raises(ClientFailed, match=DENIED):
            crane.push(image, f"{repository}-other:v1")
        with pytest.raises(ClientFailed, match=DENIED):
            crane.delete(f"{repository}:v1")

    def test_once_revoked_it_opens_nothing(
        self, api: httpx.Client, client_of: ClientOf, direct: Direct, narrow: Person, repository: str, maker: Maker
    ) -> None:
        direct.push(repository, maker.image(1), "v1")
        crane = client_of("crane", narrow)
        crane.manifest(f"{repository}:v1")
        [token] = [each for each in api.get("/tokens").json()["tokens"] if repository in (each["scopes"] or "")]
        assert api.delete(f"/tokens/{token['id']}").status_code == 204
        with pytest.raises(ClientFailed, match=DENIED):
            crane.manifest(f"{repository}:v1")


class TestDeleting:
    @pytest.fixture(params=["the API", "the command line"])
    def delete(self, request: pytest.FixtureRequest, portolan: Portolan, api: httpx.Client) -> Callable[[str], None]:
        """A function that deletes a repository."""

        def delete(repository: str) -> None:
            if request.param == "the API":
                assert api.delete(f"/repositories/{repository}").status_code == 204
            else:
                portolan.run("repository", "delete", repository, "--yes", "--local")

        return delete

    def test_a_repository_goes_at_once_and_may_come_again(
        self,
        delete: Callable[[str], None],
        direct: Direct,
        api: httpx.Client,
        client_of: ClientOf,
        alice: Person,
        repository: str,
        maker: Maker,
    ) -> None:
        image = direct.push(repository, maker.image(), "v1")
        other = direct.push(f"{repository}-other", image, "v1")
        direct.publish(repository)

        delete(repository)

        assert direct.manifest(repository, "v1").status_code == 404
        assert all(direct.blob(repository, blob.digest).status_code == 404 for blob in image.blobs())
        assert api.get(f"/repositories/{repository}").status_code == 404
        crane = client_of("crane", alice)
        assert repository not in crane.repositories()
        assert direct.everything(f"{repository}-other", "v1") == everything(other), "what others hold stays"

        crane.push(image, f"{repository}:v1")
        assert direct.everything(repository, "v1") == everything(image)
        assert api.get(f"/repositories/{repository}").json()["public"] is False, "it is a new one"

    def test_a_manifest_that_an_index_lists_goes_with_a_warning(
        self, direct: Direct, repository: str, maker: Maker
    ) -> None:
        index = direct.push(repository, maker.multi_platform(["linux/amd64", "linux/arm64"]), "v1")
        child = index.children[0].digest
        gone = direct.http.delete(f"/v2/{repository}/manifests/{child}")
        assert gone.status_code == 202
        warned = re.fullmatch(r'299 - "([^"]*)"', gone.headers["warning"])
        assert warned is not None
        assert index.digest in warned[1]
        assert direct.digest(repository, child) is None
        assert direct.manifest(repository, "v1").content == index.manifest.content

        last = direct.http.delete(f"/v2/{repository}/manifests/{index.digest}")
        assert last.status_code == 202
        assert "warning" not in last.headers

    @pytest.mark.parametrize("program", ["skopeo", "crane", "oras", "regctl"])
    def test_clients_take_the_warning_for_what_it_is(
        self, client_of: ClientOf, alice: Person, direct: Direct, repository: str, maker: Maker, program: str
    ) -> None:
        index = direct.push(repository, maker.multi_platform(["linux/amd64", "linux/arm64"]), "v1")
        child = index.children[0].digest
        client_of(program, alice).delete(f"{repository}@{child}")
        assert direct.digest(repository, child) is None
