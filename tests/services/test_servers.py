"""The servers that other tests lean on do what they say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.services import Distribution, PostgreSQL, find, free_port, require, wait_until
from tests.services.distribution import TokenAuthority
from tests.services.processes import descendants, end, is_alive
from tests.services.web import answers, get


async def test_each_test_has_an_empty_database_of_its_own(postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        await connection.execute("create table here (x integer)")
        assert await connection.fetchval("show server_encoding") == "UTF8"
    finally:
        await connection.close()


async def test_a_database_is_dropped_under_an_open_connection(postgresql: PostgreSQL) -> None:
    name = postgresql.create()
    connection = await asyncpg.connect(postgresql.url(name))
    postgresql.drop(name)
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await connection.fetchval("select 1")
    connection.terminate()


def test_a_database_is_copied_from_a_template(postgresql: PostgreSQL) -> None:
    template = postgresql.create()
    postgresql.run_sql("create table known (x integer)", "insert into known values (7)", database=template)
    copy = postgresql.create(template)
    assert postgresql.run_sql("select x from known", database=copy) == "7"
    postgresql.drop(copy)
    postgresql.drop(template)


def test_postgresql_keeps_what_was_committed_when_it_is_killed(tmp_path: Path) -> None:
    with PostgreSQL(tmp_path) as server:
        assert server.run_sql("show fsync") == "on"
        server.run_sql("create table kept (x integer)", "insert into kept values (1)")
        family = server.pids()
        assert len(family) > 1
        server.kill()
        wait_until(lambda: not any(map(is_alive, family)), 10, "its processes to end")

        server.start()

        assert server.run_sql("select x from kept") == "1"
        server.stop()
        assert not server.is_running()
        server.start()


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with PostgreSQL(tmp_path / "first", quick=True) as first:
        second = PostgreSQL(tmp_path / "second", quick=True)
        second.port = first.port
        with pytest.raises(RuntimeError, match=f"port {first.port} is in use"):
            second.start()


def test_distribution_answers(tmp_path: Path) -> None:
    with Distribution(tmp_path) as registry:
        assert answers(f"{registry.url}/v2/")
    assert not registry.is_running()


def test_distribution_asks_for_tokens(tmp_path: Path) -> None:
    key = {"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256"}
    # A point of the curve, from RFC 7517, appendix A.1: nothing is signed with it here.
    key |= {"x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [key]}))
    authority = TokenAuthority(keys, "http://127.0.0.1:1/token")

    with Distribution(tmp_path / "registry", authority=authority) as registry:
        status, headers, _ = get(f"{registry.url}/v2/")

    assert status == 401
    assert headers["Www-Authenticate"].startswith('Bearer realm="http://127.0.0.1:1/token",service="portolan"')


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    registry = Distribution(tmp_path, environment={"REGISTRY_STORAGE": "unheard-of"})
    with pytest.raises(RuntimeError, match="unheard-of"):
        registry.start()
    assert not registry.is_running()


def test_a_missing_program_is_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTOLAN_REQUIRE_SERVICES", raising=False)
    assert find("no-such-program") is None
    with pytest.raises(pytest.skip.Exception, match=r"no-such-program is not installed .* run `bash"):
        require("no-such-program")


def test_a_missing_program_is_a_failure_where_services_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        require("no-such-program")


def test_the_processes_of_a_program_are_found_and_ended() -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE) as parent:
        wait_until(lambda: len(descendants(parent.pid)) == 2, 20, "the child to appear")
        first, second = descendants(parent.pid)
        assert first == parent.pid

        assert end(second, signal.SIGKILL, 10)

        wait_until(lambda: not is_alive(second), 10, "the child to be collected")
    assert descendants(parent.pid) == []
    assert end(parent.pid, signal.SIGKILL, 1), "a process that is not there is no error"


def test_a_free_port_is_free() -> None:
    assert 1024 < free_port() < 65536
