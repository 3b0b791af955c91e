"""The registry's routes: a path under ``/v2/`` is read from its end, since a name may hold slashes.

    /v2/                                     base
    /v2/_catalog                             catalog
    /v2/<name>/manifests/<reference>         manifest
    /v2/<name>/blobs/<digest>                blob
    /v2/<name>/blobs/uploads/                uploads
    /v2/<name>/blobs/uploads/<id>            upload
    /v2/<name>/tags/list                     tags
    /v2/<name>/referrers/<digest>            referrers

(OCI distribution specification, "Endpoints"; `_catalog` is Docker's.) Each route names the methods that it serves and
what a token must allow for them: this table is the whole of it, and the tests go through it.
"""

from __future__ import annotations

from typing import NamedTuple

#: By route, by method: the action that a token must hold for the repository. ``""`` asks for a valid token alone,
#: ``list`` for the right to list the registry.
ROUTES: dict[str, dict[str, str]] = {
    "base": {"GET": "", "HEAD": ""},
    "catalog": {"GET": "list", "HEAD": "list"},
    "manifest": {"GET": "pull", "HEAD": "pull", "PUT": "push", "DELETE": "delete"},
    "blob": {"GET": "pull", "HEAD": "pull", "DELETE": "delete"},
    "uploads": {"POST": "push"},
    "upload": {"GET": "push", "PATCH": "push", "PUT": "push", "DELETE": "push"},
    "tags": {"GET": "pull", "HEAD": "pull"},
    "referrers": {"GET": "pull", "HEAD": "pull"},
}


class Match(NamedTuple):
    """Where a path leads: the route, the repository's name as it was spelled, and the last part."""

    route: str
    name: str = ""
    argument: str = ""


def match(path: str) -> Match | None:
    """Find the route of *path*, None when there is none."""
    if not path.startswith("/v2/"):
        return Match("base") if path == "/v2" else None
    rest = path[4:]
    if not rest:
        return Match("base")
    head, _, last = rest.rpartition("/")
    name, _, kind = head.rpartition("/")
    if not name:
        return Match("catalog") if rest == "_catalog" else None
    if kind == "manifests":
        return Match("manifest", name, last)
    if kind == "blobs":
        # ".../blobs/uploads" without its slash is what some clients send for ".../blobs/uploads/"
        return Match("uploads", name) if last == "uploads" else Match("blob", name, last)
    if kind == "uploads":
        owner, _, blobs = name.rpartition("/")
        if blobs == "blobs" and owner:
            return Match("upload", owner, last) if last else Match("uploads", owner)
        return None
    if kind == "tags" and last == "list":
        return Match("tags", name)
    if kind == "referrers":
        return Match("referrers", name, last)
    return None
