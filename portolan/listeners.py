"""Sockets that listen: bound once, by whoever starts the processes that share them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence

from portolan.values import Address

#: Connections that the kernel keeps for a process that is busy, or is being replaced.
BACKLOG = 2048


class CannotListen(Exception):
    """*address* cannot be listened on; *reason* is the system's word for it, *taken* tells that somebody else does."""

    def __init__(self, address: Address, reason: str, *, taken: bool = False) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason
        self.taken = taken

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.reason}"


def bind(address: Address) -> list[socket.socket]:
    """Listen on every address that *address* stands for: a name such as ``localhost`` may stand for two.

    Port 0 is any free port, the same on each.

    Raises:
        CannotListen: on one of them it is not possible; none is kept.
    """
    return _bind(address, shared=False)


def bind_each(address: Address, processes: int) -> list[list[socket.socket]]:
    """Listen on *address* once for each of *processes*, and let the kernel deal connections out to them.

    One socket that all of them accept from would do too, but whoever wakes first takes all that wait: of 16 clients
    that come together one process gets 16, the other none. Nobody else who listens there is joined by accident: that
    the address is free is tried first.

    Raises:
        CannotListen: on one of them it is not possible; none is kept.
    """
    if processes == 1:
        return [bind(address)]
    tried = bind(address)
    free = Address(address.host, port_of(tried))
    close(tried)
    bound: list[list[socket.socket]] = []
    try:
        for _ in range(processes):
            bound.append(_bind(free, shared=True))  # noqa: PERF401 - what was bound is closed if one fails
    except CannotListen:
        for each in bound:
            close(each)
        raise
    return bound


def _bind(address: Address, *, shared: bool) -> list[socket.socket]:
    bound: list[socket.socket] = []
    port = address.port
    try:
        for family, host in _resolved(address):
            bound.append(_bound(family, host, port, shared=shared))
            port = bound[0].getsockname()[1]
    except OSError as error:
        close(bound)
        reason = error.strerror or str(error)
        raise CannotListen(address, reason, taken=error.errno == errno.EADDRINUSE) from error
    return bound


def adopt(descriptors: Iterable[int]) -> list[socket.socket]:
    """Take over sockets that the parent process bound."""
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def close(sockets: Iterable[socket.socket]) -> None:
    """Listen no longer, as far as this process is concerned."""
    for each in sockets:
        each.close()


def port_of(sockets: Sequence[socket.socket]) -> int:
    """Tell the port that was bound."""
    port: int = sockets[0].getsockname()[1]
    return port


def _resolved(address: Address) -> list[tuple[int, str]]:
    if not address.host:
        return [(socket.AF_INET6, "::")] if socket.has_dualstack_ipv6() else [(socket.AF_INET, "0.0.0.0")]  # noqa: S104
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in found))


def _bound(family: int, host: str, port: int, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        os.set_blocking(made.fileno(), False)
    except OSError:
        made.close()
        raise
    return made
