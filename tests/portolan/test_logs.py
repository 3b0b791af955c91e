"""Logs: lines that programs read, ids that lead from an answer to a line, and no secrets."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
from portolan import logs
logs.configure({form!r}, {level!r}, "web")
log = logs.get_logger()
logs.REQUEST_ID.set("abc-1")
{body}
"""


def written(body: str, form: str = "json", level: str = "info") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form, level=level, body=body)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_line_is_one_object_with_its_time_part_and_request() -> None:
    (line,) = written('log.info("published", digest="sha256:1", size=5)')

    read = json.loads(line)
    assert (
        read.items()
        >= {
            "level": "info",
            "event": "published",
            "digest": "sha256:1",
            "size": 5,
            "part": "web",
            "request_id": "abc-1",
        }.items()
    )
    assert read["time"].endswith("Z")
    assert isinstance(read["pid"], int)


def test_an_exception_is_one_line_too() -> None:
    (line,) = written('try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception("failed")')

    assert "ZeroDivisionError: division by zero" in json.loads(line)["exception"]


def test_text_is_for_people() -> None:
    (line,) = written('log.info("published", size=5)', form="text")

    assert "published" in line
    assert "size=5" in line
    assert not line.startswith("{")


def test_off_a_terminal_auto_is_json() -> None:
    (line,) = written('log.info("published")', form="auto")

    assert json.loads(line)["event"] == "published"


def test_values_under_the_names_of_secrets_are_never_written() -> None:
    names = ("password", "token", "authorization", "secret", "link", "refresh_token", "cookie", "private_key")
    for form in ("json", "text"):
        (line,) = written(f'log.info("x", **dict.fromkeys({names!r}, "hunter2"))', form=form)
        assert "hunter2" not in line
        assert line.count("(secret)") == len(names)


def test_libraries_take_the_same_way() -> None:
    lines = written(
        'logging.getLogger("alembic").info("not important")\n'
        'logging.getLogger("asyncio").error("lost %s", "it")\n'
        'logging.getLogger("uvicorn.error").error("ASGI callable returned without completing response.")\n'
        'logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")\n'
    )

    (line,) = lines
    assert json.loads(line).items() >= {"event": "lost it", "level": "error", "part": "web"}.items()


def test_the_level_is_kept() -> None:
    body = 'log.debug("a")\nlog.info("b")\nlog.warning("c")\nlog.error("d")'

    assert [json.loads(line)["event"] for line in written(body, level="warning")] == ["c", "d"]
    assert [json.loads(line)["event"] for line in written(body, level="debug")] == ["a", "b", "c", "d"]


def test_what_json_has_no_form_for_is_written_as_text() -> None:
    (line,) = written('import pathlib\nlog.info("x", path=pathlib.Path("/a"), odd="\\udcff")')

    assert json.loads(line)["path"] == "/a"


def test_nobody_reading_is_no_reason_to_fail() -> None:
    body = 'import os\nos.close(2)\nlog.info("x")\nprint("went on")'
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form="json", level="info", body=body)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "went on\n"
