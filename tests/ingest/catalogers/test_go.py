"""Go's build information: from real programs, from crafted ones of older forms, and from what is none."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.images.facts import Evidence
from ingest.catalogers import PROGRAMS, Unreadable
from ingest.catalogers.go import GoCataloger
from tests.ingest.catalogers.programs import MAGIC, elf, inline, mach_o, modules, pe, pointed
from tests.services.programs import refuse

GO = GoCataloger()
LISTED = modules(
    "path\texample.org/cmd/tool",
    "mod\texample.org\t(devel)\t",
    "dep\tgolang.org/x/text\tv0.3.7\th1:olp",
    "dep\texample.org/forked\tv1.0.0",
    "=>\texample.com/fork\tv1.0.1\th1:abc",
    "build\t-compiler=gc",
)
PACKAGES = [
    ("stdlib", "1.17.13"),
    ("example.org", "(devel)"),
    ("golang.org/x/text", "v0.3.7"),
    ("example.com/fork", "v1.0.1"),
]


def read(program: bytes) -> Evidence | None:
    """Read as a reader of layers does: the beginning, then the parts that are asked for."""
    head = program[: GO.head]
    ranges = GO.ranges(len(program), head)
    assert ranges == sorted(ranges)
    assert all(0 <= start < stop <= len(program) for start, stop in ranges)
    assert all(stop < start for (_, stop), (start, _) in itertools.pairwise(ranges))
    assert sum(stop - start for start, stop in ranges) <= 4 << 20
    return GO.read("bin/tool", len(program), head, [program[start:stop] for start, stop in ranges])


def packages(program: bytes) -> list[tuple[str, str]]:
    evidence = read(program)
    assert evidence is not None
    assert {package.ecosystem for package in evidence.packages} == {"golang"}
    return [(f"{p.namespace}/{p.name}".lstrip("/"), p.version) for p in evidence.packages]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """A function that builds a program with Go: of two modules beside its own, one replaced by a folder."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        refuse("Go is not installed")
    folder = tmp_path_factory.mktemp("go")
    for name in ("tool", "leaf", "local"):
        (folder / name).mkdir()
        (folder / name / "go.mod").write_text(f"module example.org/{name}\n\ngo 1.20\n")
    for name in ("leaf", "local"):
        (folder / name / f"{name}.go").write_text(f'package {name}\n\nconst Name = "{name}"\n')
    (folder / "tool" / "go.mod").write_text(
        "module example.org/tool\n\ngo 1.20\n\n"
        "require (\n\texample.org/leaf v1.2.3\n\texample.org/local v0.1.0\n)\n\n"
        "replace example.org/leaf v1.2.3 => ../leaf\n\nreplace example.org/local => ../local\n"
    )
    (folder / "tool" / "main.go").write_text(
        'package main\n\nimport (\n\t"example.org/leaf"\n\t"example.org/local"\n)\n\n'
        "func main() { println(leaf.Name, local.Name) }\n"
    )

    def run(*flags: str, **environment: str) -> bytes:
        made = folder / "made"
        fixed = {"PATH": str(Path(go).parent), "HOME": str(folder), "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
        fixed |= {"GOCACHE": str(folder / "cache"), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        subprocess.run(
            [go, "build", "-buildvcs=false", *flags, "-o", made, "."],
            cwd=folder / "tool",
            env=fixed | environment,
            check=True,
            capture_output=True,
        )
        return made.read_bytes()

    return run


def test_a_program_that_go_built_names_its_modules(build: Callable[..., bytes]) -> None:
    """The main module has no version of its own here; what a folder replaced has none either."""
    (stdlib, version), *others = packages(build())

    assert (stdlib, version.split(".")[0]) == ("stdlib", "1")
    assert others == [
        ("example.org/tool", "(devel)"),
        ("example.org/leaf", "(devel)"),
        ("example.org/local", "(devel)"),
    ]


def test_a_stripped_program_names_them_too(build: Callable[..., bytes]) -> None:
    """Nothing that `-s -w` removes is needed."""
    assert len(packages(build("-ldflags=-s -w -buildid="))) == 4


def test_installed_programs_are_read_as_go_itself_reads_them() -> None:
    """Real programs with many modules: whatever Go programs the tests have installed."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        refuse("Go is not installed")
    folder = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
    programs = [path for path in sorted(Path(folder, "bin").glob("*")) if path.is_file()]
    if not programs:
        refuse("no Go program is installed: run `bash tests/services/install.sh`")
    for program in programs:
        told = subprocess.run([go, "version", "-m", program], capture_output=True, text=True, check=True).stdout
        expected = {tuple(line.split("\t")[2:4]) for line in told.splitlines() if line.startswith(("\tmod", "\tdep"))}
        found = packages(program.read_bytes())

        assert set(found[1:]) == expected, program
        assert told.split("\n")[0].endswith(f"go{found[0][1]}"), program


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("form", ["inline", "pointed"])
def test_elf_programs_of_both_forms_widths_and_byte_orders(form: str, wide: bool, order: str) -> None:
    if form == "inline":
        program = elf(inline(b"go1.17.13", LISTED), wide=wide, order=order)
    else:
        program = elf(*pointed(b"go1.17.13", LISTED, wide=wide, order=order), wide=wide, order=order)

    assert packages(program) == PACKAGES


@pytest.mark.parametrize("wide", [True, False])
def test_windows_programs(wide: bool) -> None:
    assert packages(pe(inline(b"go1.17.13", LISTED), wide=wide)) == PACKAGES
    assert packages(pe(*pointed(b"go1.17.13", LISTED, wide=wide), wide=wide)) == PACKAGES


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_macos_programs(wide: bool, order: str, named: bool) -> None:
    told = inline(b"go1.17.13", LISTED)
    assert packages(mach_o(told, wide=wide, order=order, named=named)) == PACKAGES
    assert packages(mach_o(*pointed(b"go1.17.13", LISTED, wide=wide, order=order), wide=wide, order=order)) == PACKAGES


def test_variables_behind_megabytes_that_the_loader_writes_are_found() -> None:
    """Position-independent programs linked by a C linker: tables of addresses come first, and may be large."""
    program = elf(bytes(100_000 // 16 * 16) + inline(b"go1.21.0", LISTED), sealed=6 << 20, note=False)

    assert packages(program)[0] == ("stdlib", "1.21.0")


def test_strings_too_far_away_are_told_of() -> None:
    """The older form leads to constants, of which only the first megabytes are asked for."""
    variables, constants = pointed(b"go1.17.13", LISTED)
    moved = variables.replace((0x500010).to_bytes(8, "little"), (0x500010 + (5 << 20)).to_bytes(8, "little"))

    with pytest.raises(Unreadable, match="could not be reached"):
        read(elf(moved, bytes(5 << 20) + constants, variables_address=0x600000))


def test_a_program_without_modules_is_its_own() -> None:
    """Go before modules, and Go's own tools, name only the path of the program."""
    program = elf(inline(b"go1.20", modules("path\tcmd/go", "build\t-compiler=gc")))

    assert packages(program) == [("stdlib", "1.20"), ("cmd/go", "(devel)")]
    assert packages(elf(inline(b"go1.20", modules("path\tcommand-line-arguments")))) == [("stdlib", "1.20")]
    assert packages(elf(inline(b"go1.20", b""))) == [("stdlib", "1.20")]


@pytest.mark.parametrize(
    ("told", "version"),
    [
        (b"go1.26.8 X:nodwarf5", "1.26.8"),
        (b"go1.22.1-custom", "1.22.1-custom"),
        (b"devel go1.24-abcdef Mon Jan 1", "devel"),
    ],
)
def test_the_version_of_the_standard_library(told: bytes, version: str) -> None:
    assert packages(elf(inline(told, LISTED)))[0] == ("stdlib", version)


def test_a_mark_in_a_text_is_not_build_information() -> None:
    """Programs that read build information hold the mark too: at odd addresses, or with nothing behind it."""
    real = inline(b"go1.17.13", LISTED)

    assert packages(elf(b"12345678" + MAGIC + bytes(10) + bytes(32) + real)) == PACKAGES
    assert packages(elf(MAGIC + b"\x08\x02" + bytes(16) + b"\x05other\x00".ljust(64, b"\0") + real)) == PACKAGES
    assert read(elf(b"12345678" + MAGIC + bytes(100))) is None


def test_other_executables_tell_nothing() -> None:
    assert read(elf(bytes(5000))) is None
    assert read(b"\x7fELF") is None
    assert read(b"MZ" + bytes(100)) is None
    assert read(Path(shutil.which("sh") or "/bin/sh").read_bytes()) is None


def test_a_program_cut_short_is_unreadable() -> None:
    program = elf(inline(b"go1.17.13", LISTED))
    head = program[: GO.head]
    parts = [program[start:stop] for start, stop in GO.ranges(len(program), head)]

    with pytest.raises(Unreadable):
        GO.read("bin/tool", len(program), head, [parts[0], parts[-1][:-1]][-len(parts) :])


def test_hostile_lengths_are_refused() -> None:
    """Lengths that run past the end, never end, or claim gigabytes."""
    start = (MAGIC + b"\x08\x02").ljust(32, b"\0")
    for rest in (b"\xff" * 64, b"\xff\xff\xff\xff\x07" + b"go", b"\x08go1.20.1\xff\xff\xff\x7f"):
        with pytest.raises(Unreadable):
            read(elf(start + rest))
    with pytest.raises(Unreadable):
        read(elf(inline(b"go1.20", modules(*["dep\ta.b/c\tv1"] * 20_001))))


@settings(deadline=None)
@given(
    st.sampled_from([b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"MZ", b"\xcf\xfa\xed\xfe", b""]), st.binary(max_size=4096)
)
def test_any_bytes_are_read_or_refused(start: bytes, rest: bytes) -> None:
    for cataloger in PROGRAMS:
        assert cataloger.head <= 64 << 10
    with contextlib.suppress(Unreadable):
        assert read(start + rest) is None


@settings(deadline=None)
@given(
    st.sampled_from(["elf", "narrow", "pe", "mach_o", "pointed"]),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=12),
    st.integers(0, 64),
)
def test_a_damaged_program_is_read_or_refused(form: str, damage: list[tuple[int, int]], cut: int) -> None:
    """Single bytes changed anywhere in headers and build information, and the end cut off."""
    told = inline(b"go1.17.13", LISTED)
    program = bytearray(
        {
            "elf": elf(told),
            "narrow": elf(told, wide=False, order=">"),
            "pe": pe(told),
            "mach_o": mach_o(told, named=True),
            "pointed": elf(*pointed(b"go1.17.13", LISTED)),
        }[form]
    )
    # The first kilobyte holds the headers; what follows 4096 the rest.
    for place, byte in damage:
        program[place if place < 1000 else min(4096 + place - 1000, len(program) - 1)] = byte
    try:
        evidence = read(bytes(program[: len(program) - cut]))
    except Unreadable:
        return
    for package in evidence.packages if evidence else []:
        assert package.name and package.version


_word = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["mod", "dep"]), _word, _word), max_size=30, unique_by=lambda line: line[1]))
def test_well_formed_lists_come_back(lines: list[tuple[str, str, str]]) -> None:
    program = elf(inline(b"go1.20", modules(*("\t".join(line) for line in lines))))

    evidence = read(program)

    assert evidence is not None
    found = {(f"{p.namespace}/{p.name}" if p.namespace else p.name, p.version) for p in evidence.packages}
    assert {(name, version) for _, name, version in lines if name.strip("/") == name} <= found
