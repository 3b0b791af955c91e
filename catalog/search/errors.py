"""What can go wrong with a search.

SearchError
├── QueryError            the text cannot be read as a query: where, why, and what would be right
├── TooBroad              the query would look at too much: what would narrow it
├── OutOfWindow           a page beyond the last that can be shown
├── SearchUnavailable     there is no index to answer from at this moment
└── WriterBusy            another process writes the index
"""

from __future__ import annotations


class SearchError(Exception):
    """Root of the tree above."""


class QueryError(SearchError):
    """*text* is no query: at *start* to *stop* (characters), *message* says what is wrong; *suggestion* is what was
    probably meant (a field's name, a value), None where nothing is near."""

    def __init__(self, text: str, start: int, stop: int, message: str, suggestion: str | None = None) -> None:
        super().__init__(text, start, stop, message, suggestion)
        self.text = text
        self.start = start
        self.stop = stop
        self.message = message
        self.suggestion = suggestion

    def __str__(self) -> str:
        caret = " " * self.start + "^" * max(self.stop - self.start, 1)
        meant = f" Did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{self.message}{meant}\n{self.text}\n{caret}"


class TooBroad(SearchError):
    """*what* matched more than can be looked at; *advice* says what would narrow it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what, advice)
        self.what = what
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


class OutOfWindow(SearchError):
    """Only the first *window* hits can be paged to."""

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.window = window


class SearchUnavailable(SearchError):
    """*reason* in words that anybody may read; it may be tried again after *retry_after* seconds."""

    def __init__(self, reason: str, retry_after: int = 2) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class WriterBusy(SearchError):
    """There is one writer, and it is not this one: *directory* is locked."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory
