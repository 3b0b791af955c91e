"""What an operator is told of errors that end a command: one line, with what to do."""

from __future__ import annotations

from auth.errors import (
    AuthError,
    InvalidPassword,
    LastAdministrator,
    NameTaken,
    PersonUnknown,
    Throttled,
    TokenUnknown,
    TooManyTokens,
)
from cas import CasError, Digest, StorageFull
from catalog.errors import CatalogError, ManifestUnknown, RepositoryUnknown
from database import DatabaseError, DatabaseFull, DatabaseUnavailable

#: Errors that somebody at the terminal can do something about. Anything else is an error of the program.
FORESEEN = (AuthError, CasError, CatalogError, DatabaseError, OSError)


def phrased(error: Exception) -> str:
    """Say what *error* means for whoever gave the command."""
    match error:
        case StorageFull(what=what, place=place):
            return f"no room is left in {what}, {place}" if place else f"no room is left in {what}"
        case DatabaseFull(what=what):
            return f"no room is left in the database, {what}"
        case DatabaseUnavailable(reason=reason):
            return f"the database does not answer: {reason}"
        case NameTaken(name=name):
            return f"there is a person or a namespace called {name} already"
        case PersonUnknown(name=name):
            return f"there is nobody called {name}: `portolan user list` tells who there is"
        case InvalidPassword(rule=rule):
            return f"that password is refused: {rule}"
        case LastAdministrator(name=name):
            return f"{name} is the only administrator: make another one first"
        case TokenUnknown(token_id=token_id):
            return f"there is no live token {token_id}: `portolan token list` tells which there are"
        case TooManyTokens(most=most):
            return f"there are {most} tokens already: revoke one first"
        case Throttled(retry_after=seconds):
            return f"too much is going on: try again in {seconds} s"
        case RepositoryUnknown(repository=repository):
            return f"there is no repository {repository}: `portolan repository list` tells which there are"
        case ManifestUnknown(repository=repository, reference=reference):
            separator = "@" if isinstance(reference, Digest) else ":"
            return f"there is no {repository}{separator}{reference}"
        case OSError(filename=name, strerror=reason) if name:
            return f"{name}: {reason}"
    return str(error) or type(error).__name__
