"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass

from auth.limits import Limits


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, as their row was when the request came; or nobody in particular, with an empty *person_id*.

    *generation* is that of the password then. *limits* are those of the token that was shown, None where there are
    none; *token_id* is that token and *expires* its end, None where a password was shown. Without *account* the
    caller's own tokens and password are out of reach: so it is with access tokens, which clients hold to pull and push.
    """

    person_id: str = ""
    name: str = ""
    administrator: bool = False
    generation: int = 0
    limits: Limits | None = None
    token_id: str | None = None
    expires: int | None = None
    account: bool = True

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed in."""
        return not self.person_id

    @property
    def may_list(self) -> bool:
        """Whether lists of repositories may be asked for; what stands in them is another question."""
        return self.limits is None or self.limits.may_list

    @property
    def may_manage_account(self) -> bool:
        """Whether this caller's own tokens and password may be changed."""
        return self.account and not self.anonymous and (self.limits is None or self.limits.account)


ANONYMOUS = Caller()
