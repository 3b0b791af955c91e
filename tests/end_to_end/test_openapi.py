"""The description of the API is true: whatever it says may be sent is answered as it says.

Schemathesis makes requests from ``/api/openapi.json``, for each operation; each is sent as it was made, and once more
with names of what is there, so that answers hold something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Image, Maker
from tests.services import Portolan
from tests.services.portolan import Person
from tests.services.processes import wait_until

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

STATUS = b"Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.6-1\n"

OPERATIONS = [
    "GET /v1/search",
    "GET /v1/suggest",
    "GET /v1/repositories/{name}",
    "PATCH /v1/repositories/{name}",
    "DELETE /v1/repositories/{name}",
    "GET /v1/tags",
    "GET /v1/tag-history",
    "GET /v1/resolve",
    "GET /v1/images/{digest}",
    "GET /v1/images/{digest}/places",
    "GET /v1/images/{digest}/bases",
    "GET /v1/images/{digest}/derived",
    "GET /v1/images/{digest}/packages",
    "GET /v1/images/{digest}/files",
    "GET /v1/layers/{digest}",
    "GET /v1/packages/{ecosystem}/{name}",
    "GET /v1/files",
    "GET /v1/diff",
    "PUT /v1/account/password",
    "GET /v1/tokens",
    "POST /v1/tokens",
    "DELETE /v1/tokens/{id}",
]


#: What takes nothing but a name, of which no text is wrong to the description, or nothing at all.
ANY_TEXT = {
    "GET /v1/repositories/{name}",
    "DELETE /v1/repositories/{name}",
    "DELETE /v1/tokens/{id}",
    "GET /v1/tokens",
}


@pytest.fixture(scope="module")
def api(portolan: Portolan, alice: Person) -> Iterator[httpx.Client]:
    """The JSON API, as alice."""
    auth = (alice.name, alice.password)
    with httpx.Client(base_url=f"{portolan.url}/api", auth=auth, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def asking(portolan: Portolan, alice: Person) -> dict[str, Person]:
    """Who asks what: alice, but for what is tried with wrong passwords or makes tokens by the dozen."""
    bob, carol = portolan.add_person("bob"), portolan.add_person("carol")
    own = {name: bob for name in OPERATIONS if "tokens" in name}
    return {**dict.fromkeys(OPERATIONS, alice), **own, "PUT /v1/account/password": carol}


@pytest.fixture(scope="module")
def image(direct: Direct, api: httpx.Client) -> Image:
    """An image that was read, of a repository that stays; another one may go."""
    maker = Maker()
    image = maker.image([maker.layer({"var/lib/dpkg/status": STATUS, "etc/motd": b"hello"}), maker.layer()])
    direct.push("alice/app", image, "v1", "latest")
    direct.push("alice/spare", maker.image(1), "v1")

    def is_found() -> bool:
        answer = api.get("/v1/search", params={"q": f"digest:{image.digest} package:openssl"})
        return bool(answer.is_success and answer.json()["total"])

    wait_until(is_found, 30, "the image to be found")
    return image


@pytest.fixture(scope="module")
def described(portolan: Portolan, image: Image) -> Any:
    return schemathesis.openapi.from_url(f"{portolan.url}/api/openapi.json")


def there(case: schemathesis.Case, image: Image) -> schemathesis.Case:
    """Put names of what is there in the place of those that were made up."""
    names = {
        "digest": image.layers[0].blob.digest if "layers" in case.path else image.digest,
        "name": "openssl" if "packages" in case.path else "alice/app" if case.method == "GET" else "alice/spare",
        "ecosystem": "deb",
        "repository": "alice/app",
        "image": "alice/app:v1",
        "from": "alice/app",
        "to": image.digest,
    }
    for sent in (case.path_parameters, case.query):
        sent.update({name: value for name, value in names.items() if name in sent})
    return case


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, GenerationMode.POSITIVE) for name in OPERATIONS),
        *((name, GenerationMode.NEGATIVE) for name in OPERATIONS if name not in ANY_TEXT),
    ],
    ids=lambda value: value.value if isinstance(value, GenerationMode) else value,
)
def test_answers_are_as_described(
    described: Any, asking: dict[str, Person], image: Image, name: str, mode: GenerationMode
) -> None:
    method, path = name.split()
    operation = described[path][method]
    headers = {"Authorization": asking[name].basic}

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)
        if mode is GenerationMode.POSITIVE:
            there(case, image).call_and_validate(headers=headers, checks=CHECKS)

    check()


def test_the_description_is_valid_and_complete(described: Any, api: httpx.Client) -> None:
    described.validate()
    told = api.get("/openapi.json").json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    }
    assert sorted(operations) == sorted(OPERATIONS)
    assert told["servers"] == [{"url": "/api"}]
    for name, operation in operations.items():
        assert operation["description"], name
        assert {"400", "401", "422", "429", "503"} <= set(operation["responses"]), name
        for parameter in operation.get("parameters", ()):
            assert parameter["schema"], (name, parameter)
    sort = next(each for each in operations["GET /v1/search"]["parameters"] if each["name"] == "sort")
    assert {"best", "pushed", "size", "name"} <= set(sort["schema"]["enum"])
