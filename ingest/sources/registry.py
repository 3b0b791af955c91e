"""An image in a registry, asked for over the OCI distribution protocol as any client does."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from cas import BlobReader, Digest
from catalog.images.manifests import Reference
from ingest.sources.source import MOST, Credentials, FetchedManifest, Refused, SourceUnreadable
from ingest.sources.streams import NetworkStream

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_PIECE = 1024 * 1024
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')


class RegistrySource:
    """One image of one repository of a registry."""

    def __init__(self, address: str, repository: str, reference: str, credentials: Credentials) -> None:
        """*address* is ``http://`` or ``https://`` and the host; *reference* a tag or a digest."""
        self._address = address
        self._host = urlsplit(address).netloc
        self._repository = repository
        self._reference = reference
        self._credentials = credentials
        self._authorization: str | None = None
        self._client = httpx.AsyncClient(base_url=address, timeout=_TIMEOUT, follow_redirects=False)
        self._what = f"{self._host}/{repository}"

    async def manifest(self, digest: Digest | None = None) -> FetchedManifest:
        """See `Source.manifest`."""
        reference = self._reference if digest is None else digest.text
        path = f"/v2/{self._repository}/manifests/{reference}"
        async with self._opened(path, {"Accept": _ACCEPT}) as answer:
            content = await self._small(answer, path)
            media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        asked = digest or (Digest.parse(reference) if ":" in reference else None)
        found = Digest.of(content, "sha256" if asked is None else asked.algorithm)
        if asked is not None and found != asked:
            raise SourceUnreadable(self._what, f"sent other bytes than {asked} names")
        return FetchedManifest(found, media_type, content)

    async def small_blob(self, digest: Digest) -> bytes:
        """See `Source.small_blob`."""
        path = self._blob_path(digest)
        async with self._opened(path, {}) as answer:
            content = await self._small(answer, path)
        if Digest.of(content, digest.algorithm) != digest:
            raise SourceUnreadable(self._what, f"sent other bytes than {digest} names")
        return content

    async def open(self, layer: Reference) -> BlobReader:
        """See `Source.open`."""
        opened = AsyncExitStack()
        answer = await opened.enter_async_context(self._opened(self._blob_path(layer.digest), {}))
        return NetworkStream(self._pieces(answer), layer.size, opened.aclose)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _blob_path(self, digest: Digest) -> str:
        return f"/v2/{self._repository}/blobs/{digest}"

    async def _pieces(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw(_PIECE):
                yield piece
        except httpx.HTTPError as error:
            raise SourceUnreadable(self._what, f"broke off: {error or type(error).__name__}") from error

    async def _small(self, answer: httpx.Response, path: str) -> bytes:
        content = bytearray()
        async for piece in answer.aiter_raw(_PIECE):
            content += piece
            if len(content) > MOST:
                raise SourceUnreadable(self._what, f"sent more than {MOST} bytes for {path}")
        return bytes(content)

    @asynccontextmanager
    async def _opened(self, path: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """Ask for *path*, signing in when that is asked for, and following what leads to the bytes."""
        answer = await self._ask(path, headers)
        try:
            if answer.status_code == 401:
                challenge = answer.headers.get("www-authenticate", "")
                await answer.aclose()
                self._authorization = await self._sign_in(challenge)
                answer = await self._ask(path, headers)
            if answer.status_code != 200:
                raise Refused(f"{self._what} {path.rpartition('/')[2]}", answer.status_code, await _told(answer))
            yield answer
        finally:
            await answer.aclose()

    async def _ask(self, path: str, headers: dict[str, str]) -> httpx.Response:
        signed = {} if self._authorization is None else {"Authorization": self._authorization}
        # Without it a server may code the answer, and the digest would be of other bytes than we count.
        plain = {"Accept-Encoding": "identity"}
        request = self._client.build_request("GET", path, headers=headers | signed | plain)
        try:
            answer = await self._client.send(request, stream=True)
            for _ in range(5):
                if not answer.has_redirect_location:
                    break
                following = answer.next_request
                await answer.aclose()
                assert following is not None
                if following.url.scheme == "http" and self._address.startswith("https:"):
                    raise SourceUnreadable(self._what, "sends us from https to http")
                answer = await self._client.send(following, stream=True)  # httpx drops credentials at another host
        except httpx.HTTPError as error:
            raise SourceUnreadable(self._address, f"does not answer: {error or type(error).__name__}") from error
        return answer

    async def _sign_in(self, challenge: str) -> str:
        """Return the Authorization that a challenge asks for (RFC 6750; Docker's token authentication)."""
        known = self._credentials(self._host, self._repository)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            if not isinstance(known, tuple):
                raise Refused(self._what, 401, "it asks for a name and a password")
            return _basic(known)
        if scheme.lower() != "bearer":
            raise Refused(self._what, 401, "it asks for a way to sign in that is not known here")
        parameters = dict(_PARAMETER.findall(rest))
        realm = parameters.get("realm", "")
        self._check_realm(realm)
        query = {"service": parameters.get("service", ""), "scope": f"repository:{self._repository}:pull"}
        headers = {}
        if isinstance(known, tuple):
            headers["Authorization"] = _basic(known)
        elif known is not None:
            headers["Authorization"] = f"Bearer {known}"
        try:
            answer = await self._client.get(realm, params=query, headers=headers)
        except httpx.HTTPError as error:
            raise SourceUnreadable(realm, f"does not answer: {error or type(error).__name__}") from error
        if answer.status_code != 200:
            raise Refused(self._what, answer.status_code, "the credentials were refused")
        token = _member(answer, "token") or _member(answer, "access_token")
        if not token:
            raise SourceUnreadable(realm, "gave no token")
        return f"Bearer {token}"

    def _check_realm(self, realm: str) -> None:
        """Refuse to send credentials where they could be read on the way, or to what is no address at all."""
        parts = urlsplit(realm)
        same = f"{parts.scheme}://{parts.netloc}" == self._address
        if (parts.scheme != "https" and not same) or not parts.netloc or parts.username is not None:
            raise SourceUnreadable(self._what, f"asks to sign in at {realm!r}: expected an address with https")


async def _told(answer: httpx.Response) -> str:
    """Return the registry's own words for its refusal."""
    content = b""
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > 64 * 1024:
            break
    try:
        errors: Any = httpx.Response(200, content=content).json()["errors"]
        return str(errors[0]["message"])[:200]
    except (ValueError, KeyError, IndexError, TypeError):
        return "it is not there, or may not be read"


def _member(answer: httpx.Response, name: str) -> str:
    try:
        read = answer.json()
    except ValueError:
        return ""
    value = read.get(name) if isinstance(read, dict) else None
    return value if isinstance(value, str) else ""


def _basic(known: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(f"{known[0]}:{known[1]}".encode()).decode()
