"""Dead links in the documentation: relative links and anchors of every Markdown file in the checkout.

``python -m tests.docs.links`` prints them and exits with 1 where there are any. Nothing is fetched: links to other
sites are not looked at. A link may not leave the checkout, because what is beside it is on one machine only.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_SKIPPED = {"build", "data", "node_modules"}
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_CODE = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)")
_INLINE = re.compile(r"\]\(\s*(?:<([^>]*)>|((?:[^\s()]|\([^\s()]*\))*))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[([^\]]+)\]:\s*<?([^\s>]+)>?")
_USE = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]*)\]")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)(?:\s+#+)?\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-+)\s*$")
_HTML_ANCHOR = re.compile(r"<[a-zA-Z][^>]*\s(?:id|name)=[\"']([^\"']+)[\"']")
_HTML_LINK = re.compile(r"<(?:a|img)\s[^>]*(?:href|src)=[\"']([^\"']+)[\"']")
_ELSEWHERE = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*:|//)")


@dataclass(frozen=True, order=True)
class DeadLink:
    """A link of *file* that leads nowhere, and why."""

    file: Path
    line: int
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.target}: {self.reason}"


def markdown_files(root: Path) -> Iterator[Path]:
    """Find every Markdown file below *root*, without what is hidden or built."""
    for entry in sorted(root.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir() and entry.name not in _SKIPPED:
            yield from markdown_files(entry)
        elif entry.suffix == ".md":
            yield entry


def dead_links(root: Path) -> list[DeadLink]:
    """List the dead links of all Markdown files below *root*; the files are told relative to it."""
    root = root.resolve()
    found: list[DeadLink] = []
    for file in markdown_files(root):
        shown = file.relative_to(root)
        for line, target, reason in _dead_links_of(file, root):
            found.append(DeadLink(shown, line, target, reason))
    return found


def _dead_links_of(file: Path, root: Path) -> Iterator[tuple[int, str, str]]:
    text = _prose(file.read_text())
    defined = {m[1].casefold() for line in text for m in [_DEFINITION.match(line)] if m}
    for number, line in enumerate(text, 1):
        for target in _targets(line):
            reason = _why_dead(file, target, root)
            if reason:
                yield number, target, reason
        for use in _USE.finditer(line):
            name = use[2] or use[1]
            if name.casefold() not in defined:
                yield number, use[0], "no such link is defined in this file"


def _targets(line: str) -> Iterator[str]:
    definition = _DEFINITION.match(line)
    if definition:
        yield definition[2]
    for match in _INLINE.finditer(line):
        yield match[1] if match[1] is not None else match[2]
    for match in _HTML_LINK.finditer(line):
        yield match[1]


def _why_dead(file: Path, target: str, root: Path) -> str | None:
    if _ELSEWHERE.match(target):
        return None
    path, _, fragment = unquote(target).partition("#")
    place = file if not path else Path(path)
    if place.is_absolute() and place != file:
        return "an absolute path is another place on every site"
    place = (file.parent / place).resolve()
    if not place.is_relative_to(root):
        return "leaves the checkout"
    if not place.exists():
        return "no such file"
    if fragment and place.suffix == ".md" and fragment not in _anchors(place):
        return f"no heading or anchor of that name in {place.relative_to(root)}"
    return None


@functools.cache
def _anchors(file: Path) -> frozenset[str]:
    """The names that a fragment may have: of headings, as code hosts make them, and of HTML elements."""
    anchors: set[str] = set()
    seen: dict[str, int] = {}
    before = ""
    # What stands in a heading as code is part of its name, so only fenced blocks are taken out here.
    for line in _without_fences(file.read_text()):
        heading = _HEADING.match(line)
        title = heading[1] if heading else before.strip() if _UNDERLINE.match(line) and before.strip() else None
        if title is not None:
            name = _slug(title)
            count = seen.get(name, 0)
            seen[name] = count + 1
            anchors.add(f"{name}-{count}" if count else name)
        anchors.update(match[1] for match in _HTML_ANCHOR.finditer(line))
        before = line
    return frozenset(anchors)


def _slug(title: str) -> str:
    title = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", title)
    title = re.sub(r"<[^>]+>", "", title)
    # Emphasis marks are not part of the name; an underscore inside a word is.
    title = re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", title)
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def _prose(text: str) -> list[str]:
    """The lines of *text*, those of code blanked and inline code taken out, so that numbers of lines stay."""
    return [_CODE.sub("", line) for line in _without_fences(text)]


def _without_fences(text: str) -> Iterator[str]:
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
            yield ""
        elif mark:
            fence = mark[1]
            yield ""
        else:
            yield line


def main() -> int:
    root = Path(__file__).resolve().parents[2]
    found = dead_links(root)
    for link in found:
        print(link)
    print(f"{len(list(markdown_files(root)))} Markdown files, {len(found)} dead links")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
