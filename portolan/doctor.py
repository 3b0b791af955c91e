"""What `portolan doctor` looks at: each check tells how one thing is, and what to do where it is wrong.

A check changes nothing that lasts: it makes no database, no key and no table. One that cannot look, because something
before it is wrong, says so and is not counted as another fault.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from auth.keys import PublicKeys
from auth.people import has_administrator
from database import DatabaseError, connect, migrations
from database.connect import is_sqlite, sqlite_path
from portolan import listeners
from portolan.app import MIGRATIONS
from portolan.listeners import CannotListen
from portolan.settings import Settings, SettingsError
from portolan.values import Address

#: Bytes of room below which pushes are soon refused.
LITTLE_ROOM = 1024**3
#: Seconds before a certificate's end at which it is time for another.
SOON = 14 * 86400

_TIMEOUT = 10.0

Verdict = Literal["ok", "advice", "wrong", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: *what* it looked at, how that is, and what to *do* about it."""

    what: str
    verdict: Verdict
    told: str
    do: str = ""


Check = Callable[[Settings], Awaitable[Finding]]


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks, in an order in which the first that is wrong is the one to be put right first."""
    return [await check(settings) for check in CHECKS]


async def _data_directory(settings: Settings) -> Finding:
    what, data = "data directory", settings.data
    if not data.exists():
        parent = next(each for each in data.parents if each.exists())
        if _unwritable(parent) is None:
            return Finding(what, "ok", f"{data} will be made at the first start")
        return Finding(
            what,
            "wrong",
            f"{data} is missing and cannot be made",
            f"make it, owned by user {os.geteuid()}, or set data",
        )
    if not data.is_dir():
        return Finding(what, "wrong", f"{data} is no directory", "move it away, or set data to another place")
    for place in (data, settings.store, settings.store / "blobs", settings.store / "uploads", settings.run):
        if place.exists() and (reason := _unwritable(place)):
            return Finding(
                what, "wrong", f"{place} cannot be written: {reason}", f"let user {os.geteuid()} write there"
            )
    return Finding(what, "ok", f"{data} can be written")


def _unwritable(directory: Path) -> str | None:
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-"):
            return None
    except OSError as error:
        return error.strerror or str(error)


async def _one_file_system(settings: Settings) -> Finding:
    what = "file system"
    places = [place for place in (settings.store / "blobs", settings.store / "uploads") if place.exists()]
    if len(places) < 2:
        return Finding(what, "skipped", "nothing was stored yet")
    blobs, uploads = places
    if blobs.stat().st_dev != uploads.stat().st_dev:
        return Finding(
            what,
            "wrong",
            f"{blobs} and {uploads} are on two file systems: uploads cannot be moved into place",
            "mount one file system on the whole data directory",
        )
    return Finding(what, "ok", "uploads and blobs are on one")


async def _room(settings: Settings) -> Finding:
    place = next(each for each in (settings.data, *settings.data.parents) if each.exists())
    free = shutil.disk_usage(place).free
    told = f"{free / 1024**3:.1f} GiB are free for {settings.data}"
    if free < LITTLE_ROOM:
        return Finding("room", "wrong", told, "make room, or move the data directory to a larger file system")
    return Finding("room", "ok", told)


async def _database(settings: Settings) -> Finding:
    what = "database"
    missing = _missing_file(settings)
    if missing is not None:
        if missing.parent != settings.data and not missing.parent.is_dir():
            return Finding(
                what, "wrong", f"there is no directory {missing.parent}", "make it, or put database_url right"
            )
        return Finding(what, "ok", f"{missing} will be made at the first start")
    try:
        now, newest = await migrations.current(settings.database), migrations.head(MIGRATIONS)
    except DatabaseError as error:
        return Finding(what, "wrong", str(error), "start its server, or put database_url right")
    if now is None:
        return Finding(what, "ok", "it is empty; its tables will be made at the first start")
    if now == newest:
        return Finding(what, "ok", f"it answers, at revision {now}")
    if now in migrations.history(MIGRATIONS):
        return Finding(what, "advice", f"it is at revision {now}, this version needs {newest}", "start the service")
    return Finding(
        what,
        "wrong",
        f"it is at revision {now}, which a newer version made",
        "run that version, or go back to a backup from before",
    )


async def _sqlite(settings: Settings) -> Finding:
    what = "SQLite"
    if not is_sqlite(settings.database):
        return Finding(what, "skipped", "the database is PostgreSQL")
    path = sqlite_path(settings.database)
    if not path.exists():
        return Finding(what, "skipped", "the database was not made yet")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Finding(what, "wrong", f"{path}: {error}", "go back to a backup, or move the file away to begin anew")
    if found != "ok":
        return Finding(what, "wrong", f"{path} is damaged: {found}", "go back to a backup")
    if mode != "wal":
        return Finding(
            what,
            "wrong",
            f"{path} is in mode {mode}, not WAL",
            "put it on a local file system: network file systems do not carry WAL",
        )
    return Finding(what, "ok", f"{path} is whole, and its journal is a WAL; every commit is synced")


async def _signing_key(settings: Settings) -> Finding:
    what = "signing key"
    state = await _if_migrated(settings)
    if state is not None:
        return Finding(what, "skipped", state)
    try:
        database = await connect(settings.database, 1)
        try:
            keys = (await PublicKeys(database).jwks())["keys"]
        finally:
            await database.close()
    except DatabaseError as error:
        return Finding(what, "wrong", str(error), "put the database right first")
    if not keys:
        return Finding(what, "advice", "there is none yet", "start the service: it makes one")
    return Finding(what, "ok", f"{keys[0]['kid']} signs")


async def _administrator(settings: Settings) -> Finding:
    what = "administrator"
    state = await _if_migrated(settings)
    if state is not None:
        return Finding(what, "skipped", state)
    try:
        database = await connect(settings.database, 1)
        try:
            there = await has_administrator(database)
        finally:
            await database.close()
    except DatabaseError as error:
        return Finding(what, "wrong", str(error), "put the database right first")
    if there:
        return Finding(what, "ok", "there is one")
    return Finding(
        what,
        "advice",
        "there is none yet",
        "open the set-up link that the service prints when it starts, or: portolan user add NAME --admin",
    )


async def _tls(settings: Settings) -> Finding:
    what, certificate = "TLS", settings.tls_certificate
    if certificate is None:
        if not _is_loopback(settings.listen) and not (settings.public_url or "").startswith("https://"):
            return Finding(
                what,
                "advice",
                f"passwords cross the network in the clear: {settings.listen} has no certificate",
                "set tls_certificate and tls_key; or put a proxy with a certificate in front, and set public_url",
            )
        return Finding(what, "ok", "it is not used here")
    from portolan.web import check_tls

    try:
        check_tls(settings)
        ends = _certificate_end(certificate)
    except (SettingsError, OSError, ssl.SSLError, ValueError) as error:
        return Finding(what, "wrong", str(error), "put the two files right")
    left = ends - time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(ends))
    if left <= 0:
        return Finding(what, "wrong", f"{certificate} expired on {day}", "get a new certificate, then restart")
    if left < SOON:
        return Finding(what, "advice", f"{certificate} expires on {day}", "get a new certificate, then restart")
    return Finding(what, "ok", f"{certificate} and its key belong together, until {day}")


def _certificate_end(path: Path) -> float:
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()


async def _address(settings: Settings) -> Finding:
    what = "address"
    try:
        listeners.close(listeners.bind(settings.listen))
    except CannotListen as error:
        if not error.taken:
            return Finding(what, "wrong", str(error), "set listen to an address of this machine and a port one may use")
        local = f"{settings.scheme}://{_reachable(settings.listen)}"
        try:
            answer = await _get(f"{local}/healthz", verify=False)
        except httpx.HTTPError:
            answer = None
        if answer is not None and answer.status_code == 200 and answer.text == "ok\n":
            return Finding(what, "ok", f"the service answers on {settings.listen}")
        return Finding(
            what, "wrong", f"another program listens on {settings.listen}", "stop it, or set listen to another port"
        )
    return Finding(what, "ok", f"{settings.listen} is free: the service is not running")


async def _public_url(settings: Settings) -> Finding:
    what, url = "public address", settings.public_url
    if url is None:
        return Finding(what, "skipped", "public_url is not set: each client's own is taken")
    try:
        answer = await _get(f"{url}/v2/")
    except httpx.HTTPError as error:
        return Finding(
            what,
            "wrong",
            f"{url} does not answer: {error or type(error).__name__}",
            "start the service; look at the name, the proxy and the certificate",
        )
    realm = f'realm="{url}/token"'
    if answer.headers.get("docker-distribution-api-version") != "registry/2.0":
        return Finding(what, "wrong", f"{url} answers, but not as this service", "let the proxy pass every path on")
    if realm not in answer.headers.get("www-authenticate", ""):
        return Finding(
            what, "wrong", f"the service at {url} runs with another public_url", "restart it with these settings"
        )
    return Finding(what, "ok", f"{url} leads here")


#: In the order in which they should be put right.
CHECKS: tuple[Check, ...] = (
    _data_directory,
    _one_file_system,
    _room,
    _database,
    _sqlite,
    _signing_key,
    _administrator,
    _tls,
    _address,
    _public_url,
)


async def _get(url: str, *, verify: bool = True) -> httpx.Response:
    async with httpx.AsyncClient(verify=verify, timeout=_TIMEOUT, trust_env=verify) as client:
        return await client.get(url)


def _missing_file(settings: Settings) -> Path | None:
    if not is_sqlite(settings.database):
        return None
    path = sqlite_path(settings.database)
    return None if path.exists() else path


async def _if_migrated(settings: Settings) -> str | None:
    """Return why there are no tables to look into, None where there are."""
    if _missing_file(settings) is not None:
        return "the database was not made yet"
    try:
        now = await migrations.current(settings.database)
    except DatabaseError:
        return "the database does not answer"
    return None if now is not None else "the database has no tables yet"


def _is_loopback(address: Address) -> bool:
    try:
        found = socket.getaddrinfo(address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM)  # noqa: S104
    except OSError:
        return False
    return all(str(where[0]).startswith("127.") or where[0] == "::1" for *_, where in found)


def _reachable(address: Address) -> Address:
    anywhere = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return Address(anywhere.get(address.host, address.host), address.port)
