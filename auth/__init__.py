"""The hub: people, their tokens, and who may do what.

It signs access tokens, and verifies them with public keys alone, so a registry that only verifies needs nothing else of
it. It knows repositories by name; what it must know of them beyond that (`Repositories`) the catalog answers. It knows
no blob, no manifest and no page.

How it hangs together, for whoever wires it:

    Fingerprints, SigningKeys ── opened once: the first process makes the keys
    People, Tokens, SetUp ────── accounts, tokens, the link to the first administrator
    Sessions ─────────────────── browsers that somebody signed in with on the pages
    Access ───────────────────── rights, from a `Caller` and a repository's name
    Verifier ─────────────────── a token's text → `Grant`, the registry's one question
    SignIn ───────────────────── credentials → `Caller`
    token_endpoint, api ──────── HTTP over these
"""

from auth.access import Access, Repositories, Visible
from auth.callers import ANONYMOUS, Caller
from auth.errors import AuthError, BadCredentials, InvalidToken, Throttled
from auth.fingerprints import Fingerprints
from auth.grants import Grant
from auth.keys import Keys, PublicKeys, SigningKeys
from auth.last_use import LastUse
from auth.limits import Limits, Pattern
from auth.passwords import Passwords
from auth.people import People, Person
from auth.scopes import ACTIONS, Scope
from auth.sessions import Sessions
from auth.set_up import SetUp
from auth.sign_in import SignIn
from auth.tokens import Tokens
from auth.verifier import Verifier

__all__ = [
    "ACTIONS",
    "ANONYMOUS",
    "Access",
    "AuthError",
    "BadCredentials",
    "Caller",
    "Fingerprints",
    "Grant",
    "InvalidToken",
    "Keys",
    "LastUse",
    "Limits",
    "Passwords",
    "Pattern",
    "People",
    "Person",
    "PublicKeys",
    "Repositories",
    "Scope",
    "Sessions",
    "SetUp",
    "SignIn",
    "SigningKeys",
    "Throttled",
    "Tokens",
    "Verifier",
    "Visible",
]
