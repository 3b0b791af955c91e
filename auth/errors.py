"""What can go wrong with people, tokens and rights.

AuthError
├── InvalidPersonName     a text is no name for a person; *rule* says what would be
├── InvalidPassword       a new password is refused; *rule* says why
├── InvalidScope          a text is no scope, or none that a token can be narrowed to
├── InvalidParameters     a request cannot be read; *reason* says why
├── NameTaken             a person or a namespace of that name exists
├── PersonUnknown         no person of that name
├── LastAdministrator     nobody would be left who may do everything
├── TokenUnknown          no live token of that id belongs to the caller
├── TooManyTokens         the person holds as many tokens as one may
├── NotPermitted          who is asking is known, and may not do this
├── SetUpLinkInvalid      used, expired, replaced by a later one, or no longer needed
├── BadCredentials        a name, password or token is not right; which of them is not said
├── Throttled             too many attempts; *retry_after* says when the next may be made
└── InvalidToken          an access token is not to be trusted; *reason* says why

No error carries a password or a token's secret.
"""

from __future__ import annotations


class AuthError(Exception):
    """Root of the tree above."""


class InvalidPersonName(AuthError):
    """*text* cannot be a person's name; *rule* says what can."""

    def __init__(self, text: str, rule: str) -> None:
        super().__init__(text, rule)
        self.text = text
        self.rule = rule

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return f"{shown!r} is not a person's name: {self.rule}"


class InvalidPassword(AuthError):
    """A new password does not follow *rule*. The password itself is not kept here."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class InvalidScope(AuthError):
    """*text* is not a scope; *rule* says what would be."""

    def __init__(self, text: str, rule: str) -> None:
        super().__init__(text, rule)
        self.text = text
        self.rule = rule

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return f"{shown!r} is not a scope: {self.rule}"


class InvalidParameters(AuthError):
    """*reason* names what was expected, and never repeats what was sent: it may be a secret in the wrong place."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NameTaken(AuthError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class PersonUnknown(AuthError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LastAdministrator(AuthError):
    """*name* is the only administrator who is not disabled."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class TokenUnknown(AuthError):
    def __init__(self, token_id: str) -> None:
        super().__init__(token_id)
        self.token_id = token_id


class TooManyTokens(AuthError):
    """The person holds *most* live tokens already."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class NotPermitted(AuthError):
    """*what* is more than the caller's token allows."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class SetUpLinkInvalid(AuthError):
    """Why is not said: whoever guesses learns nothing."""


class BadCredentials(AuthError):
    """Which part was wrong is not said, and takes no different time."""


class Throttled(AuthError):
    """The next attempt is heard in *retry_after* seconds, at least 1."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class InvalidToken(AuthError):
    """*reason* is for logs and for ``error_description``; it holds nothing of the token's signature or key."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
