"""What every layer index keeps: the executable form of `cas.layer_index.protocol`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.digest import Digest
from cas.entries import DIRECTORY, FILE, HARD_LINK, OPAQUE, PIPE, SYMLINK, WHITEOUT, Entry
from cas.layer_index import BlobRecord, By, ChainRecord, FileQuery, FoundFile, FoundFiles, LayerIndex, OwnedLayerIndex


class Opened(NamedTuple):
    """An index as its owner has it, and as somebody asks it."""

    owned: OwnedLayerIndex
    index: LayerIndex


#: Opens the index in a directory, which is empty at first.
OpenIndex = Callable[[Path], AbstractAsyncContextManager[Opened]]

ONE, TWO, THREE = (Digest.of(name) for name in (b"one", b"two", b"three"))


def sha256(content: bytes) -> bytes:
    return bytes.fromhex(Digest.of(content).hex)


def file(path: str, content: bytes = b"content") -> Entry:
    return Entry(path, FILE, 0o644, 0, 0, len(content), 1_700_000_000, "", sha256(content) if content else b"")


ETC = Entry("etc", DIRECTORY, 0o755)
PASSWD = file("etc/passwd", b"root:x:0:0")
LAYER = [
    Entry("", OPAQUE),
    Entry("bin", SYMLINK, 0o777, target="usr/bin"),
    ETC,
    Entry("etc/hidden", WHITEOUT),
    file("etc/motd", b""),
    PASSWD,
    Entry("etc/ssl", OPAQUE),
    Entry("etc/ssl", DIRECTORY, 0o755),
    file("etc/ssl/cert.pem"),
    Entry("etc-link", HARD_LINK, target="etc/passwd"),
    file("etc.d", b"not below etc"),
    file("top"),
]


@dataclass
class Model:
    """The index as anybody would write it who has few layers."""

    layers: dict[Digest, list[Entry]] = field(default_factory=dict)

    def add(self, diff_id: Digest, entries: Sequence[Entry]) -> None:
        self.layers.pop(diff_id, None)
        self.layers[diff_id] = list(entries)

    def children(self, diff_id: Digest, directory: str, after: str, most: int) -> list[Entry]:
        found: dict[str, list[Entry]] = {}
        for entry in self.layers.get(diff_id, []):
            above, _, name = entry.path.rpartition("/")
            if entry.path and above == directory and name > after:
                found.setdefault(name, []).append(entry)
        return [entry for name in sorted(found)[:most] for entry in in_order(found[name])]

    def entries(self, diff_id: Digest, path: str) -> list[Entry]:
        return in_order([entry for entry in self.layers.get(diff_id, []) if entry.path == path])

    def find_files(self, query: FileQuery) -> list[FoundFile]:
        found = []
        for place, (diff_id, entries) in enumerate(self.layers.items()):
            for entry in entries:
                if entry.kind != FILE and (entry.kind != SYMLINK or query.by is By.SHA256):
                    continue
                match query.by:
                    case By.PATH:
                        text = entry.path
                    case By.NAME:
                        text = entry.path.rpartition("/")[2]
                    case By.SHA256:
                        text = (entry.digest or sha256(b"")).hex()
                if query.pattern is not None:
                    holds = (
                        text.startswith(query.text)
                        and re.fullmatch(query.pattern, text, re.ASCII | re.DOTALL) is not None
                    )
                else:
                    holds = text.startswith(query.text) if query.prefix else text == query.text
                if holds:
                    above = entry.path.rpartition("/")[0]
                    within = above if query.by is By.NAME else entry.path
                    found.append(((text, within, place), FoundFile(diff_id, entry.path)))
        return [file for _, file in sorted(found, key=lambda each: each[0])]


def in_order(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: {WHITEOUT: 0, OPAQUE: 1}.get(entry.kind, 2))


# Few letters, so that paths meet; those that keys are made of among them, and letters of each length in UTF-8.
_NAMES = st.text(alphabet="ab.\x01\x02é€\U0001f600\\ -\n", min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_CONTENTS = st.sampled_from([b"", b"a", b"b", b"c"])
_ENTRIES = st.one_of(
    st.builds(file, _PATHS, _CONTENTS),
    st.builds(
        Entry,
        _PATHS,
        st.sampled_from([DIRECTORY, SYMLINK, HARD_LINK, PIPE]),
        mode=st.integers(0, 0o7777),
        uid=st.integers(0, 2**32),
        modified=st.integers(-(2**40), 2**40),
        target=_NAMES,
    ),
    st.builds(Entry, _PATHS, st.just(WHITEOUT)),
    st.builds(Entry, st.one_of(_PATHS, st.just("")), st.just(OPAQUE)),
)


def _statement(entry: Entry) -> tuple[str, str]:
    return entry.path, entry.kind if entry.kind in (WHITEOUT, OPAQUE) else ""


LAYERS = st.lists(
    st.tuples(
        st.sampled_from([ONE, TWO, THREE]),
        st.lists(_ENTRIES, max_size=12, unique_by=_statement).map(
            lambda entries: sorted(entries, key=lambda entry: (entry.path.split("/"), _statement(entry)))
        ),
    ),
    max_size=5,
)
_PREFIXES = st.one_of(st.just(""), _NAMES, _PATHS)
_SHA256 = st.tuples(_CONTENTS, st.integers(0, 64)).map(lambda each: sha256(each[0]).hex()[: each[1]])
QUERIES = st.one_of(
    st.tuples(st.sampled_from([By.PATH, By.NAME]), _PREFIXES, st.booleans()).map(lambda each: FileQuery(*each)),
    st.tuples(st.just(By.SHA256), _SHA256, st.booleans()).map(lambda each: FileQuery(*each)),
    st.builds(
        lambda by, text, rest: FileQuery(by, text, pattern=re.sub(r"([\\.\n -])", r"\\\1", text) + rest),
        st.sampled_from([By.PATH, By.NAME]),
        st.sampled_from(["", "a", "ab", "."]),
        st.sampled_from([".*", r"[^/]*", r"(?:a|b)+", r".?b.?", r"\w*"]),
    ),
    st.builds(lambda text: FileQuery(By.SHA256, text, pattern=text + "[0-9a-f]*[0-4]"), _SHA256),
)


#: A class of tests is run for each index, and a fixture makes an index for each example.
_SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class LayerIndexContract:
    """Subclass me, provide the fixture `open_index`, add nothing else."""

    @pytest.fixture
    async def opened(self, open_index: OpenIndex, tmp_path: Path) -> AsyncIterator[Opened]:
        async with open_index(tmp_path / "index") as opened:
            yield opened

    # Blobs and stacks

    async def test_what_was_verified_of_a_blob_is_kept(self, opened: Opened) -> None:
        long = Digest.of(b"blob", "sha512")
        record = BlobRecord(ONE, 10, 2**40, 1_700_000_000)
        await opened.owned.add_blob(TWO, record)
        await opened.owned.add_blob(long, record)
        await opened.owned.add_blob(TWO, record)

        assert await opened.index.blobs([THREE, TWO, long, TWO]) == [None, record, record, record]
        assert await opened.index.blobs([]) == []
        assert await opened.index.compressions(ONE) == sorted([TWO, long])
        assert await opened.index.compressions(TWO) == []

    async def test_a_stack_knows_its_top_and_the_stack_below(self, opened: Opened) -> None:
        bottom, top = ChainRecord(ONE, None, 1), ChainRecord(TWO, ONE, 2)
        await opened.owned.add_chain(ONE, bottom)
        await opened.owned.add_chain(THREE, top)

        assert await opened.index.chains([THREE, TWO, ONE]) == [top, None, bottom]

    async def test_many_are_asked_for_at_once(self, opened: Opened) -> None:
        digests = [Digest.of(b"%d" % number) for number in range(12_000)]
        await opened.owned.add_layer(digests[7_000], 1, [], {})
        await opened.owned.add_blob(digests[11_000], BlobRecord(ONE, 1, 2, 3))

        assert (await opened.index.has_layers(digests)).index(True) == 7_000
        assert (await opened.index.blobs(digests))[11_000] == BlobRecord(ONE, 1, 2, 3)
        assert await opened.index.chains(digests) == [None] * len(digests)

    # Layers

    async def test_a_layer_is_there_when_it_was_added(self, opened: Opened) -> None:
        assert await opened.index.has_layers([ONE, TWO]) == [False, False]

        await opened.owned.add_layer(ONE, 10_240, LAYER, {})

        assert await opened.index.has_layers([ONE, TWO]) == [True, False]

    async def test_an_empty_layer_is_a_layer(self, opened: Opened) -> None:
        await opened.owned.add_layer(ONE, 1024, [], {})

        assert await opened.index.has_layers([ONE]) == [True]
        assert await opened.index.children(ONE, "") == []

    async def test_facts_are_given_back_as_they_were_added(self, opened: Opened) -> None:
        large = bytes(range(256)) * 20_000  # 5 MB: more than a part of an answer
        facts: Mapping[str, bytes] = {"dpkg": large, "apk": b"", "go binary": b"\x00"}
        await opened.owned.add_layer(ONE, 1, LAYER, facts)
        await opened.owned.add_layer(TWO, 1, LAYER, {})

        for kind, content in facts.items():
            assert await opened.index.facts(ONE, kind) == content
        assert await opened.index.facts(ONE, "npm") is None
        assert await opened.index.facts(TWO, "dpkg") is None
        assert await opened.index.facts(THREE, "dpkg") is None

    async def test_a_directory_is_listed_by_name(self, opened: Opened) -> None:
        await opened.owned.add_layer(ONE, 1, LAYER, {})
        children = opened.index.children

        assert [entry.path for entry in await children(ONE, "")] == ["bin", "etc", "etc-link", "etc.d", "top"]
        assert await children(ONE, "etc") == [each for each in LAYER if re.fullmatch("etc/[^/]+", each.path)]
        assert await children(ONE, "etc/passwd") == []
        assert await children(ONE, "nothing") == []
        assert await children(TWO, "") == []

    async def test_a_directory_is_listed_page_by_page(self, opened: Opened) -> None:
        """What is said of one name is never on two pages."""
        many = [Entry(f"d/{number:05}", kind) for number in range(12_000) for kind in (WHITEOUT, FILE)]
        await opened.owned.add_layer(ONE, 1, many, {})
        children = opened.index.children

        assert await children(ONE, "d", "", 1) == many[:2]
        assert await children(ONE, "d", "00000", 2) == many[2:6]
        assert await children(ONE, "d", "000005", 1) == many[2:4]
        assert await children(ONE, "d", "", 0) == []
        assert len(await children(ONE, "d")) == 2_000
        assert await children(ONE, "d", "", 100_000) == many
        assert await children(ONE, "d", "11998", 10_000) == many[-2:]

    async def test_all_that_a_layer_says_of_a_path_is_told(self, opened: Opened) -> None:
        await opened.owned.add_layer(ONE, 1, [*LAYER, Entry("etc/ssl", WHITEOUT)], {})
        await opened.owned.add_layer(TWO, 1, [file("etc/passwd", b"other")], {})

        found = await opened.index.entries(
            [
                (ONE, "etc/passwd"),
                (TWO, "etc/passwd"),
                (ONE, "etc/ssl"),
                (ONE, ""),
                (TWO, ""),
                (THREE, "x"),
                (ONE, "etc/"),
            ]
        )

        assert found[0] == [PASSWD]
        assert found[1] == [file("etc/passwd", b"other")]
        assert [entry.kind for entry in found[2]] == [WHITEOUT, OPAQUE, DIRECTORY]
        assert found[3:] == [[Entry("", OPAQUE)], [], [], []]

    async def test_many_paths_are_asked_for_at_once(self, opened: Opened) -> None:
        paths = [f"{'deep/' * 20}{number}" for number in range(15_000)]
        await opened.owned.add_layer(ONE, 1, [file(paths[14_000])], {})

        found = await opened.index.entries([(ONE, path) for path in paths])

        assert len(found) == 15_000
        assert found[14_000] == [file(paths[14_000])]

    async def test_a_layer_that_is_added_again_does_no_harm(self, opened: Opened) -> None:
        for _ in range(3):
            await opened.owned.add_layer(ONE, 1, LAYER, {"apk": b"1"})

        found = await opened.index.find_files(FileQuery(By.NAME, "passwd"), 10)
        assert found == FoundFiles([FoundFile(ONE, PASSWD.path)], False)

    async def test_another_reading_of_a_layer_takes_the_place_of_the_first(self, opened: Opened) -> None:
        """As another version of a cataloger, or another limit, makes it."""
        await opened.owned.add_layer(ONE, 1, LAYER, {"apk": b"1", "npm": b"1"})
        await opened.owned.add_layer(TWO, 1, LAYER, {})
        await opened.owned.add_layer(ONE, 1, [file("etc/shadow")], {"apk": b"2"})

        assert await opened.index.children(ONE, "etc") == [file("etc/shadow")]
        assert await opened.index.facts(ONE, "apk") == b"2"
        assert await opened.index.facts(ONE, "npm") is None
        found = await opened.index.find_files(FileQuery(By.PATH, "etc/", prefix=True), 10)
        assert [(each.diff_id, each.path) for each in found.files] == [
            *((TWO, path) for path in ("etc/motd", "etc/passwd")),
            (ONE, "etc/shadow"),
            (TWO, "etc/ssl/cert.pem"),
        ]

    # Finding files

    @pytest.mark.parametrize(
        ("query", "paths"),
        [
            (FileQuery(By.PATH, "etc/passwd"), ["etc/passwd"]),
            (FileQuery(By.PATH, "etc"), []),
            (FileQuery(By.PATH, "etc", prefix=True), ["etc.d", "etc/motd", "etc/passwd", "etc/ssl/cert.pem"]),
            (FileQuery(By.PATH, "etc/", prefix=True), ["etc/motd", "etc/passwd", "etc/ssl/cert.pem"]),
            (FileQuery(By.PATH, "etc/", pattern=r"etc/[^/]*"), ["etc/motd", "etc/passwd"]),
            (FileQuery(By.PATH, "", pattern=r".*\.pem"), ["etc/ssl/cert.pem"]),
            (FileQuery(By.PATH, "etc/", pattern=r"passwd"), []),
            (FileQuery(By.NAME, "passwd"), ["etc/passwd"]),
            (FileQuery(By.NAME, "etc/passwd"), []),
            (FileQuery(By.NAME, "hidden"), []),
            (FileQuery(By.NAME, "bin"), ["bin"]),
            (FileQuery(By.PATH, "b", prefix=True), ["bin"]),
            (FileQuery(By.NAME, "bi", pattern="bi[a-z]"), ["bin"]),
            (FileQuery(By.NAME, "etc-link"), []),
            (
                FileQuery(By.NAME, "", prefix=True),
                ["bin", "etc/ssl/cert.pem", "etc.d", "etc/motd", "etc/passwd", "top"],
            ),
            (FileQuery(By.NAME, "m", pattern="mot?d"), ["etc/motd"]),
            (FileQuery(By.SHA256, sha256(b"content").hex()), ["etc/ssl/cert.pem", "top"]),
            (FileQuery(By.SHA256, sha256(b"content").hex().upper()), ["etc/ssl/cert.pem", "top"]),
            (FileQuery(By.SHA256, sha256(b"content").hex()[:5], prefix=True), ["etc/ssl/cert.pem", "top"]),
            (FileQuery(By.SHA256, sha256(b"content").hex()[:5]), []),
            (FileQuery(By.SHA256, sha256(b"content").hex() + "0", prefix=True), []),
            (FileQuery(By.SHA256, sha256(b"").hex()), ["etc/motd"]),
            (FileQuery(By.SHA256, "no digest"), []),
            (FileQuery(By.NAME, "\ud800"), []),
            (FileQuery(By.PATH, "\ud800", prefix=True), []),
            (FileQuery(By.PATH, "etc/\x00", prefix=True), []),
        ],
    )
    async def test_files_are_found(self, opened: Opened, query: FileQuery, paths: list[str]) -> None:
        await opened.owned.add_layer(ONE, 1, LAYER, {})

        found = await opened.index.find_files(query, 100)

        assert ([each.path for each in found.files], found.more) == (paths, False)
        assert all(each.diff_id == ONE for each in found.files)

    async def test_no_more_than_were_asked_for_are_told_and_that_there_are_more(self, opened: Opened) -> None:
        await opened.owned.add_layer(ONE, 1, LAYER, {})
        await opened.owned.add_layer(TWO, 1, LAYER, {})
        everything = await opened.index.find_files(FileQuery(By.PATH, "", prefix=True), 12)
        assert (len(everything.files), everything.more, everything.next) == (12, False, b"")

        for most in range(12):
            found = await opened.index.find_files(FileQuery(By.PATH, "", prefix=True), most)
            assert (found.files, found.more) == (everything.files[:most], True)
        assert await opened.index.find_files(FileQuery(By.NAME, "nothing"), 0) == FoundFiles([], False)

    @pytest.mark.parametrize(
        "query",
        [
            FileQuery(By.PATH, "etc/", prefix=True),
            FileQuery(By.PATH, "etc/passwd"),
            FileQuery(By.NAME, "", pattern="[a-m].*"),
            FileQuery(By.SHA256, sha256(b"content").hex()),
        ],
    )
    async def test_further_files_are_found_after_those_before(self, opened: Opened, query: FileQuery) -> None:
        for diff_id in (ONE, TWO, THREE):
            await opened.owned.add_layer(diff_id, 1, LAYER, {})
        everything = await opened.index.find_files(query, 100)
        assert len(everything.files) >= 3

        for most in (1, 2, 3):
            found: list[FoundFile] = []
            page = FoundFiles([], True)
            while page.more:
                page = await opened.index.find_files(query, most, page.next)
                assert len(page.files) == most or not page.more
                found += page.files
            assert found == everything.files

    async def test_what_comes_after_another_query_is_refused(self, opened: Opened) -> None:
        for diff_id in (ONE, TWO):
            await opened.owned.add_layer(diff_id, 1, LAYER, {})
        page = await opened.index.find_files(FileQuery(By.NAME, "passwd"), 1)

        with pytest.raises(ValueError, match="another query"):
            await opened.index.find_files(FileQuery(By.NAME, "motd"), 1, page.next)

    @pytest.mark.parametrize("pattern", ["(", "a**", r"(?=a)", "(a{1,100}){1,100}", "\ud800("])
    async def test_what_is_no_pattern_is_refused(self, opened: Opened, pattern: str) -> None:
        with pytest.raises(ValueError, match="regular expression"):
            await opened.index.find_files(FileQuery(By.PATH, "", pattern=pattern), 10)

    async def test_no_pattern_holds_everybody_up(self, opened: Opened) -> None:
        many = [file(f"{'a' * 250}{number}") for number in range(200)]
        await opened.owned.add_layer(ONE, 1, many, {})

        async with asyncio.timeout(5):
            found = await opened.index.find_files(FileQuery(By.NAME, "a", pattern=r"(a*)*(a|aa)+b"), 10)

        assert found == FoundFiles([], False)

    # One moment

    async def test_an_answer_is_that_of_one_moment(self, opened: Opened) -> None:
        """A layer that is replaced again and again while somebody asks is seen as one of its readings, whole."""
        readings = [[file(f"d/{number:04}") for number in range(first, first + 400)] for first in (0, 200)]
        paths = [[entry.path for entry in reading] for reading in readings]
        await opened.owned.add_layer(ONE, 1, readings[0], {})
        done = asyncio.Event()

        async def replace() -> None:
            for turn in range(1, 25):
                await opened.owned.add_layer(ONE, 1, readings[turn % 2], {})
            done.set()

        asked = 0
        async with asyncio.TaskGroup() as group:
            group.create_task(replace())
            while not done.is_set():
                found = await opened.index.find_files(FileQuery(By.PATH, "d/", prefix=True), 1_000)
                assert [each.path for each in found.files] in paths
                assert await opened.index.children(ONE, "d") in readings
                asked += 1
        assert asked > 3

    # Whatever layers there are

    @settings(max_examples=40, deadline=None, suppress_health_check=_SHARED)
    @given(
        layers=LAYERS,
        queries=st.lists(QUERIES, max_size=12),
        pages=st.lists(st.tuples(_PREFIXES, _PREFIXES, st.integers(0, 4)), max_size=6),
    )
    def test_it_answers_as_plain_lists_would(
        self,
        open_index: OpenIndex,
        layers: list[tuple[Digest, list[Entry]]],
        queries: list[FileQuery],
        pages: list[tuple[str, str, int]],
    ) -> None:
        async def compare() -> None:
            model = Model()
            with TemporaryDirectory() as directory:
                async with open_index(Path(directory) / "index") as (owned, index):
                    for diff_id, entries in layers:
                        if model.layers.get(diff_id) != entries:
                            model.add(diff_id, entries)
                        await owned.add_layer(diff_id, 1, entries, {})
                    digests = [ONE, TWO, THREE]
                    assert await index.has_layers(digests) == [digest in model.layers for digest in digests]
                    for query in queries:
                        everything = model.find_files(query)
                        assert await index.find_files(query, 1_000) == FoundFiles(everything, False)
                        most = len(everything) // 2
                        page = await index.find_files(query, most)
                        assert page[:2] == (everything[:most], len(everything) > most)
                        rest = await index.find_files(query, 1_000, page.next) if page.more else FoundFiles([], False)
                        assert rest == (everything[most:], False, b"")
                    for directory_, after, most in pages:
                        for digest in digests:
                            expected = model.children(digest, directory_, after, most)
                            assert await index.children(digest, directory_, after, most) == expected
                    paths = {entry.path for _, entries in layers for entry in entries} | {"", "a"}
                    wanted = [(digest, path) for digest in digests for path in sorted(paths)]
                    assert await index.entries(wanted) == [model.entries(*each) for each in wanted]

        asyncio.run(compare())
