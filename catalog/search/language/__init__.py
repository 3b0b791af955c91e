"""The query language: from the text in the box to a tree, and back.

It knows what can be written and what that means; nothing of engines, of documents, or of who asks.
"""

from catalog.search.language.fields import COMING, FIELDS, SORTS, TYPES, Qualifier, Takes
from catalog.search.language.formatter import write
from catalog.search.language.parser import parse
from catalog.search.language.tree import (
    EVERYTHING,
    And,
    Field,
    Form,
    Node,
    Not,
    Or,
    Term,
    Value,
    both,
    conjuncts,
    either,
    negated,
)

__all__ = [
    "COMING",
    "EVERYTHING",
    "FIELDS",
    "SORTS",
    "TYPES",
    "And",
    "Field",
    "Form",
    "Node",
    "Not",
    "Or",
    "Qualifier",
    "Takes",
    "Term",
    "Value",
    "both",
    "conjuncts",
    "either",
    "negated",
    "parse",
    "write",
]
