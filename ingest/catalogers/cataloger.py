"""What a cataloger is: something that reads the packages of one ecosystem from the files of a layer.

A reader of layers asks by path which files somebody wants, and hands their content over, one at a time. Catalogers keep
nothing between two files, read nothing else, and are fed hostile bytes.
"""

from __future__ import annotations

from typing import Protocol

from catalog.images.facts import Evidence

#: Bytes of a file's beginning that tell what it is.
START = 4096


class Unreadable(Exception):
    """The file is not what its name promises: *reason* in words. It is recorded as a limit, and the layer goes on.

    *partial* is what could be read of it nonetheless, and counts like any other evidence; None where nothing could.
    *has_packages* tells that no package is missing in it, so that what it does not name is not there.
    """

    def __init__(self, reason: str, partial: Evidence | None = None, *, has_packages: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.partial = partial
        self.has_packages = has_packages


class FileCataloger(Protocol):
    """Reads whole files whose path tells that they matter."""

    #: ``dpkg``, ``apk``, ``python``, ``npm``; and its version, raised whenever it would read something differently.
    name: str
    version: int
    #: A regular expression for whole paths (``var/lib/dpkg/status``), without groups that capture: the reader joins
    #: those of all catalogers into one.
    pattern: str
    #: Databases of distributions may lie elsewhere, and links lead to them from where they belong: paths (likewise) of
    #: files, and beginnings of files of any name, that `recognises` has a look at. Nothing, where the path alone tells.
    elsewhere: str
    starts: tuple[bytes, ...]
    #: Bytes of such a file that are read at most; a larger one is recorded as a limit and not read at all.
    largest: int

    def recognises(self, path: str, start: bytes) -> bool:
        """Tell whether a file elsewhere is one of its own, by its path and its first `START` bytes. Never raises."""

    def read(self, path: str, content: bytes) -> Evidence | None:
        """Return what the file tells; None where it is no business of this cataloger after all.

        Raises:
            Unreadable: it is broken.
        """


class ProgramCataloger(Protocol):
    """Reads parts of executables, which are recognised by how they begin."""

    name: str
    version: int
    #: How such files begin.
    magics: tuple[bytes, ...]
    #: Bytes of the beginning that `ranges` needs (fewer where the file is shorter), at most 64 KiB.
    head: int

    def ranges(self, size: int, head: bytes) -> list[tuple[int, int]]:
        """Return which parts of the file (start, stop) are needed: ascending, apart, at most 4 MiB in all; none where
        the file is no business of this cataloger. Never raises."""

    def read(self, path: str, size: int, head: bytes, parts: list[bytes]) -> Evidence | None:
        """Return what these parts tell.

        Raises:
            Unreadable: they are broken.
        """
