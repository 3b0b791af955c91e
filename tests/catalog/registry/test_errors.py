"""Every error that a client can cause has its words, and is told in the specification's form."""

from __future__ import annotations

import inspect

import pytest

import cas.errors
import catalog.errors
import database.errors
from catalog.registry import errors
from catalog.registry.messages import BodyTooLarge
from tests.catalog.in_process import EVERYTHING, InProcess

#: Roots, and what only a fault of ours can raise through the registry.
_NOT_OF_CLIENTS = {
    cas.errors.CasError,
    cas.errors.InvalidName,
    catalog.errors.CatalogError,
    database.errors.DatabaseError,
    database.errors.Conflict,
}

#: What questions to the catalog end in, and those that only ingest asks; `catalog.api.problems` phrases the former.
_NOT_OF_THE_REGISTRY = {
    cas.errors.DerivedUnknown,
    cas.errors.InvalidDerivedName,
    cas.errors.LayerIndexUnavailable,
    catalog.errors.ImageUnknown,
    catalog.errors.ImageUnread,
    catalog.errors.LayerUnknown,
    catalog.errors.PackageUnknown,
    catalog.errors.PathUnknown,
}


def test_every_error_a_client_can_cause_is_in_the_table() -> None:
    raised = {
        found
        for module in (cas.errors, catalog.errors, database.errors)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__
    }
    assert raised - _NOT_OF_CLIENTS - _NOT_OF_THE_REGISTRY | {BodyTooLarge} == set(errors.PHRASES)


@pytest.mark.parametrize("path", ["/v2/x", "/v2/team/app/unknown/x", "/v2/a/tags/other", "/v2/uploads/x", "/v1/other"])
async def test_an_unknown_route_is_a_404_in_json(running: InProcess, path: str) -> None:
    async with running.client({"team/app": EVERYTHING}) as client:
        answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["errors"][0]["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/Team/app/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/team//app/tags/list", 400, "NAME_INVALID"),
        ("GET", "/v2/../etc/manifests/x", 404, "NOT_FOUND"),
        ("GET", "/v2/%2e%2e/%2e%2e/manifests/x", 400, "NAME_INVALID"),
        ("GET", "/v2/team/app/manifests/-x", 400, "TAG_INVALID"),
        ("GET", "/v2/team/app/manifests/" + "x" * 129, 400, "TAG_INVALID"),
        ("GET", "/v2/team/app/manifests/sha256:x", 400, "DIGEST_INVALID"),
        ("GET", "/v2/team/app/blobs/sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
        ("GET", "/v2/team/app/blobs/..%2f..%2fetc", 404, "NOT_FOUND"),
        ("GET", "/v2/team/app/blobs/uploads/unknown", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", "/v2/team/app/blobs/uploads/" + "0" * 32, 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", "/v2/team/app/referrers/latest", 400, "DIGEST_INVALID"),
        ("GET", "/v2/team/app/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", "/v2/team/app/manifests/latest", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/team/app/tags/list", 404, "NAME_UNKNOWN"),
        ("POST", "/v2/team/app/tags/list", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/team/app/manifests/latest", 405, "UNSUPPORTED"),
        ("GET", "/v2/team/app/blobs/uploads/", 405, "UNSUPPORTED"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    running: InProcess, method: str, path: str, status: int, code: str
) -> None:
    async with running.client({"team/app": EVERYTHING}) as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    assert answer.json()["errors"][0]["message"]
