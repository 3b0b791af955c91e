"""What can go wrong with a visit, beside what the catalog and the hub say (`ui.phrases` has the words for all).

VisitError
├── SignInNeeded          nobody is signed in, and it is needed
└── FormRefused           a form was not sent by a page of ours, or for another session than the one that it came with
"""

from __future__ import annotations


class VisitError(Exception):
    """Root of the tree above."""


class SignInNeeded(VisitError):
    """The page is somebody's own."""


class FormRefused(VisitError):
    """*reason* is for whoever reads a log; the page says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
