"""A query as it is to be answered: what type of hits, in which order, and the nodes that have to hold; and the queries
that lead on from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from catalog.browse.answers import Chip, HitType
from catalog.search.errors import QueryError
from catalog.search.language import (
    FIELDS,
    SORTS,
    TYPES,
    Field,
    Form,
    Node,
    Takes,
    Term,
    Value,
    both,
    conjuncts,
    parse,
    write,
)
from catalog.search.language.check import fields_of
from catalog.search.language.nearest import nearest


@dataclass(frozen=True, slots=True)
class Question:
    """*nodes* are the conditions, *directives* what stands beside them (`type:`, `sort:`, `deleted:`)."""

    type: HitType
    sort: str
    deleted: str
    nodes: tuple[Node, ...]
    directives: tuple[Field, ...]
    completing: Term | None

    @classmethod
    def read(cls, text: str, type: str | None = None, sort: str | None = None) -> Question:
        """Read a query; *type* and *sort* win over those in it.

        Raises:
            QueryError: it cannot be read, or asks for an order that its hits do not have.
        """
        tree = parse(text)
        nodes: list[Node] = []
        directives: dict[str, Field] = {}
        for node in conjuncts(tree):
            if isinstance(node, Field) and FIELDS[node.name].takes is Takes.DIRECTIVE:
                directives[node.name] = node
            else:
                nodes.append(node)
        for name, given in (("type", type), ("sort", sort)):
            if given and name in directives:
                directives[name] = Field(name, (Value(given),))
        found_type = _chosen(text, "type", type, directives, TYPES) or infer(nodes)
        sorts = SORTS[found_type]
        found_sort = _chosen(text, "sort", sort, directives, sorts, f" where {found_type} hits are listed") or sorts[0]
        deleted = directives["deleted"].values[0].text.lower() if "deleted" in directives else ""
        if deleted and not type and "type" not in directives and found_type == "repository":
            found_type = "image"
        question = cls(
            cast(HitType, found_type),
            found_sort,
            deleted,
            tuple(nodes),
            tuple(directives.values()),
            _completing(text, nodes),
        )
        question._refuse_strangers(text)
        return question

    @property
    def text(self) -> str:
        """The query, formatted."""
        return self.with_nodes(self.nodes, keep_type=False)

    def with_nodes(self, nodes: Iterable[Node], *, keep_type: bool = True) -> str:
        """Write the query with other conditions; with *keep_type* it finds hits of the same type still."""
        nodes = tuple(nodes)
        directives = list(self.directives)
        said = any(directive.name == "type" for directive in directives)
        inferred = "image" if self.deleted else infer(nodes)
        if keep_type and not said and inferred != self.type:
            directives.append(Field("type", (Value(self.type),)))
        return self._write(directives, nodes)

    def for_type(self, type: HitType) -> str:
        """Write the query for hits of another type; an order that those lack is left out."""
        kept = [
            directive
            for directive in self.directives
            if directive.name != "type" and (directive.name != "sort" or directive.values[0].text in SORTS[type])
        ]
        return self._write((*kept, Field("type", (Value(type),))), self.nodes)

    def chips(self) -> list[Chip]:
        """Return the conditions that are no free words, each with the query without it."""
        found = [
            Chip(write(node), self.with_nodes(each for each in self.nodes if each is not node))
            for node in self.nodes
            if not isinstance(node, Term)
        ]
        for directive in self.directives:
            if directive.name == "deleted":
                rest = (each for each in self.directives if each is not directive)
                found.append(Chip(write(directive), self._write(rest, self.nodes)))
        return found

    def terms(self) -> list[Term]:
        """Return the free words that have to be there."""
        return [node for node in self.nodes if isinstance(node, Term)]

    def _write(self, directives: Iterable[Field], nodes: Iterable[Node]) -> str:
        """Write a query; the word that may still be typed stays at its end."""
        nodes = tuple(nodes)
        kept = (node for node in nodes if node is not self.completing)
        last = (node for node in nodes if node is self.completing)
        return write(both((*directives, *kept, *last)))

    def _refuse_strangers(self, text: str) -> None:
        """Refuse fields that the documents of this type lack, where nothing could ever be found."""
        for node in self.nodes:
            for field in fields_of(node):
                if "image" not in FIELDS[field.name].types and self.type != "repository":
                    message = f"{field.name}: is known of repositories alone: ask for type:repository."
                    raise QueryError(text, field.start, field.stop, message)


def infer(nodes: Iterable[Node]) -> str:
    """Tell whether images or repositories are meant: images where a field is known of images alone."""
    for node in nodes:
        for field in fields_of(node):
            if "repository" not in FIELDS[field.name].types:
                return "image"
            # Only images have a tag `latest`.
            if field.name == "is" and any(value.text.lower() == "latest" for value in field.values):
                return "image"
    return "repository"


def _chosen(
    text: str, name: str, given: str | None, directives: dict[str, Field], choices: Iterable[str], where: str = ""
) -> str | None:
    """Return what was given beside the text, or in it."""
    choices = tuple(choices)
    if given:
        value, place = given.lower(), (given, 0, len(given))
    elif name in directives:
        value = directives[name].values[0].text.lower()
        place = (text, directives[name].start, directives[name].stop)
    else:
        return None
    if value not in choices:
        message = f"{name}: takes {', '.join(choices[:-1])} or {choices[-1]}{where}."
        raise QueryError(*place, message, nearest(value, choices))
    return value


def _completing(text: str, nodes: list[Node]) -> Term | None:
    """Return the word that the text ends with: it may still be typed."""
    last = nodes[-1] if nodes else None
    if isinstance(last, Term) and last.stop == len(text.rstrip()) and last.form is Form.WHOLE and not last.quoted:
        return last
    return None
