"""Sockets that listen: on every address that a setting stands for, and never beside somebody else by accident."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

import pytest

from portolan import listeners
from portolan.listeners import CannotListen, bind, bind_each, port_of
from portolan.values import Address


def connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=5).close()


def test_a_free_port_is_found_and_given_back() -> None:
    sockets = bind(Address("127.0.0.1", 0))
    port = port_of(sockets)

    connect("127.0.0.1", port)
    listeners.close(sockets)
    with pytest.raises(OSError, match="refused"):
        connect("127.0.0.1", port)


@pytest.mark.parametrize("host", ["", "::", "0.0.0.0", "localhost"])
def test_every_address_that_a_name_stands_for_is_listened_on(host: str) -> None:
    sockets = bind(Address(host, 0))
    try:
        connect("127.0.0.1", port_of(sockets))
        assert len({each.getsockname()[1] for each in sockets}) == 1
    finally:
        listeners.close(sockets)


def test_an_address_that_is_taken_is_told() -> None:
    sockets = bind(Address("127.0.0.1", 0))
    taken = Address("127.0.0.1", port_of(sockets))
    try:
        for processes in (1, 3):
            with pytest.raises(CannotListen) as refused:
                bind_each(taken, processes)
            assert refused.value.taken
    finally:
        listeners.close(sockets)


def test_two_services_never_share_an_address_although_the_processes_of_one_do() -> None:
    ours = bind_each(Address("127.0.0.1", 0), 3)
    taken = Address("127.0.0.1", port_of(ours[0]))
    try:
        for processes in (1, 3):
            with pytest.raises(CannotListen) as refused:
                bind_each(taken, processes)
            assert refused.value.taken
    finally:
        for each in ours:
            listeners.close(each)
    listeners.close(bind(taken))  # nothing of it is left


def test_connections_are_dealt_out_to_all_processes() -> None:
    ours = bind_each(Address("127.0.0.1", 0), 2)
    port = port_of(ours[0])
    with ExitStack() as clients:
        for _ in range(64):
            clients.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=5)))
        accepted = []
        for (each,) in ours:
            count = 0
            try:
                while True:
                    each.accept()[0].close()
                    count += 1
            except BlockingIOError:
                accepted.append(count)
            each.close()

    assert sum(accepted) == 64
    assert min(accepted) >= 10  # one in 10⁹ runs gives a process fewer


@pytest.mark.parametrize("address", [Address("192.0.2.1", 0), Address("no-such-host.invalid", 0)])
def test_an_address_of_no_use_is_told(address: Address) -> None:
    for processes in (1, 2):
        with pytest.raises(CannotListen) as refused:
            bind_each(address, processes)
        assert not refused.value.taken
        assert str(address) in str(refused.value)
