"""What the handlers of the API need, and who is asking: the two dependencies that every one of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from auth.access import Access
from auth.callers import Caller
from auth.forms import address_of
from auth.sign_in import SignIn
from catalog.browse import Browse
from catalog.repositories import Repositories


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Given to the application once, by whoever makes it."""

    browse: Browse
    repositories: Repositories
    access: Access
    sign_in: SignIn
    default_namespace: str = "library"


def services(request: Request) -> ApiServices:
    """Return what the application was made with."""
    made: ApiServices = request.app.state.services
    return made


async def caller(request: Request) -> Caller:
    """Return who is asking.

    Raises:
        BadCredentials: what they show is wrong.
        Throttled: too many wrong ones came from there.
    """
    return await services(request).sign_in.caller(request.headers.get("authorization"), address_of(request))


Services = Annotated[ApiServices, Depends(services)]
Asking = Annotated[Caller, Depends(caller)]
