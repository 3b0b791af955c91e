"""Supervision, with the real program: what dies is started again, what is to end finishes first, nothing is left."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import StartPortolan
from tests.services import Portolan
from tests.services.processes import is_alive, wait_until

#: Seconds in which anything here is over, on a busy machine.
PATIENCE = 60.0


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def parts(service: Portolan, name: str) -> list[int]:
    return [pid for pid in service.pids() if f"-m portolan {name}" in command_of(pid)]


def one_part(service: Portolan, name: str) -> int:
    (pid,) = parts(service, name)
    return pid


def wait_for_another(service: Portolan, name: str, former: int) -> None:
    wait_until(lambda: any(pid != former for pid in parts(service, name)), PATIENCE, f"another {name} process")


class SlowRequest:
    """A request whose body is begun, and finished when it is time."""

    def __init__(self, service: Portolan) -> None:
        body = b"link=x&name=ada&password=correct+horse"
        self._rest = body[4:]
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        self._connection.putrequest("POST", "/set-up")
        self._connection.putheader("Content-Type", "application/x-www-form-urlencoded")
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body[:4])
        time.sleep(0.3)  # until the server has read it

    def finish(self) -> int:
        self._connection.send(self._rest)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("name", ["web", "ingest"])
def test_a_part_that_is_killed_is_started_again(start_portolan: StartPortolan, name: str) -> None:
    service = start_portolan()
    killed = one_part(service, name)

    os.kill(killed, signal.SIGKILL)

    wait_for_another(service, name, killed)
    service.wait_ready()
    assert re.search(rf'"event":"a part died","name":"{name}', service.log.read_text())


def test_no_connection_is_refused_while_a_part_is_replaced(start_portolan: StartPortolan) -> None:
    """The supervisor holds the socket: who comes in between waits for the next process."""
    service = start_portolan()

    os.kill(one_part(service, "web"), signal.SIGKILL)

    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200


def test_several_web_processes_share_the_address(start_portolan: StartPortolan) -> None:
    service = start_portolan({"PORTOLAN_WORKERS": "3"})

    first = set(parts(service, "web"))
    assert len(first) == 3

    for pid in sorted(first)[:2]:
        os.kill(pid, signal.SIGKILL)
    assert service.is_ready()
    wait_until(lambda: len(parts(service, "web")) == 3, PATIENCE, "three web processes again")


def test_sigterm_lets_a_request_finish_and_takes_no_new_ones(start_portolan: StartPortolan) -> None:
    service = start_portolan()
    request = SlowRequest(service)
    ended: list[int] = []
    stopping = threading.Thread(target=lambda: ended.append(service.stop(PATIENCE)))

    stopping.start()
    wait_until(lambda: not can_connect(service), PATIENCE, "the address to be closed")
    assert stopping.is_alive()
    status = request.finish()
    stopping.join(PATIENCE)

    assert status == 404  # the link is made up; what counts is that there is an answer
    assert ended == [0]
    request.close()


def test_a_request_that_takes_too_long_is_cut_off_after_the_grace(start_portolan: StartPortolan) -> None:
    service = start_portolan({"PORTOLAN_SHUTDOWN_GRACE": "1s"})
    request = SlowRequest(service)
    began = time.monotonic()

    assert service.stop(PATIENCE) == 0

    assert 0.8 < time.monotonic() - began < 10
    request.close()


def test_a_second_signal_ends_all_at_once(start_portolan: StartPortolan) -> None:
    service = start_portolan({"PORTOLAN_SHUTDOWN_GRACE": "1h"})
    request = SlowRequest(service)
    family = service.pids()

    os.kill(service.pid, signal.SIGINT)
    wait_until(lambda: not can_connect(service), PATIENCE, "the address to be closed")
    os.kill(service.pid, signal.SIGINT)

    wait_until(lambda: not any(map(is_alive, family)), PATIENCE, "all processes to end")
    request.close()


def test_no_part_outlives_a_supervisor_that_was_killed(start_portolan: StartPortolan) -> None:
    service = start_portolan({"PORTOLAN_WORKERS": "2", "PORTOLAN_SHUTDOWN_GRACE": "2s"})
    family = service.pids()
    assert len(parts(service, "web")) == 2
    assert len(parts(service, "ingest")) == 1
    request = SlowRequest(service)

    os.kill(service.pid, signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, family)), 15, "the parts to end")
    request.close()


def test_what_cannot_start_ends_the_whole_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "portolan.db").write_bytes(b"this is no database, however long one looks at it" * 100)

    done = run_serve(tmp_path)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "portolan: the database does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_taken_ends_it_before_anything_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_serve(tmp_path / "data", PORTOLAN_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")

    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1:" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_part_that_cannot_start_ends_the_whole(tmp_path: Path) -> None:
    """A certificate that is no certificate: each web process refuses it, and it would again."""
    for name in ("chain.pem", "key.pem"):
        (tmp_path / name).write_text("nonsense")

    done = run_serve(
        tmp_path / "data",
        PORTOLAN_TLS_CERTIFICATE=str(tmp_path / "chain.pem"),
        PORTOLAN_TLS_KEY=str(tmp_path / "key.pem"),
    )

    assert done.returncode == 2
    assert "tls_certificate and tls_key cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_parts_run_with_what_the_supervisor_read(tmp_path: Path, start_portolan: StartPortolan) -> None:
    """A file that was changed since the start makes no two parts of one service differ."""
    config = tmp_path / "portolan.toml"
    config.write_text('audience = "first"\n')
    service = start_portolan({"PORTOLAN_CONFIG": str(config)})
    config.write_text('audience = "second"\nnonsense = 1\n')
    killed = one_part(service, "web")

    os.kill(killed, signal.SIGKILL)
    wait_for_another(service, "web", killed)
    service.wait_ready()

    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/v2/")
        assert 'service="first"' in (connection.getresponse().getheader("www-authenticate") or "")


def test_eight_processes_that_start_together_take_the_first_steps_once(tmp_path: Path) -> None:
    environment = settings_of(tmp_path / "data")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "portolan", "prepare"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert sum('"event":"database upgraded"' in errors for _, errors in outputs) == 1
    links = [output for output, _ in outputs if '"link": "' in output]
    assert len(links) == 1
    assert not any('"administered": true' in output for output, _ in outputs)
    secret = links[0].partition('"link": "')[2].partition('"')[0]
    assert not any(secret in errors for _, errors in outputs)  # printed, never logged


def test_the_set_up_link_is_printed_and_not_logged(start_portolan: StartPortolan) -> None:
    service = start_portolan()
    wait_until(lambda: "Portolan is ready" in service.log.read_text(), PATIENCE, "the address to be printed")
    written = service.log.read_text()

    (address,) = re.findall(r"^    (\S+/set-up\?link=\S+)$", written, flags=re.MULTILINE)
    assert address.startswith(service.url)
    for line in written.splitlines():
        assert not (line.startswith("{") and address.partition("=")[2] in line)
    assert len(re.findall(r"^    (?:docker|podman|skopeo) ", written, flags=re.MULTILINE)) == 3


def can_connect(service: Portolan) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=1).close()
    except OSError:
        return False
    return True


def settings_of(data: Path, **settings: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PORTOLAN_")}
    return inherited | {"PORTOLAN_DATA": str(data), "PORTOLAN_LISTEN": "127.0.0.1:0"} | settings


def run_serve(data: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    # A part that was left behind would keep the pipes open, and this would wait for it.
    return subprocess.run(
        [sys.executable, "-m", "portolan", "serve"],
        env=settings_of(data, **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
