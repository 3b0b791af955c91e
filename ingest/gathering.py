"""What catalogers and the texts say of a layer, gathered while its files come by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from cas.entries import FILE
from catalog.images.facts import Evidence
from ingest.catalogers.cataloger import FileCataloger, Unreadable
from ingest.interests import TEXTS, Interest, Interests, ProgramParts
from ingest.layer_entries import LayerEntries
from ingest.limits import ReadLimits
from ingest.remarks import Remarks

#: Bytes of wanted files that are kept at hand, for hard links to them that come later.
_AT_HAND = 16 << 20
#: Files that are read though they are not where such files belong: so many databases, and so many that are known by
#: their folder. (A desktop has some 3,000 lists.)
_MOST_ELSEWHERE = 20_000


class _Elsewhere:
    """How many files of a kind were read that are not where such files belong, and their bytes."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0


class Gathering:
    """Hands content over, keeps what is said by path, and forgets it when the path is replaced.

    A hard link has the evidence of its target under its own path too, if somebody wants that path. Its target's content
    may still be at hand, or be yet to come; else the link stands in `again`, by the path of the file to be read again.

    A database may lie where none belongs, and a link lead to it from where one does: what is in it is kept too, and
    squashing decides. All such files together may be as large as one, and what becomes of them is no remark on the
    layer, for most of them are copies and examples: evidence that is not whole says so itself (`Evidence.unread`).
    Lists of files are counted apart: however many are copied, a database is read.
    """

    def __init__(self, interests: Interests, limits: ReadLimits, remarks: Remarks) -> None:
        self._interests = interests
        self._limits = limits
        self._remarks = remarks
        self._evidence: dict[str, list[Evidence]] = {}
        self._texts: dict[str, bytes] = {}
        self._handed = 0
        self._elsewhere = {True: _Elsewhere(), False: _Elsewhere()}  # databases; others
        #: Catalogers of databases that were not read, after too many others.
        self._passed_over: set[str] = set()
        self._at_hand: dict[str, bytes] = {}
        self._at_hand_size = 0
        #: The file that each closed link stands for; files that links stand for; those of them replaced since.
        self._origins: dict[str, str] = {}
        self._linked: set[str] = set()
        self._stale: set[str] = set()
        #: The path that each wanted link waits for, and the other way round.
        self._waiting: dict[str, str] = {}
        self._awaited: dict[str, list[str]] = {}
        self.again: dict[str, str] = {}

    def forget(self, path: str) -> None:
        """Drop what was said of *path*: another entry stands there now."""
        self._evidence.pop(path, None)
        self._texts.pop(path, None)
        self._waiting.pop(path, None)
        self._origins.pop(path, None)
        self.again.pop(path, None)
        self._at_hand_size -= len(self._at_hand.pop(path, b""))
        if path in self._linked:
            self._stale.add(path)

    def wants(self, path: str, size: int) -> bool:
        """Tell whether the content of the file at *path* is to be handed over, for it or for links that wait for it."""
        wanted = self._interests.wants(path) is not None and self._fits(path, size)
        if self._awaited:
            for link in self._awaited.get(path, ()):
                wanted = (self._waiting.get(link) == path and self._fits(link, size)) or wanted
        return wanted

    def recognises(self, path: str, size: int, start: bytes | memoryview) -> bool:
        """Tell whether the content of a file that nobody wants for its path is to be handed over for how it begins."""
        return any(self._fits_elsewhere(path, size, one) for one in self._interests.of(path, start))

    def read_file(self, path: str, content: bytes) -> None:
        """Hand over the content of a file that is wanted."""
        self._hand(path, content)
        self._at_hand[path] = content
        self._at_hand_size += len(content)
        while self._at_hand_size > _AT_HAND:
            self._at_hand_size -= len(self._at_hand.pop(next(iter(self._at_hand))))
        for link in self._awaited.pop(path, ()):
            if self._waiting.get(link) == path:
                del self._waiting[link]
                self._hand(link, content)

    def programs(self, start: bytes, size: int) -> list[ProgramParts]:
        """Return who takes parts of a program of *size* bytes that begins with *start*."""
        return [ProgramParts(cataloger, size) for cataloger in self._interests.programs_of(start)]

    def read_program(self, path: str, parts: ProgramParts) -> None:
        """Let the cataloger say what the parts that it took tell."""
        self._keep(path, parts.cataloger.name, partial(parts.evidence, path))

    def link(self, path: str, target: str) -> None:
        """Take note of a hard link to the file *target*, which came before it."""
        origin = self._origins.get(target, target)
        self._origins[path] = origin
        self._linked.add(origin)
        for evidence in self._evidence.get(origin, ()):
            if evidence.cataloger in self._interests.of_programs:
                self._evidence.setdefault(path, []).append(replace(evidence, path=path))
        wanted = [link for link in self._awaited.pop(path, ()) if self._waiting.pop(link, None) == path]
        if self._interests.wants(path) is not None or self._is_database(origin):
            wanted.append(path)
        for link in wanted:
            content = self._at_hand.get(origin)
            if content is None or origin in self._stale:
                self.again[link] = origin
            elif self._fits(link, len(content)):
                self._hand(link, content)

    def wait(self, path: str, target: str) -> None:
        """Take note of a hard link to *target*, which has not come yet."""
        links = [link for link in self._awaited.pop(path, ()) if self._waiting.get(link) == path]
        if self._interests.wants(path) is not None:
            links.append(path)
        if links:
            self._awaited.setdefault(target, []).extend(links)
            self._waiting.update(dict.fromkeys(links, target))

    def close(self, links: Mapping[str, str]) -> None:
        """Take note of the files that links turned out to stand for when all had come."""
        for link, target in links.items():
            if link in self._evidence or link in self._texts:
                continue
            self._waiting.pop(link, None)
            self.link(link, target)

    def wants_again(self, origins: Mapping[str, list[str]], path: str, size: int) -> bool:
        """Tell whether the content of *path* is to be handed over for the links that *origins* has for it."""
        return any(self._fits(link, size) for link in origins.get(path, ()))

    def origins_again(self) -> dict[str, list[str]]:
        """Return the links in `again` by the file that they stand for."""
        origins: dict[str, list[str]] = {}
        for link, origin in self.again.items():
            if origin not in self._stale:
                origins.setdefault(origin, []).append(link)
        return origins

    def read_again(self, links: Sequence[str], content: bytes) -> None:
        """Hand over the content of the file that *links* stand for."""
        for link in links:
            self.again.pop(link, None)
            self._hand(link, content)

    def said(self, entries: LayerEntries) -> tuple[list[Evidence], dict[str, bytes]]:
        """Return all evidence and texts of the files among *entries*, in order; remark on links that were not read."""
        for link in self.again:
            reason = "it is a hard link to a file that had gone by and could not be read again"
            if self._interests.wants(link) is not None:
                self._remarks.add(reason, link)
            for cataloger in self._interests.at_home(link):
                self._leave(link, cataloger.name, reason, "")
        reason = f"of databases that are not where they belong {_MOST_ELSEWHERE} were read, and it may be one more"
        evidence = [Evidence(cataloger, "", unread=reason) for cataloger in sorted(self._passed_over)]
        evidence += (one for path in sorted(self._evidence) if _is_file(entries, path) for one in self._evidence[path])
        return evidence, {path: text for path, text in sorted(self._texts.items()) if _is_file(entries, path)}

    def _is_database(self, path: str) -> bool:
        return any(evidence.cataloger in self._interests.of_databases for evidence in self._evidence.get(path, ()))

    def _hand(self, path: str, content: bytes) -> None:
        size = len(content)
        if path in TEXTS and size <= self._limits.text:
            self._texts[path] = content
        for interest in self._interests.of(path, content):
            cataloger, at_home, is_database = interest
            if at_home and size > self._largest(cataloger):
                continue
            if not at_home and not self._fits_elsewhere(path, size, interest):
                continue
            if self._handed + size > self._limits.contents:
                reason = f"not read, after {self._limits.contents} bytes of such files"
                self._leave(path, cataloger.name, reason, reason if at_home else "")
                continue
            self._handed += size
            if not at_home:
                self._elsewhere[is_database].files += 1
                self._elsewhere[is_database].size += size
            self._keep(path, cataloger.name, partial(cataloger.read, path, content), at_home=at_home)

    def _keep(self, path: str, cataloger: str, read: Callable[[], Evidence | None], *, at_home: bool = True) -> None:
        try:
            evidence = read()
        except Unreadable as error:
            if at_home:
                self._remarks.add(f"{cataloger}: {error.reason}", path)
            evidence = error.partial or Evidence(cataloger, path)
            if not error.has_packages:
                evidence = replace(evidence, unread=error.reason)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - what a file does to a cataloger costs that file's packages alone
            reason = f"{cataloger} failed: {type(error).__name__}"
            if at_home:
                self._remarks.add(reason, path)
            evidence = Evidence(cataloger, path, unread=reason)
        if evidence is not None:
            self._evidence.setdefault(path, []).append(evidence)

    def _leave(self, path: str, cataloger: str, reason: str, remark: str) -> None:
        """Note that a file was not read; what it holds is unknown."""
        kept = self._evidence.setdefault(path, [])
        if not any(evidence.cataloger == cataloger for evidence in kept):
            kept.append(Evidence(cataloger, path, unread=reason))
            if remark:
                self._remarks.add(remark, path)

    def _largest(self, cataloger: FileCataloger) -> int:
        return min(cataloger.largest, self._limits.content)

    def _fits(self, path: str, size: int) -> bool:
        """Tell whether anybody takes a file of that size; remark on it where it is too large for them."""
        fits = False
        if path in TEXTS:
            fits = size <= self._limits.text
            if not fits:
                self._remarks.add(f"not kept, for it is larger than {self._limits.text} bytes", path)
        catalogers = self._interests.at_home(path)
        for cataloger in catalogers:
            largest = self._largest(cataloger)
            if size <= largest:
                fits = True
            else:
                reason = f"larger than {largest} bytes"
                self._leave(path, cataloger.name, reason, f"{cataloger.name}: not read, for it is {reason}")
        # Of others the beginning tells.
        return fits or (not catalogers and path not in TEXTS and size <= self._limits.content)

    def _fits_elsewhere(self, path: str, size: int, interest: Interest) -> bool:
        """Tell whether there is room for a file that is not where such files belong."""
        cataloger, _, is_database = interest
        read = self._elsewhere[is_database]
        if read.files >= _MOST_ELSEWHERE:
            if is_database:
                self._passed_over.add(cataloger.name)
            return False
        most = self._largest(cataloger)
        if size <= most and read.size + size <= self._limits.content:
            return True
        read.files += 1
        self._leave(path, cataloger.name, f"larger than {most} bytes, alone or with others like it", "")
        return False


def _is_file(entries: LayerEntries, path: str) -> bool:
    entry = entries.get(path)
    return entry is not None and entry.kind == FILE
