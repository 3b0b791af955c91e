"""Forms as browsers send them, where they may come from, and where one may go after them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

#: Bytes of a form, at most: a description of 25,000 characters, each of three bytes that are written as nine.
MOST_BYTES = 256 * 1024
_MOST_FIELDS = 20
_LONGEST_RETURN = 2000


async def read_form(request: Request, most: int = MOST_BYTES) -> dict[str, str]:
    """Read a form; of a name that stands there twice the last counts.

    Raises:
        HTTPException: it is something else, or too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "a form is expected, as a browser sends it")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, "the form is too long")
    try:
        return dict(parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, "the form has too many fields") from None


def from_this_site(headers: Mapping[str, str], host: str) -> bool:
    """Tell whether a browser says that a page of this site sent the form; *host* is how it may call us, too.

    A browser that says nothing is let through: what the form carries decides then.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin == "null":
        return site == "same-origin"
    # The scheme is not compared: a proxy that ends TLS may not say so.
    return urlsplit(origin).netloc in (headers.get("host"), host)


def safe_return(target: str) -> str:
    """Return the path that *target* is, if it is one within this site; else the first page's.

    A browser takes ``//host`` and ``/\\host`` for another site, and leaves out tabs and line ends.
    """
    if (
        not target.startswith("/")
        or target.startswith("//")
        or "\\" in target
        or not target.isprintable()
        or not target.isascii()
        or len(target) > _LONGEST_RETURN
    ):
        return "/"
    path = urlsplit(target).path
    return "/" if path.startswith(("/sign-in", "/sign-out", "/set-up")) else target
