"""Logs: one line an outcome, as JSON or as text, on standard error.

Every line has the part of the program that wrote it and, within a request, the request's id. Values under names that
promise a secret are never written. What libraries say through `logging` takes the same way.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: The id of the request that is being answered; set once a request, in the task that answers it.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

_SECRET = frozenset(
    ("authorization", "cookie", "key", "link", "password", "private_key", "refresh_token", "secret", "token")
)

#: What uvicorn says of things that are logged elsewhere, or that any client can cause at will.
_SAID_ELSEWHERE = (
    "ASGI callable returned without",
    "Invalid HTTP request received",
    "Unsupported upgrade request",
    "No supported WebSocket library",
    "Cancel %s running task(s)",
)


def configure(log_format: str, level: str, part: str) -> None:
    """Begin to log as *part* of the program (``serve``, ``web``, ``ingest``)."""
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    bound = {"part": part, "pid": os.getpid()}

    def add_bound(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        request_id = REQUEST_ID.get()
        if request_id:
            event.setdefault("request_id", request_id)
        event.update(bound)
        return event

    every_line: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_bound,
        _drop_secrets,
    ]
    render: Processor
    if as_text:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            timestamp_key="time",
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
    else:
        every_line.append(structlog.processors.format_exc_info)
        render = _as_json
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*every_line, render],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=every_line,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    handler.addFilter(_is_news)
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)


def _drop_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for name in event:
        if name in _SECRET:
            event[name] = "(secret)"
    return event


def _as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    line = {"time": event.pop("time", None), "level": event.pop("level", None), "event": event.pop("event", None)}
    line.update(event)
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except UnicodeEncodeError:  # a name of a file that is no text; the standard library writes it with escapes
        return json.dumps(line, default=str)


def _is_news(record: logging.LogRecord) -> bool:
    if record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    return not (record.name.startswith("uvicorn") and str(record.msg).startswith(_SAID_ELSEWHERE))


def _write_line(text: str) -> None:
    # One write a line, so that lines of several processes do not mix. Nobody reading them is no reason to fail.
    with suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace") + b"\n")


class _Lines:
    """The end of structlog's chain."""

    def msg(self, text: str) -> None:
        _write_line(text)

    debug = info = warning = error = critical = exception = msg


class _Handler(logging.Handler):
    """The end of logging's chain."""

    def emit(self, record: logging.LogRecord) -> None:
        _write_line(self.format(record))


def get_logger() -> Any:
    """Return the logger; it may be asked for at import, and does nothing until a line is written."""
    return structlog.get_logger()
