"""One catalog for the tests of a file that only ask: pushed, read and indexed once for each database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from cas import Digest, RepositoryName
from cas.directory import DirectoryStore
from cas.memory import MemoryStore
from catalog.metadata import repositories
from tests.catalog.images import descriptor, index
from tests.catalog.whole import Site, going
from tests.database.engines import ENGINES, fresh_database
from tests.ingest import tars
from tests.ingest.in_process import image, status
from tests.services import PostgreSQL

OCI = "application/vnd.oci.image.manifest.v1+json"

BASE = tars.layer(
    {
        "etc/": None,
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "etc/gone": "still pulled",
        "etc/kept": "as it was",
        b"etc/caf\xe9": "no UTF-8",
        "var/lib/dpkg/status": status(("openssl", "3.0.6-1"), ("bash", "5.2-1")),
    }
)
TOP = tars.layer(
    {
        **tars.whiteout("etc/gone"),
        "srv/": None,
        "srv/app": "the program",
        "var/lib/dpkg/status": status(("openssl", "3.0.11-1"), ("bash", "5.2-1")),
    }
)
SECRET = tars.layer(
    {"opt/": None, "opt/secret-plan": "nobody's business", "var/lib/dpkg/status": status(("hush", "1.0"))}
)

DEBIAN = image(BASE, config={"history": [{"created_by": "debootstrap"}]})
APP = image(
    BASE,
    TOP,
    config={
        "config": {"Env": ["PATH=/bin"], "Labels": {"team": "payments"}, "User": "app", "Cmd": ["/srv/app"]},
        "history": [{"created_by": "debootstrap"}, {"created_by": "COPY app /srv"}],
    },
    annotations={"org.opencontainers.image.title": "app"},
)
ARM = image(tars.layer({"srv/": None, "srv/arm": "arm"}), config={"architecture": "arm64", "variant": "v8"})
PRIVATE = image(BASE, SECRET, config={"config": {"Labels": {"codename": "kraken"}, "Env": ["PIN=1234"]}})


@dataclass(frozen=True)
class Catalog:
    """What is in it: alice's public image on a base of the default namespace, an index, and what is private."""

    site: Site
    debian: Digest
    app: Digest
    arm: Digest
    both: Digest
    private: Digest
    artifact: Digest
    mismatched: Digest


@pytest.fixture(scope="module")
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of a database that the tests of a file share."""
    name = postgresql.create()
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Catalog]:
    directory = tmp_path_factory.mktemp("catalog")
    async with fresh_database(request.param, request, directory) as database:
        store = DirectoryStore(directory / "store") if request.param == "sqlite" else MemoryStore()
        async with going(database, store, directory) as site:
            yield await filled(site)


async def filled(site: Site) -> Catalog:
    """Push everything, and wait until it is found."""
    ingest = site.ingest
    debian = await ingest.push("library/debian", DEBIAN, "12", "latest")
    app = await ingest.push("alice/app", APP, "v1", "v2")
    arm = await ingest.push("alice/app", ARM)
    listed = index(
        descriptor(Digest.of(b"attestation"), OCI, platform={"os": "unknown", "architecture": "unknown"}),
        descriptor(ARM.manifest, OCI, platform={"os": "linux", "architecture": "arm64", "variant": "v8"}),
        descriptor(APP.manifest, OCI, platform={"os": "linux", "architecture": "amd64"}),
    )
    both = await ingest.push_manifest("alice/app", listed, "both", sparse=True)
    private = await ingest.push("alice/deep/secret", PRIVATE, "v1", public=False)
    artifact = await _artifact(site)
    wrong = image(BASE, config={"author": "a liar"}, diff_ids=[SECRET.diff_id.text])
    mismatched = await ingest.push("bob/wrong", wrong, "v1")
    await ingest.database.write(
        lambda tx: repositories.change(tx, RepositoryName("alice/app"), description="The payments app.")
    )
    await ingest.settled()
    return Catalog(site, debian, app, arm, both, private, artifact, mismatched)


async def _artifact(site: Site) -> Digest:
    config, chart = b"{}", b"a chart"
    for content in (config, chart):
        await site.ingest.push_blob("alice/chart", content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(config, "application/vnd.cncf.helm.config.v1+json"),
        "layers": [descriptor(chart, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
    }
    return await site.ingest.push_manifest("alice/chart", json.dumps(manifest).encode(), "v1")
