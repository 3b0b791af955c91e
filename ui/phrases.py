"""What a page says when there is no answer: one table from errors to words, for people."""

from __future__ import annotations

from dataclasses import dataclass

from auth.errors import AuthError, BadCredentials, NotPermitted, Throttled, TokenUnknown
from catalog.browse.errors import (
    CatalogError,
    DatabaseFull,
    DatabaseUnavailable,
    ImageUnread,
    LayerIndexUnavailable,
    OutOfWindow,
    QueryError,
    SearchUnavailable,
    TooBroad,
)
from catalog.names import InvalidName
from ui.errors import FormRefused, SignInNeeded
from ui.formats import sentence


@dataclass(frozen=True, slots=True)
class Phrase:
    """A status, a heading and a sentence. *sign_in* where signing in may help, *retry_after* (seconds) where waiting
    does."""

    status: int
    heading: str
    text: str
    sign_in: bool = False
    retry_after: int | None = None


_NOTHING_HERE = Phrase(404, "Not on this chart", "There is nothing at this address, or nothing that you may see.", True)


def phrase(error: Exception) -> Phrase | None:
    """Find the words for *error*; None where it is none that a visitor can cause or wait for."""
    match error:
        case SignInNeeded():
            return Phrase(401, "Sign in first", "This page is for somebody who is signed in.", True)
        case BadCredentials():
            return Phrase(401, "Sign in again", "Your session has ended, or your password was changed.", True)
        case FormRefused():
            return Phrase(
                403,
                "This form was not accepted",
                "It was not sent from a page of this site, or you have signed in or out since that page was opened."
                " Nothing was changed. Go back, load the page again, and send it once more.",
            )
        case NotPermitted(what=what):
            return Phrase(403, "Not yours to do", f"This is not permitted: {what}.")
        case TokenUnknown():
            return Phrase(404, "No such token", "It was revoked already, has ended, or never was yours.")
        case Throttled(retry_after=seconds):
            return Phrase(429, "Too many attempts", f"Try again in {seconds} seconds.", retry_after=seconds)
        case (
            SearchUnavailable(reason=reason, retry_after=seconds)
            | LayerIndexUnavailable(reason=reason, retry_after=seconds)
        ):
            return Phrase(
                503,
                "The chart is being redrawn",
                f"This part cannot be looked up at this moment ({reason}). Pulling and pushing go on. Try again soon.",
                retry_after=seconds,
            )
        case DatabaseUnavailable():
            return Phrase(503, "Out of reach", "The database does not answer at this moment.", retry_after=2)
        case DatabaseFull():
            return Phrase(507, "No room is left", "No room is left in the database. Nothing was changed.")
        case ImageUnread(problem=problem) if problem:
            return Phrase(409, "This image could not be read", sentence(problem))
        case ImageUnread(waits_for=missing) if missing:
            return Phrase(503, "Being read", f"This image is being read, and waits: {sentence(missing)}", retry_after=5)
        case ImageUnread():
            return Phrase(503, "Being read", "This image is still being read. That takes a few seconds.", retry_after=2)
        case OutOfWindow(window=window):
            return Phrase(400, "Too far down", f"Only the first {window:,} results can be paged to: narrow the search.")
        case TooBroad(what=what, advice=advice):
            return Phrase(400, "Too broad", f"{what}: {advice}.")
        case QueryError(message=message):
            return Phrase(400, "This cannot be read", sentence(message))
        case CatalogError() | InvalidName():
            return _NOTHING_HERE
        case AuthError():
            return None
        case _:
            return None
