"""Readers of packages, one for each ecosystem: from the bytes of a file to what they tell.

Pure functions of hostile bytes. They know no image, no stack of layers and no file but the one they are given.
"""

from __future__ import annotations

from ingest.catalogers.apk import ApkCataloger
from ingest.catalogers.cataloger import FileCataloger, ProgramCataloger, Unreadable
from ingest.catalogers.dpkg import DpkgCataloger
from ingest.catalogers.go import GoCataloger
from ingest.catalogers.npm import NpmCataloger
from ingest.catalogers.python import PythonCataloger
from ingest.limits import ReadLimits


def catalogers(limits: ReadLimits) -> tuple[FileCataloger, ...]:
    """Return the readers of files, within *limits*."""
    return DpkgCataloger(limits), ApkCataloger(limits), PythonCataloger(), NpmCataloger()


CATALOGERS: tuple[FileCataloger, ...] = catalogers(ReadLimits())
PROGRAMS: tuple[ProgramCataloger, ...] = (GoCataloger(),)

__all__ = ["CATALOGERS", "PROGRAMS", "FileCataloger", "ProgramCataloger", "Unreadable", "catalogers"]
