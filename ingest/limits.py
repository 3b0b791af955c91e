"""How much one layer, and one stack of layers, may cost."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.images.facts import MOST_PLACED

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits on reading one layer, and on squashing those of an image. Sizes are in bytes.

    The first group fails the layer (`LimitBroken`): without the whole stream there is no diff_id. The second ends or
    thins out the reading of what the archive holds; the facts then say so. `portolan.settings` sets all but those that
    a format or a system has: these are said to be given.
    """

    #: Of the archive, decompressed.
    raw: int = 64 * GIB
    #: Decompressed bytes for each compressed one, looked at from `ratio_from` decompressed bytes on. (Deflate ends at
    #: 1032; a disk image of zeros comes near that.)
    ratio: int = 1100
    #: Given: below it a bomb costs less than a second, and small files are legitimately all zeros.
    ratio_from: int = 256 * MIB
    #: Given: what a zstandard stream may look back to, which is kept in memory. What looks back further is unpacked by
    #: nobody who was not told to: 128 MiB is what its own tools accept.
    window: int = 128 * MIB
    #: Of wall time, from the first byte to the last.
    seconds: float = 900.0

    #: Members of the archive, whatever becomes of them; the rest is not read.
    entries: int = 1_000_000
    #: Of all paths and targets together; the rest is not read.
    names: int = 128 * MIB
    #: Given: of one path or target (Linux: PATH_MAX); no system could unpack a longer one, and it is left out.
    path: int = 4096
    #: Given: of one extended header, long name or sparse map (Go's reader, which runtimes unpack with, takes as much);
    #: from a larger one on the archive is not read.
    header: int = MIB
    #: Of holes in sparse files, hashed as the zeros that they stand for; what is over has no digest.
    holes: int = 4 * GIB
    #: Of one file that a cataloger asks for, which may want less; a larger one is not read by it.
    content: int = 64 * MIB
    #: Of all such files together.
    contents: int = 512 * MIB
    #: Packages of one database; of a file that has more none are kept.
    packages: int = 100_000
    #: Files that one list (of dpkg: those of a package; of apk: those of all) names, and bytes of their paths; of more,
    #: none is told whose it is.
    list_files: int = 400_000
    list_size: int = 16 * MIB
    #: Of one small file that is kept as it is (os-release and its like).
    text: int = 64 * KIB

    #: Files that links lead elsewhere than their layers say, and that documents tell of; the others are not found.
    placed: int = MOST_PLACED
    #: Of wall time, to squash the layers of an image.
    squash_seconds: float = 300.0
