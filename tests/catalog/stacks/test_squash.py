"""Packages of a stack: which layer brought each, what was removed, who owns what."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cas import Digest
from catalog.images.chains import chain_id
from catalog.images.facts import ChainFacts, Evidence, LayerFacts, PackageFacts
from catalog.images.objects import decode, encode
from catalog.images.squash import squash
from tests.catalog.stacks.layers import directory, file, hard_link, layer, opaque, symlink, whiteout

STATUS = "var/lib/dpkg/status"
DEBIAN = {"etc/os-release": b"ID=debian\nVERSION_ID=12\n"}


def deb(name: str, version: str = "1", arch: str = "amd64") -> PackageFacts:
    return PackageFacts("deb", name, version, qualifiers={"arch": arch}, key=f"{name}:{arch}")


def dpkg(*packages: PackageFacts, path: str = STATUS) -> Evidence:
    return Evidence("dpkg", path, list(packages))


def dpkg_list(name: str, *paths: str) -> Evidence:
    return Evidence("dpkg", f"var/lib/dpkg/info/{name}.list", owned={name: "\n".join(paths)})


def apk(*names: str, path: str = "lib/apk/db/installed") -> Evidence:
    return Evidence("apk", path, [PackageFacts("apk", name, "1-r0") for name in names])


def python(name: str, version: str = "1", where: str = "usr/lib/python3") -> Evidence:
    path = f"{where}/{name}-{version}.dist-info/METADATA"
    return Evidence("python", path, [PackageFacts("pypi", name, version)])


def npm(name: str, version: str, where: str) -> Evidence:
    return Evidence("npm", f"{where}/node_modules/{name}/package.json", [PackageFacts("npm", name, version)])


def brought(facts: ChainFacts) -> dict[str, int]:
    found = {f"{each.ecosystem}/{each.name}@{each.version}": each.layer for each in facts.packages}
    assert len(found) == len(facts.packages)
    return found


def gone(facts: ChainFacts) -> dict[str, tuple[int, int | None]]:
    return {f"{each.name}@{each.version}": (each.layer, each.removed_in) for each in facts.removed}


def test_a_package_comes_with_the_layer_whose_database_first_has_it() -> None:
    facts = squash([layer(evidence=[dpkg(deb("a"))]), layer(evidence=[dpkg(deb("a"), deb("b"))])])
    assert brought(facts) == {"deb/a@1": 0, "deb/b@1": 1}
    assert [each.installed for each in facts.layers] == [["deb/a@1"], ["deb/b@1"]]


def test_a_database_that_is_copied_again_brings_nothing() -> None:
    facts = squash([layer(evidence=[dpkg(deb("a"))]), layer(evidence=[dpkg(deb("a"))]), layer(whiteout("x"))])
    assert brought(facts) == {"deb/a@1": 0}
    assert facts.layers[1].installed == []
    assert facts.hidden == [(0, STATUS)]


def test_what_was_removed_and_installed_again_comes_with_the_layer_that_did_so() -> None:
    facts = squash(
        [
            layer(evidence=[dpkg(deb("a"), deb("b"))]),
            layer(evidence=[dpkg(deb("a"))]),
            layer(evidence=[dpkg(deb("a"), deb("b"))]),
        ]
    )
    assert brought(facts) == {"deb/a@1": 0, "deb/b@1": 2}
    assert [each.removed for each in facts.layers] == [[], ["deb/b@1"], []]
    assert facts.removed == []


def test_an_upgrade_comes_with_the_layer_that_made_it_and_back_again() -> None:
    facts = squash(
        [
            layer(evidence=[dpkg(deb("a", "1"))]),
            layer(evidence=[dpkg(deb("a", "2"))]),
            layer(evidence=[dpkg(deb("a", "1"))]),
        ]
    )
    assert brought(facts) == {"deb/a@1": 2}
    assert [each.upgraded for each in facts.layers] == [[], ["deb/a@1 → 2"], ["deb/a@2 → 1"]]
    assert [each.installed for each in facts.layers] == [["deb/a@1"], [], []]
    assert gone(facts) == {"a@2": (1, 2)}


def test_what_was_removed_is_told_with_the_layers_that_brought_and_removed_it() -> None:
    facts = squash(
        [
            layer(evidence=[dpkg(deb("a"), deb("b"))]),
            layer(evidence=[dpkg(deb("a"), deb("b"), deb("c"))]),
            layer(evidence=[dpkg(deb("a"))]),
        ]
    )
    assert gone(facts) == {"b@1": (0, 2), "c@1": (1, 2)}
    assert facts.removed[0].purl == "pkg:deb/b@1?arch=amd64"
    assert facts.removed[0].locations == [STATUS]


def test_a_database_that_is_hidden_takes_its_packages_away() -> None:
    for hiding in (whiteout(STATUS), whiteout("var/lib"), opaque("var/lib/dpkg"), file("var"), opaque("")):
        facts = squash([layer(evidence=[dpkg(deb("a"))]), layer(hiding)])
        assert facts.packages == []
        assert gone(facts) == {"a@1": (0, 1)}
        assert facts.layers[1].removed == ["deb/a@1"]


def test_an_architecture_is_a_package_of_its_own() -> None:
    facts = squash([layer(evidence=[dpkg(deb("a"), deb("a", arch="i386"))]), layer(evidence=[dpkg(deb("a"))])])
    assert [each.purl for each in facts.packages] == ["pkg:deb/a@1?arch=amd64"]
    assert [each.purl for each in facts.removed] == ["pkg:deb/a@1?arch=i386"]


def test_pieces_of_a_database_add_up_over_layers() -> None:
    first = dpkg(deb("base-files"), path="var/lib/dpkg/status.d/base")
    second = dpkg(deb("libc6"), path="var/lib/dpkg/status.d/libc6")
    facts = squash([layer(evidence=[first]), layer(evidence=[second])])
    assert brought(facts) == {"deb/base-files@1": 0, "deb/libc6@1": 1}
    facts = squash([layer(evidence=[first]), layer(evidence=[second]), layer(whiteout("var/lib/dpkg/status.d/base"))])
    assert brought(facts) == {"deb/libc6@1": 1}
    assert gone(facts) == {"base-files@1": (0, 2)}


def test_pieces_that_become_one_database_bring_nothing_anew() -> None:
    piece = dpkg(deb("a"), path="var/lib/dpkg/status.d/a")
    facts = squash(
        [layer(evidence=[piece]), layer(whiteout("var/lib/dpkg/status.d"), evidence=[dpkg(deb("a"), deb("b"))])]
    )
    assert brought(facts) == {"deb/a@1": 0, "deb/b@1": 1}
    assert facts.removed == []


def test_a_database_that_moves_with_the_merge_of_usr_counts_once() -> None:
    facts = squash(
        [
            layer(evidence=[apk("musl", "busybox")]),
            layer(symlink("lib", "usr/lib"), evidence=[apk("musl", "busybox", path="usr/lib/apk/db/installed")]),
        ]
    )
    assert brought(facts) == {"apk/musl@1-r0": 0, "apk/busybox@1-r0": 0}
    assert {location for each in facts.packages for location in each.locations} == {"usr/lib/apk/db/installed"}


def test_a_database_that_is_written_through_a_linked_directory_is_the_one_there() -> None:
    facts = squash(
        [
            layer(symlink("lib", "usr/lib"), evidence=[apk("musl", path="usr/lib/apk/db/installed")]),
            layer(evidence=[apk("musl", "curl", path="lib/apk/db/installed")]),
        ]
    )
    assert brought(facts) == {"apk/musl@1-r0": 0, "apk/curl@1-r0": 1}
    assert facts.packages[0].locations == ["usr/lib/apk/db/installed"]


def test_a_database_counts_while_its_path_leads_to_it() -> None:
    """/var was a link when the database was written, became a directory with one of its own, then a link again."""
    stack = [
        layer(symlink("var", "data")),
        layer(evidence=[dpkg(deb("old"))]),
        layer(directory("var"), evidence=[dpkg(deb("new"))]),
    ]
    facts = squash(stack)
    assert brought(facts) == {"deb/new@1": 2}
    assert gone(facts) == {"old@1": (1, 2)}
    facts = squash([*stack, layer(symlink("var", "data"))])
    assert brought(facts) == {"deb/old@1": 3}
    assert gone(facts) == {"new@1": (2, 3)}
    assert facts.packages[0].locations == ["data/lib/dpkg/status"]


def test_a_database_that_only_a_hard_link_leads_to_counts() -> None:
    facts = squash(
        [
            layer(evidence=[apk("musl")]),
            layer(hard_link("usr/lib/apk/db/installed", "lib/apk/db/installed"), whiteout("lib")),
        ]
    )
    assert brought(facts) == {"apk/musl@1-r0": 0}
    assert facts.packages[0].locations == ["usr/lib/apk/db/installed"]


def test_a_hard_link_where_no_database_belongs_is_none() -> None:
    facts = squash([layer(evidence=[dpkg(deb("a"))]), layer(hard_link("backup", STATUS), whiteout(STATUS))])
    assert facts.packages == []


def test_a_database_may_have_any_name_where_links_lead_to_it() -> None:
    """Evidence of the file is kept under the path that its layer has."""
    stored = dpkg(deb("a"), path="opt/db")
    linked = dpkg(deb("a"), path="usr/lib/dpkg/status")
    for stack, place in (
        ([layer(evidence=[stored]), layer(hard_link(STATUS, "opt/db"))], STATUS),
        ([layer(symlink("d", "opt"), hard_link(STATUS, "d/db"), evidence=[stored])], STATUS),
        ([layer(symlink(STATUS, "/opt/db"), evidence=[stored])], "opt/db"),
        ([layer(symlink("var/lib/dpkg", "/usr/lib/dpkg"), evidence=[linked])], linked.path),
        ([layer(symlink("var/lib/dpkg", "../../usr/lib/dpkg")), layer(evidence=[linked])], linked.path),
        ([layer(evidence=[linked]), layer(symlink("var/lib", "/usr/lib"))], linked.path),
    ):
        facts = squash(stack)
        assert [(each.name, each.locations) for each in facts.packages] == [("a", [place])]
        assert facts.limits == []
    assert squash([layer(evidence=[stored, linked])]).packages == []


def test_a_database_is_replaced_by_either_of_its_paths() -> None:
    link = layer(symlink("var/lib/dpkg", "/usr/lib/dpkg"), directory("usr/lib/dpkg"))
    through, real = dpkg(deb("a", "1")), dpkg(deb("a", "2"), path="usr/lib/dpkg/status")
    facts = squash([link, layer(evidence=[through]), layer(evidence=[real])])
    assert brought(facts) == {"deb/a@2": 2}
    assert gone(facts) == {"a@1": (1, 2)}
    facts = squash([link, layer(evidence=[real]), layer(evidence=[through])])
    assert brought(facts) == {"deb/a@1": 2}


def test_pieces_and_lists_may_lie_behind_links() -> None:
    piece = dpkg(deb("a"), path="usr/lib/dpkg/status.d/a")
    sums = Evidence("dpkg", "usr/lib/dpkg/status.d/a.md5sums", owned={"a": "usr/lib/python3/six-1.dist-info/METADATA"})
    facts = squash([layer(symlink("var/lib/dpkg", "/usr/lib/dpkg"), evidence=[piece, sums, python("six")])])
    assert brought(facts) == {"deb/a@1": 0, "pypi/six@1": 0}
    assert owned_by(facts)["six"].startswith("pkg:deb/a@1")
    assert facts.limits == []


def test_a_file_that_nobody_read_is_told_where_a_database_belongs() -> None:
    facts = squash([layer(file("opt/x", 5)), layer(hard_link(STATUS, "opt/x"))])
    assert facts.packages == []
    (limit,) = facts.limits
    assert limit.startswith("layer 0: ")
    assert STATUS in limit
    assert "opt/x" in limit
    assert squash([layer(file("opt/x", 0), symlink(STATUS, "/opt/x"))]).limits == []


def unread(path: str = STATUS, *packages: PackageFacts) -> Evidence:
    return Evidence("dpkg", path, list(packages), unread="too large")


def test_a_database_that_could_not_be_read_removes_nothing() -> None:
    for spoiled in (layer(evidence=[unread()]), layer(file(STATUS, 7)), layer(symlink(STATUS, "/x"), file("x", 7))):
        facts = squash([layer(evidence=[dpkg(deb("a"))]), spoiled])
        assert brought(facts) == {"deb/a@1": 0}
        assert facts.removed == []
        assert (facts.layers[1].installed, facts.layers[1].upgraded, facts.layers[1].removed) == ([], [], [])
        (limit,) = facts.limits
        assert limit.startswith("layer 1: ")


def test_of_a_database_that_was_read_in_part_that_part_counts() -> None:
    stack = [layer(evidence=[dpkg(deb("a"), deb("b"))]), layer(evidence=[unread(STATUS, deb("b", "2"), deb("c"))])]
    facts = squash(stack)
    assert brought(facts) == {"deb/a@1": 0, "deb/b@2": 1, "deb/c@1": 1}
    assert facts.layers[1].upgraded == ["deb/b@1 → 2"]


def test_the_next_database_that_can_be_read_tells_what_became_of_the_others() -> None:
    stack = [layer(evidence=[dpkg(deb("a"), deb("b"))]), layer(evidence=[unread()])]
    facts = squash([*stack, layer(evidence=[dpkg(deb("b"))])])
    assert brought(facts) == {"deb/b@1": 0}
    assert gone(facts) == {"a@1": (0, 2)}
    facts = squash([*stack, layer(whiteout("var"))])
    assert gone(facts) == {"a@1": (0, 2), "b@1": (0, 2)}


def test_a_piece_that_could_not_be_read_stands_for_itself_alone() -> None:
    a, b = (dpkg(deb(name), path=f"var/lib/dpkg/status.d/{name}") for name in "ab")
    facts = squash([layer(evidence=[a, b]), layer(whiteout(b.path), evidence=[unread(a.path), unread(b.path + "2")])])
    assert brought(facts) == {"deb/a@1": 0}
    assert gone(facts) == {"b@1": (0, 1)}


def test_who_owns_a_file_is_known_though_the_database_is_not() -> None:
    database = Evidence(
        "apk",
        "lib/apk/db/installed",
        [PackageFacts("apk", "py3-six", "1-r0")],
        {"py3-six": "usr/lib/python3/six-1.dist-info/METADATA"},
    )
    spoiled = Evidence("apk", database.path, unread="too large")
    facts = squash([layer(evidence=[python("six"), database]), layer(evidence=[spoiled])])
    assert owned_by(facts) == {"six": "pkg:apk/py3-six@1-r0"}


def test_metadata_that_could_not_be_read_removes_nothing() -> None:
    spoiled = Evidence("python", python("six").path, unread="it names no package and version")
    facts = squash([layer(evidence=[python("six")]), layer(evidence=[spoiled])])
    assert brought(facts) == {"pypi/six@1": 0}
    facts = squash([layer(evidence=[python("six")]), layer(file(python("six").path))])
    assert facts.packages == []


def test_where_a_package_of_python_came_from_is_in_its_purl() -> None:
    folder = python("six").path.rpartition("/")[0]
    told = Evidence("python", f"{folder}/direct_url.json", qualifiers={"vcs_url": "git+https://example.org/six@1"})
    facts = squash([layer(evidence=[python("six"), python("own"), told])])
    assert [each.purl for each in facts.packages] == [
        "pkg:pypi/own@1",
        "pkg:pypi/six@1?vcs_url=git%2Bhttps://example.org/six%401",
    ]
    facts = squash([layer(evidence=[python("six")]), layer(evidence=[python("six"), told])])
    assert [(each.layer, "vcs_url" in each.purl) for each in facts.packages] == [(1, True)]


def test_a_database_with_two_names_counts_once() -> None:
    facts = squash(
        [layer(evidence=[apk("musl")]), layer(hard_link("usr/lib/apk/db/installed", "lib/apk/db/installed"))]
    )
    assert [(each.name, each.layer) for each in facts.packages] == [("musl", 0)]
    assert facts.packages[0].locations == ["lib/apk/db/installed", "usr/lib/apk/db/installed"]
    assert facts.layers[1].installed == []


def test_a_package_of_a_language_at_two_places_is_one() -> None:
    facts = squash(
        [
            layer(evidence=[npm("ms", "2.0.0", "app")]),
            layer(evidence=[npm("ms", "2.0.0", "tool"), npm("ms", "2.1.0", "tool/node_modules/debug")]),
        ]
    )
    assert brought(facts) == {"npm/ms@2.0.0": 0, "npm/ms@2.1.0": 1}
    assert facts.packages[0].locations == ["app/node_modules/ms/package.json", "tool/node_modules/ms/package.json"]
    assert facts.layers[1].installed == ["npm/ms@2.1.0"]


def test_a_package_of_a_language_is_where_its_files_are() -> None:
    """Moved in one layer, it is brought by that: the files of the other are gone."""
    facts = squash(
        [layer(evidence=[npm("ms", "2.0.0", "a")]), layer(whiteout("a"), evidence=[npm("ms", "2.0.0", "b")])]
    )
    assert brought(facts) == {"npm/ms@2.0.0": 1}
    assert facts.removed == []
    assert facts.layers[1].installed == facts.layers[1].removed == []


def test_pip_upgrades() -> None:
    facts = squash(
        [
            layer(evidence=[python("flask", "2")]),
            layer(whiteout("usr/lib/python3/flask-2.dist-info"), evidence=[python("flask", "3")]),
        ]
    )
    assert brought(facts) == {"pypi/flask@3": 1}
    assert facts.layers[1].upgraded == ["pypi/flask@2 → 3"]
    assert gone(facts) == {"flask@2": (0, 1)}


def test_purls_name_the_distribution() -> None:
    facts = squash(
        [
            layer(
                texts=DEBIAN,
                evidence=[dpkg(PackageFacts("deb", "a", "1:2-3", qualifiers={"arch": "amd64", "epoch": "1"}))],
            )
        ]
    )
    assert facts.packages[0].purl == "pkg:deb/debian/a@1:2-3?arch=amd64&distro=debian-12&epoch=1"


def test_names_have_their_namespace_where_people_say_it() -> None:
    scoped = Evidence("npm", "p", [PackageFacts("npm", "core", "7", namespace="@babel")])
    module = Evidence("go", "q", [PackageFacts("golang", "cobra", "v1", namespace="github.com/spf13")])
    facts = squash([layer(texts=DEBIAN, evidence=[scoped, module])])
    assert [(each.name, each.purl) for each in facts.packages] == [
        ("github.com/spf13/cobra", "pkg:golang/github.com/spf13/cobra@v1"),
        ("@babel/core", "pkg:npm/%40babel/core@7"),
    ]


def test_names_that_no_purl_may_have_lose_no_package() -> None:
    odd = Evidence(
        "dpkg", STATUS, [PackageFacts("deb", "a", "1", qualifiers={"a b": "c"}), deb("\0\ufffd /"), deb("ok")]
    )
    facts = squash([layer(evidence=[odd])])
    assert sorted(each.name for each in facts.packages) == sorted(["a", "\0\ufffd /", "ok"])
    assert all(each.purl.startswith("pkg:deb/") for each in facts.packages)


def owned_by(facts: ChainFacts) -> dict[str, str]:
    return {each.name: each.owned_by for each in facts.packages if each.ecosystem == "pypi"}


def test_a_package_of_a_language_may_belong_to_one_of_the_distribution() -> None:
    path = "usr/lib/python3/six-1.dist-info/METADATA"
    for line in (path, f"/{path}", f"/./{path}", f"./{path}"):
        evidence = [
            python("six"),
            python("own"),
            dpkg(deb("python3-six")),
            dpkg_list("python3-six", "/.", "/usr", line),
        ]
        facts = squash([layer(texts=DEBIAN, evidence=evidence)])
        assert owned_by(facts) == {"six": "pkg:deb/debian/python3-six@1?arch=amd64&distro=debian-12", "own": ""}


def test_a_list_may_be_older_than_the_merge_of_usr() -> None:
    evidence = [
        python("six", where="usr/lib/py"),
        dpkg(deb("six")),
        dpkg_list("six", "/lib/py/six-1.dist-info/METADATA"),
    ]
    assert owned_by(squash([layer(symlink("lib", "usr/lib"), evidence=evidence)]))["six"].startswith("pkg:deb/six")
    assert owned_by(squash([layer(directory("lib"), evidence=evidence)]))["six"] == ""


def test_lists_name_packages_with_and_without_architecture() -> None:
    path = "usr/lib/python3/six-1.dist-info/METADATA"
    for name in ("six", "six:i386"):
        evidence = [python("six"), dpkg(deb("six", arch="i386")), dpkg_list(name, path)]
        assert owned_by(squash([layer(evidence=evidence)]))["six"] == "pkg:deb/six@1?arch=i386"


def test_sums_tell_of_files_where_the_list_is_missing() -> None:
    path = "usr/lib/python3/six-1.dist-info/METADATA"
    sums = Evidence("dpkg", "var/lib/dpkg/info/six.md5sums", owned={"six": path})
    assert owned_by(squash([layer(evidence=[python("six"), dpkg(deb("six")), sums])]))["six"].startswith("pkg:deb/six")
    evidence = [python("six"), dpkg(deb("six")), dpkg_list("six", "etc/six"), sums]
    assert owned_by(squash([layer(evidence=evidence)])) == {"six": ""}


def test_a_list_that_was_not_read_is_told_where_somebody_asks() -> None:
    stack = [layer(file("var/lib/dpkg/info/six.list", 9), evidence=[dpkg(deb("six"))])]
    assert squash(stack).limits == []
    (limit,) = squash([*stack, layer(evidence=[python("six")])]).limits
    assert "var/lib/dpkg/info/six.list" in limit


def test_who_is_removed_owns_nothing() -> None:
    evidence = [python("six"), dpkg(deb("six")), dpkg_list("six", "/usr/lib/python3/six-1.dist-info/METADATA")]
    assert owned_by(squash([layer(evidence=evidence), layer(evidence=[dpkg()])])) == {"six": ""}
    assert owned_by(squash([layer(evidence=evidence), layer(whiteout("var/lib/dpkg/info"))])) == {"six": ""}


def test_apk_tells_of_files_in_its_database() -> None:
    database = Evidence(
        "apk",
        "lib/apk/db/installed",
        [PackageFacts("apk", "py3-six", "1-r0")],
        {"py3-six": "usr/lib/python3/six-1.dist-info/METADATA\nusr/lib/python3/six.py"},
    )
    assert owned_by(squash([layer(evidence=[python("six"), database])])) == {"six": "pkg:apk/py3-six@1-r0"}


def test_a_package_that_is_owned_at_one_of_its_places_is_told_twice() -> None:
    """Whoever leaves out what is owned must still see the other."""
    evidence = [
        python("six"),
        python("six", where="opt/venv"),
        dpkg(deb("six")),
        dpkg_list("six", "/usr/lib/python3/six-1.dist-info/METADATA"),
    ]
    found = [each for each in squash([layer(evidence=evidence)]).packages if each.ecosystem == "pypi"]
    assert [(each.purl, each.owned_by, each.locations) for each in found] == [
        ("pkg:pypi/six@1", "", ["opt/venv/six-1.dist-info/METADATA"]),
        ("pkg:pypi/six@1", "pkg:deb/six@1?arch=amd64", ["usr/lib/python3/six-1.dist-info/METADATA"]),
    ]


def test_evidence_whose_file_has_no_place_does_not_count() -> None:
    facts = squash([layer(symlink("loop", "loop")), layer(evidence=[python("six", where="loop")])])
    assert facts.packages == []
    assert facts.hidden == [(1, "loop/six-1.dist-info/METADATA")]


def test_limits_are_carried_over() -> None:
    facts = squash([layer(limits=["a file was too large"]), layer(file("a"), unread="cut off")])
    assert facts.limits == ["layer 0: a file was too large", "layer 1: cut off"]
    assert [each.unread for each in facts.layers] == ["", "cut off"]


def test_a_stack_of_no_layers_holds_nothing() -> None:
    assert squash([]) == ChainFacts("", [], [])


def test_totals_and_names() -> None:
    stack = [layer(file("a", 3), directory("d"), symlink("l", "a")), layer(file("d/b", 4), whiteout("a"))]
    facts = squash(stack)
    assert facts.diff_ids == [each.diff_id for each in stack]
    assert facts.chain_id == chain_id([Digest.parse(each.diff_id) for each in stack]).text
    assert (facts.files, facts.bytes) == (2, 4)
    assert facts.hidden == [(0, "a")]
    assert decode(encode(facts), ChainFacts) == facts


_PATHS = [STATUS, "var/lib/dpkg/status.d/x", "lib/apk/db/installed", "opt/x/package.json"]
_SOME_EVIDENCE = st.builds(
    lambda path, names: Evidence(
        "npm" if "json" in path else "apk" if "apk" in path else "dpkg",
        path,
        [PackageFacts("npm" if "json" in path else "deb", *name) for name in names],
    ),
    st.sampled_from(_PATHS),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=4, unique=True),
)
_SOME_LAYER = st.builds(
    lambda evidence, hidden: layer(*map(whiteout, hidden), evidence=evidence),
    st.lists(_SOME_EVIDENCE, max_size=3, unique_by=lambda each: each.path),
    st.sets(st.sampled_from([*_PATHS, "var", "lib"]), max_size=2),
)


@given(st.lists(_SOME_LAYER, max_size=5))
@settings(max_examples=300, deadline=None)
def test_packages_are_those_of_the_files_that_stand(stack: list[LayerFacts]) -> None:
    """Compared with a model that knows whole paths and sets alone; and the same facts give the same bytes."""
    facts = squash(stack)
    standing: dict[str, set[tuple[str, str, str]]] = {}
    last: dict[tuple[str, str, str], int] = {}
    seen: set[tuple[str, str, str]] = set()
    before: set[tuple[str, str, str]] = set()
    for index, each in enumerate(stack):
        for entry in each.entries:
            if entry.kind == "w":
                for path in [path for path in standing if f"{path}/".startswith(f"{entry.path}/")]:
                    del standing[path]
        for told in each.evidence:
            standing[told.path] = {(package.ecosystem, package.name, package.version) for package in told.packages}
        after = set[tuple[str, str, str]]().union(*standing.values())
        counts = facts.layers[index]
        assert len(counts.installed) + len(counts.upgraded) == len(after - before)
        assert len(counts.removed) + len(counts.upgraded) == len(before - after)
        last.update(dict.fromkeys(after - before, index))
        seen |= after
        before = after
    assert {(each.ecosystem, each.name, each.version) for each in facts.packages} == before
    assert {(each.ecosystem, each.name, each.version) for each in facts.removed} == seen - before
    assert {
        (each.ecosystem, each.name, each.version): each.layer for each in facts.packages if each.ecosystem == "deb"
    } == {package: layer for package, layer in last.items() if package in before and package[0] == "deb"}
    assert msgspec.msgpack.encode(squash(iter(stack))) == msgspec.msgpack.encode(facts)
