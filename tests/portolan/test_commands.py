"""The command line on this machine's database: what it does, what it says, and how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.portolan.conftest import Run

PASSWORD = "correct horse battery staple\n"


def add(run: Run, name: str, *options: str) -> None:
    done = run("user", "add", name, "--password-stdin", *options, input=PASSWORD)
    assert done.exit_code == 0, done.stderr


def assert_refused(run: Run, *words: str, status: int, saying: str, input: str | None = None) -> None:
    done = run(*words, input=input)
    assert done.exit_code == status, (done.stdout, done.stderr)
    assert saying in done.stderr
    assert done.stderr.startswith("portolan: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_people_are_added_listed_disabled_and_enabled(run: Run) -> None:
    add(run, "ada", "--admin")
    add(run, "bob")
    assert run("user", "disable", "bob").exit_code == 0

    table = run("user", "list").stdout
    found = json.loads(run("user", "list", "--json").stdout)

    assert [(each["name"], each["administrator"], each["disabled"]) for each in found] == [
        ("ada", True, False),
        ("bob", False, True),
    ]
    assert all(word in table for word in ("Name", "ada", "bob", "yes", "no"))

    assert run("user", "enable", "bob").exit_code == 0
    assert not json.loads(run("user", "list", "--json").stdout)[1]["disabled"]


def test_a_password_is_replaced(run: Run) -> None:
    add(run, "ada", "--admin")

    done = run("user", "password", "ada", "--password-stdin", input="another good password\n")

    assert done.exit_code == 0
    assert "another good password" not in done.output


@pytest.mark.parametrize(
    ("words", "input", "status", "saying"),
    [
        (("user", "add", "ada"), "x\n", 2, "--password-stdin"),
        (("user", "add", "Ada", "--password-stdin"), PASSWORD, 1, "'Ada' is not a person's name: expected"),
        (("user", "add", "admin", "--password-stdin"), PASSWORD, 1, "it is reserved"),
        (("user", "add", "ada", "--password-stdin"), "short\n", 1, "that password is refused: a password has at least"),
        (("user", "add", "ada", "--password-stdin"), "", 2, "there is no password on standard input"),
        (("user", "add"), None, 2, "Missing argument 'NAME'"),
        (("user", "fly", "ada"), None, 2, "No such command 'fly'"),
        (("user", "add", "ada", "--wings"), None, 2, "No such option"),
        (("fly",), None, 2, "No such command 'fly'"),
        (("--config", "missing.toml", "user", "list"), None, 2, "missing.toml cannot be read: No such file"),
        (("user", "list", "--config", "missing.toml"), None, 2, "missing.toml cannot be read: No such file"),
        (("token", "list"), None, 2, "nobody is signed in: sign in with `portolan login URL`"),
        (("token", "revoke", "../../etc"), None, 2, "is no token's id"),
        (("token", "create", "ci", "--expires", "soon"), None, 2, "--expires is 'soon': expected a number of seconds"),
        (("repository", "set", "a/b"), None, 2, "nothing to change"),
        (("repository", "show", "a/b", "--server", "registry.test"), None, 2, "nobody is signed in to registry.test"),
        (("repository", "show", "a/b", "--server", "x", "--local"), None, 2, "exclude each other"),
        (("login", "not a url"), None, 2, "is no server's address"),
        (("login", "http://127.0.0.1:1"), None, 1, "http://127.0.0.1:1 does not answer"),
    ],
)
def test_a_mistake_is_refused_in_one_line(
    run: Run, words: tuple[str, ...], input: str | None, status: int, saying: str
) -> None:
    assert_refused(run, *words, status=status, saying=saying, input=input)


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (("user", "add", "ada", "--password-stdin"), "there is a person or a namespace called ada already"),
        (("user", "password", "eve", "--password-stdin"), "there is nobody called eve"),
        (("user", "disable", "eve"), "there is nobody called eve"),
        (("user", "disable", "ada"), "ada is the only administrator"),
        (("token", "list", "--user", "eve"), "there is nobody called eve"),
        (("token", "create", "ci", "--user", "ada", "--scope", "everything"), "'everything' is not a scope"),
        (("token", "revoke", "0", "--user", "ada"), "there is no live token 0"),
        (("repository", "show", "a/b"), "there is no repository a/b"),
        (("repository", "show", "A/B"), "'A/B' is not a repository name"),
        (("repository", "delete", "a/b", "--yes"), "there is no repository a/b"),
        (("repository", "set", "a/b", "--public"), "there is no repository a/b"),
        (("repository", "set", "a/b", "--no-deprecated"), "there is no repository a/b"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(run: Run, words: tuple[str, ...], saying: str) -> None:
    add(run, "ada", "--admin")

    assert_refused(run, *words, status=1, saying=saying, input=PASSWORD)


def test_a_setting_that_cannot_be_used_is_told_by_every_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_WORKERS", "lots")

    for words in (("serve",), ("web",), ("ingest",), ("user", "list"), ("repository", "list", "--local")):
        assert_refused(run, *words, status=2, saying="PORTOLAN_WORKERS is 'lots': expected a whole number")


def test_nothing_is_begun_by_accident_in_a_wrong_directory(run: Run, settings: Path) -> None:
    for words in (("user", "list"), ("repository", "list"), ("token", "list", "--user", "ada")):
        assert_refused(run, *words, status=1, saying="there is no installation in")

    assert not settings.exists()


def test_a_data_directory_that_cannot_be_made_is_told(run: Run, settings: Path) -> None:
    settings.write_text("a file stands in its place")

    assert_refused(run, "user", "add", "ada", "--password-stdin", status=1, saying=str(settings), input=PASSWORD)


def test_a_token_is_made_listed_and_revoked(run: Run) -> None:
    add(run, "ada", "--admin")

    made = run("token", "create", "ci", "--user", "ada", "--scope", "ada/*:pull", "--expires", "30d")
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert secret.startswith("ptl_")

    (found,) = json.loads(run("token", "list", "--user", "ada", "--json").stdout)
    assert found["scopes"] == "repository:ada/*:pull"
    assert 29 * 86400 < found["expires"] - time.time() < 31 * 86400
    assert secret not in json.dumps(found)
    assert "ci" in run("token", "list", "--user", "ada").stdout

    assert run("token", "revoke", found["id"], "--user", "ada").exit_code == 0
    assert json.loads(run("token", "list", "--user", "ada", "--json").stdout) == []


def test_a_token_in_json_has_its_secret(run: Run) -> None:
    add(run, "ada")

    made = json.loads(run("token", "create", "ci", "--user", "ada", "--json").stdout)

    assert made["token"].startswith("ptl_")
    assert made["name"] == "ci"


def test_lists_that_are_empty_say_so_and_are_empty_json(run: Run) -> None:
    add(run, "ada")

    assert run("repository", "list").stdout == ""
    assert run("repository", "list").stderr == "There are no repositories.\n"
    assert json.loads(run("repository", "list", "--json").stdout) == []


def test_deleting_is_asked_about(run: Run) -> None:
    add(run, "ada")

    done = run("repository", "delete", "a/b", input="n\n")

    assert done.exit_code == 130
    assert "Delete a/b on this machine, with everything in it?" in done.stderr


def test_help_tells_of_every_command_and_is_quick(run: Run) -> None:
    told = run("--help").stdout

    for command in ("serve", "web", "ingest", "login", "user", "repository", "token", "doctor"):
        assert f"\n  {command} " in told
    assert "prepare" not in told
    for words in (("serve",), ("user", "add"), ("token", "create"), ("repository", "set"), ("doctor",)):
        assert run(*words, "--help").exit_code == 0
    # What takes time to import is not imported for it.
    listing = (
        "import sys\nsys.argv = ['portolan', '--help']\nfrom portolan.command import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(sorted(sys.modules), file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stderr
    assert "'click'" in loaded
    for module in ("sqlalchemy", "starlette", "uvicorn", "rich", "asyncio", "httpx", "structlog"):
        assert f"'{module}'" not in loaded


def test_the_supervisor_stays_small() -> None:
    listing = "import sys\nimport portolan.commands.running, portolan.supervisor\nprint(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout

    for module in ("sqlalchemy", "starlette", "uvicorn", "alembic", "httpx", "jinja2", "prometheus_client"):
        assert f"'{module}'" not in loaded


def test_what_serves_does_not_load_what_only_migrates_or_asks() -> None:
    listing = (
        "import sys\nimport portolan.web, portolan.background, portolan.commands.execution\nprint(sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout

    for module in ("alembic", "httpx", "prometheus_client"):
        assert f"'{module}'" not in loaded


def test_the_version_is_told(run: Run) -> None:
    for option in ("-V", "--version"):
        assert run(option).stdout == "portolan 0.1.0\n"


def test_the_installed_command_and_the_module_are_one() -> None:
    installed = Path(sys.executable).with_name("portolan")
    for command in ([str(installed)], [sys.executable, "-m", "portolan"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "portolan 0.1.0\n")


def test_a_reader_that_has_enough_is_no_error(settings: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m portolan --help | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Traceback" not in done.stderr
