"""The commands that speak to a server, against a real one."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from portolan.command import Failure
from portolan.logins import Login, Logins, LoginsUnreadable
from portolan.remote import normalised
from tests.portolan.conftest import Run
from tests.services import Portolan

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def served(portolan: Portolan) -> Portolan:
    """A service with two people."""
    portolan.add_person("ada", PASSWORD, admin=True)
    portolan.add_person("bob", PASSWORD)
    return portolan


def sign_in(run: Run, served: Portolan, name: str = "ada") -> None:
    done = run("login", served.url, "--username", name, "--password-stdin", input=PASSWORD + "\n")
    assert done.exit_code == 0, done.stderr
    assert f"Signed in to {served.url} as {name}" in done.stdout


def kept(home: Path) -> Path:
    return home / ".config" / "portolan" / "servers.json"


def test_login_keeps_a_token_that_only_its_owner_can_read(run: Run, served: Portolan, tmp_path: Path) -> None:
    usual = os.umask(0)
    try:
        sign_in(run, served)
    finally:
        os.umask(usual)

    file = kept(tmp_path / "home")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert PASSWORD not in file.read_text()
    written = json.loads(file.read_text())
    assert written["current"] == served.url
    assert written["servers"][served.url]["token"].startswith("ptl_")


def test_login_follows_the_place_that_is_set_for_such_files(
    run: Run, served: Portolan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))

    sign_in(run, served)

    assert (tmp_path / "elsewhere" / "portolan" / "servers.json").exists()


def test_the_scheme_may_be_left_out_on_this_machine(run: Run, served: Portolan, tmp_path: Path) -> None:
    done = run("login", served.address, "-u", "ada", "--password-stdin", input=PASSWORD)

    assert done.exit_code == 0
    assert json.loads(kept(tmp_path / "home").read_text())["current"] == served.url


def test_a_wrong_password_keeps_nothing(run: Run, served: Portolan, tmp_path: Path) -> None:
    done = run("login", served.url, "-u", "eve", "--password-stdin", input="wrong password\n")

    assert done.exit_code == 1
    assert "is not right" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not kept(tmp_path / "home").exists()


def test_a_second_login_ends_the_token_of_the_first(run: Run, served: Portolan) -> None:
    sign_in(run, served, "bob")
    sign_in(run, served, "bob")

    found = json.loads(run("token", "list", "--json").stdout)

    assert len([each for each in found if each["name"].startswith("portolan login on")]) == 1


def test_a_place_that_cannot_be_written_leaves_no_token_behind(run: Run, served: Portolan, tmp_path: Path) -> None:
    sign_in(run, served)
    before = _token_ids(run)
    file = kept(tmp_path / "home")
    login = file.read_text()
    file.write_text("{not ours")

    done = run("login", served.url, "-u", "ada", "--password-stdin", input=PASSWORD)
    file.write_text(login)

    assert done.exit_code == 1
    assert "cannot be read" in done.stderr
    assert _token_ids(run) == before


def _token_ids(run: Run) -> set[str]:
    return {each["id"] for each in json.loads(run("token", "list", "--json").stdout)}


def test_tokens_of_ones_own(run: Run, served: Portolan) -> None:
    sign_in(run, served)

    made = run("token", "create", "ci", "--scope", "team/*:pull", "--scope", "ada/app:pull,push", "--expires", "1h")
    assert made.stdout.startswith("ptl_")
    found = json.loads(run("token", "list", "--json").stdout)
    (ci,) = [each for each in found if each["name"] == "ci"]
    assert ci["scopes"] == "repository:team/*:pull repository:ada/app:pull,push"
    assert 0 < ci["expires"] - time.time() <= 3600

    assert run("token", "revoke", ci["id"]).exit_code == 0
    again = run("token", "revoke", ci["id"])
    assert again.exit_code == 1
    assert "never was yours" in again.stderr


def test_what_a_server_refuses_is_told_in_its_own_words(run: Run, served: Portolan) -> None:
    sign_in(run, served)

    for words, saying in (
        (("token", "create", "ci", "--scope", "everything"), "'everything' is not a scope"),
        (("repository", "show", "ada/none"), "There is no such repository"),
        (("repository", "set", "ada/none", "--public"), "There is no such repository"),
        (("repository", "delete", "ada/none", "--yes"), "There is no such repository"),
        (("repository", "show", "ADA"), "is not a repository name"),
    ):
        done = run(*words)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"portolan: {served.url}: ")
        assert saying in done.stderr


def test_a_server_that_went_away_is_told(run: Run, served: Portolan, tmp_path: Path) -> None:
    Logins({"HOME": str(tmp_path / "home")}).keep(Login("http://127.0.0.1:1", "ada", "ptl_x"))

    done = run("token", "list")

    assert done.exit_code == 1
    assert done.stderr.startswith("portolan: http://127.0.0.1:1 does not answer")


def test_a_token_that_was_revoked_is_told(run: Run, served: Portolan, tmp_path: Path) -> None:
    Logins({"HOME": str(tmp_path / "home")}).keep(Login(served.url, "ada", "ptl_x"))

    done = run("repository", "list")

    assert done.exit_code == 1
    assert "sign in with `portolan login`" in done.stderr


def test_several_servers_are_kept(tmp_path: Path) -> None:
    logins = Logins({"HOME": str(tmp_path)})
    one, other = Login("https://one.test", "ada", "ptl_1", "1"), Login("https://other.test", "bob", "ptl_2", "2")
    assert logins.find() is None
    assert logins.keep(one) is None
    assert logins.keep(other) is None

    assert logins.find() == other
    assert logins.find("https://one.test") == one
    assert logins.keep(one) == one
    assert logins.find() == one
    assert "ptl_1" not in repr(one)
    assert list(logins.path.parent.iterdir()) == [logins.path]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"current": "x", "servers": {"x": {}}}', "\xff"])
def test_a_file_that_is_not_ours_is_told(tmp_path: Path, text: str) -> None:
    logins = Logins({"HOME": str(tmp_path)})
    logins.path.parent.mkdir(parents=True)
    logins.path.write_text(text, encoding="latin-1")

    with pytest.raises(LoginsUnreadable):
        logins.find()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("registry.example.com", "https://registry.example.com"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("http://registry.example.com:80/", "http://registry.example.com:80"),
    ],
)
def test_addresses_are_spelled_out(text: str, url: str) -> None:
    assert normalised(text) == url


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "https://", "https://me:secret@x", "https://x/v2", "https://x:port", "x y", "https://x?q"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Failure):
        normalised(text)
