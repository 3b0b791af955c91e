"""Versions, compared as their ecosystems do; whoever wrote them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.search.versions import ECOSYSTEMS, compare, newest_first, read_range, within

#: From the oldest to the newest: the ecosystems' own documents and test suites.
ORDERED = {
    "deb": ["0.9", "1.0~rc1-1", "1.0-1~bpo1", "1.0-1", "1.0-1+b1", "1.0-10", "1.0a-1", "1.10-1", "1:0.1-1"],
    "apk": [
        *("0.9.8-r0", "1.02", "1.1", "1.2_alpha", "1.2_beta2-r1", "1.2_pre1", "1.2_rc1", "1.2-r0", "1.2-r9"),
        *("1.2-r10", "1.2_git20230717-r4", "1.2_p1", "1.2a-r0", "1.2.3-r0", "10.0"),
    ],
    "rpm": ["0:0.9-1", "1.0~rc1-1.el9", "1.0-1.el8", "1.0-1.el9", "1.0-10.el9", "1:0.1-1.el9"],
    "pypi": ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1.10", "1!0.1"],
    "npm": ["1.0.0-alpha", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.9.0", "1.10.0"],
    "golang": ["v0.0.0-20200101000000-abcdefabcdef", "v0.9.0", "v1.0.0-rc.1", "v1.0.0", "v1.9.0", "v1.10.0"],
    "maven": ["1.0-alpha-1", "1.0-SNAPSHOT", "1.0", "1.0.1", "1.10"],
    "gem": ["1.0.a", "1.0", "1.0.1", "1.10"],
    "generic": ["1.9", "1.10", "2"],
}


@pytest.mark.parametrize("ecosystem", ORDERED)
def test_versions_stand_in_their_ecosystems_order(ecosystem: str) -> None:
    versions = ORDERED[ecosystem]

    for older, newer in pairwise(versions):
        assert compare(ecosystem, older, newer) == -1, (older, newer)
        assert compare(ecosystem, newer, older) == 1, (older, newer)
    assert newest_first(ecosystem, versions) == versions[::-1]


@pytest.mark.parametrize(
    ("ecosystem", "version", "text", "expected"),
    [
        ("deb", "3.0.11-1~deb12u2", "<3.0.12", True),
        ("deb", "3.0.11-1", ">=3.0.11", True),
        ("deb", "3.0.11-1", "=3.0.11", False),
        ("deb", "1:1.0", "<2", False),
        ("apk", "1.2.4_git20230717-r4", ">=1.2.4,<1.2.5", True),
        ("pypi", "2.0", "=2.0.0", True),
        ("pypi", "2.0", "!=2.0.0", False),
        ("pypi", "2.0rc1", "<2.0", True),
        ("npm", "4.17.20", "<4.17.21", True),
        ("golang", "v1.2.3+incompatible", "=1.2.3", True),
        ("golang", "go1.21.5", "<1.22", True),
        # What its rules cannot read is in no range; it is itself, and it is not another.
        ("golang", "(devel)", "<1.22", False),
        ("golang", "(devel)", "=(devel)", True),
        ("golang", "(devel)", "!=1.22", True),
        ("npm", "1.0.0", "<latest", False),
        ("npm", "1.0.0", "", True),
        ("npm", "1.0.0", "1.0.0", True),
        ("generic", "1.9", "<1.10", True),
    ],
)
def test_a_version_is_in_a_range(ecosystem: str, version: str, text: str, expected: bool) -> None:
    assert within(ecosystem, version, read_range(text)) is expected


@pytest.mark.parametrize("text", ["<", ",", ">=1,", "==1", "<>1", "1 2 <3", "a\nb<"])
def test_a_range_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a version"):
        read_range(text)


HOSTILE = (
    st.text(max_size=40)
    | st.from_regex(r"[0-9v.:~+_a-z-]{1,30}", fullmatch=True)
    | st.sampled_from(
        ["", "-", ":", "1:", "9" * 5000, "1." * 3000, "1-" * 150, "٣.٤", "1.0\n", "\ud800", "v", "1:" * 99]
    )
)


@given(st.sampled_from([*ECOSYSTEMS, "no such"]), st.lists(HOSTILE, max_size=6))
def test_versions_that_somebody_made_up_are_compared_all_the_same(ecosystem: str, versions: list[str]) -> None:
    assert sorted(newest_first(ecosystem, versions)) == sorted(versions)
    for left in versions:
        for right in versions:
            assert compare(ecosystem, left, right) == -compare(ecosystem, right, left)
            within(ecosystem, left, (("<", right), ("!=", left)))
