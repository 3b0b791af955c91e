"""One GET at a time, for asking a server whether it is there; clients under test bring their own."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from email.message import Message


def get(url: str, *, authority: str | None = None, seconds: float = 5) -> tuple[int, Message, bytes]:
    """GET *url*; return the status, the headers and the body. *authority* is a file of certificates to trust.

    Raises:
        OSError: nobody answered.
    """
    # Whatever proxy the machine has is not asked for its own loopback.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if authority is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=seconds) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def answers(url: str, *, authority: str | None = None) -> bool:
    """Tell whether *url* answers 200 now."""
    try:
        return get(url, authority=authority)[0] == 200
    except OSError:
        return False
