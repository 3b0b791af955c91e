"""`portolan doctor`, on installations that are whole and on ones that were broken in each way it looks for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from portolan import doctor, first_steps
from portolan.doctor import Finding, examine
from portolan.settings import Settings
from tests.conftest import StartPortolan
from tests.portolan.certificates import certificate
from tests.portolan.conftest import Run


def make_settings(data: Path, **variables: str) -> Settings:
    return Settings.load({"PORTOLAN_DATA": str(data), "PORTOLAN_LISTEN": "127.0.0.1:0", **variables})


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in asyncio.run(examine(settings))}


def faults(settings: Settings) -> dict[str, Finding]:
    return {what: finding for what, finding in findings(settings).items() if finding.verdict == "wrong"}


@pytest.fixture
def whole(tmp_path: Path) -> Settings:
    """An installation whose first steps were taken."""
    settings = make_settings(tmp_path / "data")
    asyncio.run(first_steps.take(settings))
    return settings


@contextmanager
def somebody_listens() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        yield port


def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")

    assert faults(settings) == {}
    assert not settings.data.exists()


def test_after_the_first_steps_an_administrator_is_missing(whole: Settings) -> None:
    found = findings(whole)

    assert faults(whole) == {}
    assert found["administrator"].verdict == "advice"
    assert "portolan user add NAME --admin" in found["administrator"].do
    assert found["signing key"].verdict == "ok"
    assert "revision 0005" in found["database"].told


def test_a_running_service_is_recognised(start_portolan: StartPortolan) -> None:
    service = start_portolan()
    service.add_person("ada", admin=True)

    done = service.run("doctor")

    assert f"the service answers on {service.address}" in done.stdout
    assert "Nothing is wrong." in done.stdout


def test_a_file_in_place_of_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    assert "is no directory" in faults(make_settings(tmp_path / "data"))["data directory"].told


def test_a_directory_that_cannot_be_made_or_written() -> None:
    """/proc takes no files from anybody, root included."""
    for place in ("/proc/portolan", "/proc"):
        found = faults(make_settings(Path(place)))["data directory"]
        assert str(os.geteuid()) in found.do


def test_uploads_on_another_file_system(whole: Settings) -> None:
    (whole.store / "uploads").rmdir() if (whole.store / "uploads").exists() else None
    (whole.store / "blobs").mkdir(parents=True, exist_ok=True)
    (whole.store / "uploads").symlink_to("/dev/shm")

    assert "two file systems" in faults(whole)["file system"].told


def test_little_room(whole: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(whole.data).free
    monkeypatch.setattr(doctor, "LITTLE_ROOM", free * 2)

    assert "make room" in faults(whole)["room"].do


def test_a_database_that_is_none(whole: Settings) -> None:
    (whole.data / "portolan.db").write_bytes(b"no database" * 1000)

    found = faults(whole)
    assert set(found) == {"database", "SQLite"}
    assert findings(whole)["signing key"].verdict == "skipped"


def test_a_database_that_is_damaged(whole: Settings) -> None:
    path = whole.data / "portolan.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
        root = connection.execute("select rootpage from sqlite_schema where name = 'signing_keys'").fetchone()[0]
        size = connection.execute("pragma page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)

    assert "damaged" in faults(whole)["SQLite"].told


def test_a_database_of_a_newer_version(whole: Settings) -> None:
    with closing(sqlite3.connect(whole.data / "portolan.db")) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")

    assert "a newer version" in faults(whole)["database"].told


def test_a_database_without_tables_is_no_fault(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    sqlite3.connect(tmp_path / "portolan.db").close()

    assert faults(settings) == {}


def test_a_database_in_a_directory_that_is_missing(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, PORTOLAN_DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/portolan.db")

    assert "no directory" in faults(settings)["database"].told


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, PORTOLAN_DATABASE_URL="postgresql://ada:hunter2@127.0.0.1:1/portolan")

    found = faults(settings)
    assert set(found) == {"database"}
    assert "hunter2" not in str(found)


def test_postgresql_at_the_newest_revision(tmp_path: Path, postgresql_url: str) -> None:
    settings = make_settings(tmp_path, PORTOLAN_DATABASE_URL=postgresql_url)
    assert findings(settings)["database"].told.startswith("it is empty")

    asyncio.run(first_steps.take(settings))

    assert faults(settings) == {}
    assert findings(settings)["signing key"].verdict == "ok"
    assert findings(settings)["SQLite"].verdict == "skipped"


def test_an_address_that_another_program_has(tmp_path: Path) -> None:
    with somebody_listens() as port:
        # It never answers: the wait for it is what is cut short here.
        settings = make_settings(tmp_path, PORTOLAN_LISTEN=f"127.0.0.1:{port}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(doctor, "_TIMEOUT", 0.2)
            assert "another program listens" in faults(settings)["address"].told


def test_an_address_that_is_not_of_this_machine(tmp_path: Path) -> None:
    assert "address" in faults(make_settings(tmp_path, PORTOLAN_LISTEN="192.0.2.1:5000"))


def test_passwords_in_the_clear_are_advised_against(tmp_path: Path) -> None:
    found = findings(make_settings(tmp_path, PORTOLAN_LISTEN="0.0.0.0:0"))

    assert found["TLS"].verdict == "advice"
    assert "in the clear" in found["TLS"].told


@pytest.mark.parametrize(
    ("days", "verdict", "told"), [(100, "ok", "belong together"), (5, "advice", "expires on"), (-5, "wrong", "expired")]
)
def test_a_certificate(tmp_path: Path, days: int, verdict: str, told: str) -> None:
    chain, key = certificate(tmp_path, days)
    settings = make_settings(tmp_path / "data", PORTOLAN_TLS_CERTIFICATE=str(chain), PORTOLAN_TLS_KEY=str(key))

    found = findings(settings)["TLS"]
    assert (found.verdict, told in found.told) == (verdict, True)


def test_a_key_that_belongs_to_another_certificate(tmp_path: Path) -> None:
    chain, _ = certificate(tmp_path, 100)
    (tmp_path / "other").mkdir()
    _, key = certificate(tmp_path / "other", 100)
    settings = make_settings(tmp_path / "data", PORTOLAN_TLS_CERTIFICATE=str(chain), PORTOLAN_TLS_KEY=str(key))

    assert "cannot be used" in faults(settings)["TLS"].told


def test_a_certificate_that_is_missing(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, PORTOLAN_TLS_CERTIFICATE="/nowhere.pem", PORTOLAN_TLS_KEY="/nowhere.key")

    assert "'/nowhere.pem' cannot be read" in faults(settings)["TLS"].told


def test_a_public_address_that_leads_nowhere(tmp_path: Path) -> None:
    assert "public address" in faults(make_settings(tmp_path, PORTOLAN_PUBLIC_URL="http://127.0.0.1:1"))


def test_a_public_address_that_leads_here_and_one_that_leads_to_another(start_portolan: StartPortolan) -> None:
    service = start_portolan()
    told = service.run("doctor", check=False)  # the service was started without a public address
    assert told.returncode == 0

    service.settings["PORTOLAN_PUBLIC_URL"] = service.url
    assert "runs with another public_url" not in service.run("doctor").stdout  # its own host, as it happens

    other = f"http://localhost:{service.port}"
    service.settings["PORTOLAN_PUBLIC_URL"] = other
    service.restart()
    assert f"{other} leads here" in service.run("doctor").stdout
    service.settings["PORTOLAN_PUBLIC_URL"] = service.url
    found = service.run("doctor", check=False)
    assert found.returncode == 1
    assert "runs with another public_url" in found.stdout


def test_the_command_tells_all_and_exits_with_1_when_something_is_wrong(run: Run, settings: Path) -> None:
    assert run("doctor").exit_code == 0

    settings.write_text("a file in its place")
    told = run("doctor")
    as_json = run("doctor", "--json")

    assert (told.exit_code, as_json.exit_code) == (1, 1)
    assert "WRONG" in told.stdout
    assert "→ move it away" in told.stdout
    found = json.loads(as_json.stdout)
    assert not found["ok"]
    assert {"what", "verdict", "told", "do"} == set(found["findings"][0])


def test_settings_that_cannot_be_read_are_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_WORKERS", "lots")

    done = run("doctor")

    assert done.exit_code == 1
    assert "PORTOLAN_WORKERS is 'lots'" in done.stdout
