"""Names that clients send: repositories, tags, and references (OCI distribution specification, "Pulling manifests")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cas.digest import Digest
from cas.errors import InvalidRepositoryName, InvalidTag

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True, order=True)
class RepositoryName:
    """A repository's whole name, the namespace included: ``library/alpine``, ``team/app/api``.

    The short form of the default namespace (``alpine``) is expanded by `parse` and undone by `short`: inside there is
    only one spelling.
    """

    text: str

    @classmethod
    def parse(cls, text: str, default_namespace: str = "library") -> RepositoryName:
        """Read a name, putting a single component into *default_namespace*.

        Raises:
            InvalidRepositoryName: *text* does not follow the grammar, or the whole name has more than 255 characters.
        """
        whole = text if "/" in text else f"{default_namespace}/{text}"
        if len(whole) > _MAX_NAME or _NAME.fullmatch(text) is None:
            raise InvalidRepositoryName(text)
        return cls(whole)

    @property
    def namespace(self) -> str:
        """The first component: whose repository this is."""
        return self.text.partition("/")[0]

    def short(self, default_namespace: str = "library") -> str:
        """Spell the name as people write it: without the default namespace where one component follows it."""
        namespace, _, rest = self.text.partition("/")
        return rest if namespace == default_namespace and "/" not in rest else self.text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A name that a repository gives to one of its manifests, and may move."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Read a tag.

        Raises:
            InvalidTag: *text* does not follow the grammar.
        """
        if _TAG.fullmatch(text) is None:
            raise InvalidTag(text)
        return cls(text)

    def __str__(self) -> str:
        return self.text


Reference = Tag | Digest


def parse_reference(text: str) -> Reference:
    """Read a tag or a digest; only a digest holds a colon.

    Raises:
        InvalidDigest: *text* holds a colon and is no digest.
        InvalidTag: *text* holds no colon and is no tag.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)
