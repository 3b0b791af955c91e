"""What every answer tells a browser: to be strict."""

from __future__ import annotations

#: Everything comes from here, nothing that stands in a page runs, nobody frames it, and a form is sent nowhere else.
#: The referrer stays within the site, and there it has to be: without it browsers send forms with ``Origin: null``.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

#: For bytes that somebody pushed: shown as text, and without any right, whatever they are taken for.
RAW_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'"}
