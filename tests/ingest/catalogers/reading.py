"""What a reader of layers does with catalogers, in short: by the path of a file to what it tells."""

from __future__ import annotations

import re

from catalog.images.facts import Evidence, PackageFacts
from ingest.catalogers import CATALOGERS, FileCataloger, Unreadable


def cataloger_of(path: str) -> FileCataloger | None:
    """Find whose business a path is: nobody's, or one cataloger's."""
    found = [cataloger for cataloger in CATALOGERS if re.fullmatch(cataloger.pattern, path)]
    assert len(found) <= 1
    return found[0] if found else None


def read(path: str, content: bytes) -> Evidence | None:
    """Read a file that a cataloger wants."""
    cataloger = cataloger_of(path)
    assert cataloger is not None, f"nobody wants {path}"
    evidence = cataloger.read(path, content)
    assert evidence is None or (evidence.cataloger, evidence.path) == (cataloger.name, path)
    return evidence


def packages(path: str, content: bytes) -> list[PackageFacts]:
    """Read the packages of a file that holds some."""
    evidence = read(path, content)
    assert evidence is not None
    return evidence.packages


def outcome(path: str, content: bytes) -> Evidence | None:
    """Read a hostile file: what it tells after all; any other exception than `Unreadable` fails."""
    try:
        return read(path, content)
    except Unreadable as unreadable:
        assert unreadable.reason
        return unreadable.partial
