"""From tokens to a tree: a Pratt parser, in which "and" binds closer than "or" and is not written.

    expr := or;  or := and ("OR" and)*;  and := unary (["AND"] unary)*;  unary := ["-" | "NOT"] (group | field | term)
    field := NAME [.KEY] ":" value ("," value)*;  value := [operator] (quoted | /pattern/ | bare)

What a field's values mean is checked here too, so that who reads the tree finds nothing that cannot be read.
"""

from __future__ import annotations

from catalog.search.errors import QueryError
from catalog.search.language.check import check_directives, check_field
from catalog.search.language.lexer import Kind, Token, lex
from catalog.search.language.tree import EVERYTHING, Field, Form, Node, both, either, negated

#: Characters of a query.
LONGEST = 2_000
#: Words and values of fields in a query, at most.
MOST_LEAVES = 100
#: Regular expressions in a query, at most.
MOST_PATTERNS = 5
#: Parentheses and negations inside each other, at most.
DEEPEST = 20

_OR, _AND = 1, 2


def parse(text: str) -> Node:
    """Read *text* as a query.

    Raises:
        QueryError: it is none: where, and why.
    """
    if len(text) > LONGEST:
        raise QueryError(text[:LONGEST], LONGEST - 1, LONGEST, f"a query has at most {LONGEST} characters")
    if not text.isascii():
        for position, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                clean = text.encode("utf-8", "replace").decode()
                raise QueryError(clean, position, position + 1, "this is no character")
    return _Parser(text).read()


class _Parser:
    """Reads one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = lex(text)
        self._at = 0
        self._leaves = 0
        self._patterns = 0

    def read(self) -> Node:
        if self._next().kind is Kind.END:
            return EVERYTHING
        node = self._expression(0, 0)
        if self._next().kind is not Kind.END:
            raise self._error(self._next(), "this parenthesis closes nothing")
        check_directives(self._text, node)
        return node

    def _next(self) -> Token:
        return self._tokens[self._at]

    def _expression(self, power: int, depth: int) -> Node:
        """Read as far as what follows binds closer than *power*."""
        start = self._next().start
        alternatives: list[Node] = []
        together = [self._unary(depth)]
        while True:
            token = self._next()
            if token.kind in (Kind.END, Kind.CLOSE):
                break
            if token.kind is Kind.OR:
                if power >= _OR:
                    break
                self._at += 1
                alternatives.append(self._joined(together))
                together = [self._expression(_OR, depth)]
                continue
            if power >= _AND:
                break
            if token.kind is Kind.AND:
                self._at += 1
            together.append(self._unary(depth))
        last = self._joined(together)
        return either([*alternatives, last], start, self._stop) if alternatives else last

    def _unary(self, depth: int) -> Node:
        token = self._next()
        if depth > DEEPEST:
            raise self._error(token, f"more than {DEEPEST} parentheses and negations are inside each other")
        match token.kind:
            case Kind.TERM:
                assert token.term is not None, "a term's token has it"
                self._at += 1
                self._count(1, token)
                return token.term
            case Kind.FIELD:
                self._at += 1
                self._count(len(token.values), token)
                self._count_patterns(token)
                field = Field(token.name, token.values, token.key, token.start, token.stop)
                check_field(self._text, field)
                return field
            case Kind.MINUS | Kind.NOT:
                self._at += 1
                return negated(self._unary(depth + 1), token.start, self._stop)
            case Kind.OPEN:
                self._at += 1
                if self._next().kind is Kind.CLOSE:
                    raise self._error(token, "nothing stands between the parentheses")
                node = self._expression(0, depth + 1)
                if self._next().kind is not Kind.CLOSE:
                    raise self._error(token, "this parenthesis is not closed")
                self._at += 1
                return node
        if token.kind is Kind.CLOSE:
            raise self._error(token, "something must stand before this parenthesis")
        if token.kind is Kind.END:
            raise self._error(
                self._tokens[self._at - 1], f"something must follow {self._tokens[self._at - 1].kind.value}"
            )
        raise self._error(token, f"something must stand before {token.kind.value}")

    def _count(self, leaves: int, token: Token) -> None:
        self._leaves += leaves
        if self._leaves > MOST_LEAVES:
            raise self._error(token, f"a query has at most {MOST_LEAVES} words and values")

    def _count_patterns(self, token: Token) -> None:
        self._patterns += sum(value.form is Form.PATTERN for value in token.values)
        if self._patterns > MOST_PATTERNS:
            raise self._error(token, f"a query has at most {MOST_PATTERNS} regular expressions")

    def _joined(self, nodes: list[Node]) -> Node:
        return both(nodes, nodes[0].start, nodes[-1].stop)

    @property
    def _stop(self) -> int:
        return self._tokens[self._at - 1].stop

    def _error(self, token: Token, message: str) -> QueryError:
        return QueryError(self._text, token.start, max(token.stop, token.start + 1), message)
