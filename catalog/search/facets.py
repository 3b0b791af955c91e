"""Facets: how many hits have which value, each as if nothing of its own field had been chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from catalog.browse.answers import Facet, FacetValue
from catalog.search.compile import Compiler
from catalog.search.conditions import Condition, Every, Term
from catalog.search.engine import Count, FacetRequest, SearchEngine
from catalog.search.errors import TooBroad
from catalog.search.language import Field, Form, Node, Value
from catalog.search.language.check import bare_repository
from catalog.search.question import Question

#: Values of a facet that are shown; chosen ones are added to them.
MOST_VALUES = 10


@dataclass(frozen=True, slots=True)
class _Kind:
    """A facet: the field of the language, and the fields of documents that its values are counted in."""

    name: str
    title: str
    fields: tuple[str, ...]


_OWNER = _Kind("org", "Organisation", ("namespace",))
_STATUS = _Kind("is", "Status", ("is", "public"))
_SYSTEM = _Kind("os", "Operating system", ("os",))
_ARCHITECTURE = _Kind("arch", "Architecture", ("arch",))

KINDS: dict[str, tuple[_Kind, ...]] = {
    "repository": (_ARCHITECTURE, _SYSTEM, _OWNER, _STATUS),
    "image": (
        _Kind("distro", "Distribution", ("distro",)),
        _ARCHITECTURE,
        _SYSTEM,
        _Kind("base", "Base image", ("base",)),
        _OWNER,
        _Kind("license", "License", ("license",)),
        _Kind("label", "Label", ("label",)),
        _STATUS,
    ),
}

#: Condition of the hits for all nodes but those of the fields named.
Narrowed = Callable[[str], Awaitable[Condition]]


async def requests(question: Question, narrowed: Narrowed) -> list[FacetRequest]:
    """Return what the engine is asked for the facets of *question*."""
    found: list[FacetRequest] = []
    for kind in KINDS.get(question.type, ()):
        condition = await narrowed(kind.name)
        # Some values of bases are left out of what is shown.
        most = MOST_VALUES * 5 if kind.name == "base" else MOST_VALUES
        found += (FacetRequest(field, condition, most) for field in kind.fields)
    return found


async def facets(
    engine: SearchEngine,
    compiler: Compiler,
    question: Question,
    asked: Sequence[FacetRequest],
    counted: Sequence[list[Count]],
) -> list[Facet]:
    """Return the facets that were *asked* for and *counted*."""
    found: list[Facet] = []
    position = 0
    for kind in KINDS.get(question.type, ()):
        values: dict[str, int] = {}
        for field in kind.fields:
            values.update(
                (_shown(field, each.value), each.count) for each in counted[position] if _is_shown(field, each)
            )
            position += 1
        ordered = _ordered(values)
        chosen = chosen_values(question, kind.name)
        condition = asked[position - 1].condition
        if kind.name == "base":
            ordered = await _bases(engine, compiler, condition, [value for value, _ in ordered], chosen)
        elif missing := [value for value in chosen if value not in dict(ordered)]:
            conditions = [Every((condition, _holding(kind, value))) for value in missing]
            ordered += zip(missing, await engine.count(conditions), strict=True)
        if ordered:
            rows = [
                FacetValue(value, count, value in chosen, _toggled(question, kind.name, value))
                for value, count in ordered
            ]
            found.append(Facet(kind.name, kind.title, rows))
    return found


def _ordered(values: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]


async def _bases(
    engine: SearchEngine, compiler: Compiler, condition: Condition, declared: Sequence[str], chosen: Sequence[str]
) -> list[tuple[str, int]]:
    """Count images by their bases: those that images name, for what is built on them without saying so too."""
    values = list(dict.fromkeys((*declared, *chosen)))
    if not values:
        return []
    try:
        built = await compiler.bases(values)
    except TooBroad:
        return []
    counts = await engine.count([Every((condition, each)) for each in built])
    return sorted(zip(values, counts, strict=True), key=lambda item: (-item[1], item[0]))


def chosen_values(question: Question, name: str) -> list[str]:
    """Return the values of a field that were chosen: those that stand by themselves, and whole."""
    return [
        _chosen(node, value)
        for node in question.nodes
        if isinstance(node, Field) and node.name == name
        for value in node.values
        if value.form is Form.WHOLE and not value.operator
    ]


def _chosen(node: Field, value: Value) -> str:
    if node.key is not None:
        return f"{node.key}={value.text}"
    return value.text if node.name == "label" else value.text.lower()


def _toggled(question: Question, name: str, value: str) -> str:
    """Write the query with *value* chosen as well, or, where it is chosen, not any more."""
    nodes: list[Node] = []
    removed = added = False
    for node in question.nodes:
        if not isinstance(node, Field) or node.name != name:
            nodes.append(node)
            continue
        left = tuple(each for each in node.values if each.form is not Form.WHOLE or _chosen(node, each) != value)
        removed = removed or len(left) < len(node.values)
        if left:
            nodes.append(replace(node, values=left))
    if removed:
        return question.with_nodes(nodes)
    nodes = []
    for node in question.nodes:
        if not added and isinstance(node, Field) and node.name == name and node.key is None:
            nodes.append(replace(node, values=(*node.values, Value(value))))
            added = True
        else:
            nodes.append(node)
    return question.with_nodes(nodes if added else [*nodes, Field(name, (Value(value),))])


def _holding(kind: _Kind, value: str) -> Condition:
    if value in ("public", "private") and "public" in kind.fields:
        return Term("public", "yes" if value == "public" else "no")
    return Term(kind.fields[0], value)


def _shown(field: str, value: str) -> str:
    if field == "public":
        return "public" if value == "yes" else "private"
    return value


def _is_shown(field: str, count: Count) -> bool:
    """A base has several names: the shortest with a tag is shown."""
    value = count.value
    return field != "base" or (
        ":" in value
        and "@" not in value
        and not value.startswith(("sha256:", "sha512:", "library/"))
        and bare_repository(value) == value
    )
