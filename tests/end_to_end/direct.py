"""Speaks to a registry without any client between: puts there what a client is to pull, reads what it pushed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from tests.end_to_end.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Content
from tests.services.portolan import Person

C = TypeVar("C", bound=Content)

#: What clients that read everything accept.
ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))


def challenge_of(answer: httpx.Response) -> dict[str, str]:
    """Read the Bearer challenge of a 401: realm, service, scope, error."""
    scheme, _, parameters = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer", answer.headers["www-authenticate"]
    return dict(re.findall(r'(\w+)="([^"]*)"', parameters))


class Challenged(httpx.Auth):
    """Does as clients do: asks, is challenged, gets a token for that scope, asks again; the last token is kept."""

    requires_request_body = True

    def __init__(self, person: Person | None) -> None:
        self._person = person
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._token:
            request.headers["authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code != 401:
            return
        challenge = challenge_of(answer)
        parameters = {"service": challenge["service"], "scope": challenge.get("scope", "")}
        headers = {"authorization": self._person.basic} if self._person else {}
        granted = yield httpx.Request("GET", challenge["realm"], params=parameters, headers=headers)
        self._token = json.loads(granted.read())["token"]
        request.headers["authorization"] = f"Bearer {self._token}"
        yield request


class Direct:
    """One person at one registry; nobody in particular where there is no *person*."""

    def __init__(self, url: str, person: Person | None = None) -> None:
        self._person = person
        self.http = httpx.Client(base_url=url, auth=Challenged(person), trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def push(self, repository: str, content: C, *tags: str) -> C:
        """Push *content* with all that is below it; its root gets *tags*."""
        for blob in content.blobs():
            self.push_blob(repository, blob.content, blob.digest)
        for manifest in content.manifests():
            references = (manifest.digest, *tags) if manifest is content.manifest else (manifest.digest,)
            for reference in references:
                self.push_manifest(repository, reference, manifest.content, manifest.media_type)
        return content

    def push_blob(self, repository: str, content: bytes, digest: str) -> None:
        """Push one blob in one request."""
        done = self.http.post(f"/v2/{repository}/blobs/uploads/", params={"digest": digest}, content=content)
        assert done.status_code == 201, done.text

    def push_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> None:
        """Push one manifest."""
        done = self.http.put(
            f"/v2/{repository}/manifests/{reference}", content=content, headers={"content-type": media_type}
        )
        assert done.status_code == 201, done.text

    def publish(self, repository: str) -> None:
        """Let everybody pull from a repository."""
        assert self._person is not None
        basic = httpx.BasicAuth(self._person.name, self._person.password)
        done = self.http.patch(f"/api/v1/repositories/{repository}", json={"public": True}, auth=basic)
        assert done.status_code == 200, done.text

    def manifest(self, repository: str, reference: str) -> httpx.Response:
        """Ask for a manifest, whatever the answer."""
        return self.http.get(f"/v2/{repository}/manifests/{reference}", headers={"accept": ACCEPT})

    def blob(self, repository: str, digest: str) -> httpx.Response:
        """Ask for a blob, whatever the answer."""
        return self.http.get(f"/v2/{repository}/blobs/{digest}")

    def digest(self, repository: str, reference: str) -> str | None:
        """Tell which digest a tag points to, None when there is no such manifest."""
        answer = self.http.head(f"/v2/{repository}/manifests/{reference}", headers={"accept": ACCEPT})
        return None if answer.status_code == 404 else str(answer.headers["docker-content-digest"])

    def json(self, repository: str, reference: str) -> Any:
        """Read a manifest."""
        answer = self.manifest(repository, reference)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def config(self, repository: str, reference: str) -> Any:
        """Read an image's config."""
        return self.blob(repository, self.json(repository, reference)["config"]["digest"]).json()

    def tags(self, repository: str) -> list[str]:
        """List the tags of a repository."""
        answer = self.http.get(f"/v2/{repository}/tags/list")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["tags"])

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """List what has the manifest *digest* for a subject."""
        answer = self.http.get(f"/v2/{repository}/referrers/{digest}")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["manifests"])

    def everything(self, repository: str, reference: str) -> dict[str, bytes]:
        """Read a manifest and all that is below it: digest → bytes; each is what its name says, or this fails."""
        answer = self.manifest(repository, reference)
        assert answer.status_code == 200, answer.text
        found = {str(answer.headers["docker-content-digest"]): answer.content}
        manifest = answer.json()
        for child in manifest.get("manifests", []):
            found |= self.everything(repository, child["digest"])
        for descriptor in [*filter(None, [manifest.get("config")]), *manifest.get("layers", [])]:
            blob = self.blob(repository, descriptor["digest"])
            assert blob.status_code == 200, blob.text
            found[descriptor["digest"]] = blob.content
        for digest, content in found.items():
            algorithm, _, expected = digest.partition(":")
            assert hashlib.new(algorithm, content).hexdigest() == expected, f"{digest} holds other bytes"
        return found
