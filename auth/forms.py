"""Parameters of a request, read strictly: from the query of a GET, from the form of a POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request

from auth.errors import InvalidParameters

#: Bytes of a query or a form.
LONGEST = 64 * 1024
_MOST = 200

#: What must never stand in an address: those are written into the logs of every proxy on the way.
_SECRET = {"password", "username", "refresh_token", "access_token", "token", "client_secret", "client_assertion"}
#: All others may stand only once (RFC 6749, section 3.2).
_REPEATED = {"scope"}


class Parameters:
    """Named texts. What a client left empty counts as not sent (RFC 6749, section 3.2)."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self._texts = texts

    def get(self, name: str) -> str | None:
        """Return the text of *name*, None when there is none."""
        texts = self._texts.get(name)
        return texts[0] if texts else None

    def every(self, name: str) -> Sequence[str]:
        """Return all texts of *name*, in their order."""
        return self._texts.get(name, ())


def query_parameters(request: Request) -> Parameters:
    """Read the query.

    Raises:
        InvalidParameters: it is malformed, repeats a parameter, or holds credentials.
    """
    query: bytes = request.scope["query_string"]
    parameters = _parse(query) if query else Parameters({})
    if any(parameters.get(name) is not None for name in _SECRET):
        raise InvalidParameters("credentials do not belong into an address")
    return parameters


async def form_parameters(request: Request) -> Parameters:
    """Read the form that the request's body is.

    Raises:
        InvalidParameters: it is none, is too long, or repeats a parameter.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise InvalidParameters("expected a body of the type application/x-www-form-urlencoded")
    return _parse(await bounded_body(request, LONGEST))


async def bounded_body(request: Request, longest: int) -> bytes:
    """Read the request's body, but never more than *longest* bytes of it.

    Raises:
        InvalidParameters: there are more.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise InvalidParameters(f"expected at most {longest} bytes")
    return bytes(body)


def _parse(encoded: bytes) -> Parameters:
    if len(encoded) > LONGEST:
        raise InvalidParameters(f"expected at most {LONGEST} bytes")
    try:
        pairs = parse_qsl(encoded.decode("ascii"), errors="strict", max_num_fields=_MOST)
    except ValueError:
        raise InvalidParameters("expected parameters in UTF-8, percent-encoded, and not too many") from None
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    for name, found in texts.items():
        if len(found) > 1 and name not in _REPEATED:
            raise InvalidParameters("a parameter other than scope stands there twice")
    return Parameters(texts)


def address_of(request: Request) -> str:
    """Return the address that the request came from, behind trusted proxies the one they name."""
    return request.client.host if request.client is not None else ""
