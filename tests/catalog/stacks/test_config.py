"""Configs of images, of well-meaning builders and others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.images import config as config_module
from catalog.images import texts
from catalog.images.config import HistoryEntry, ImageConfig, read_config

DIFF_IDS = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]
WHOLE = {
    "created": "2024-05-01T12:00:00.123456789Z",
    "author": "A <a@example.org>",
    "os": "linux",
    "architecture": "arm64",
    "variant": "v8",
    "config": {
        "User": "1000:1000",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "EMPTY=", "A=b=c"],
        "Entrypoint": ["/entry", "a b"],
        "Cmd": ["run"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "Labels": {"team": "payments", "org.opencontainers.image.base.name": "debian:12"},
    },
    "rootfs": {"type": "layers", "diff_ids": DIFF_IDS},
    "history": [
        {"created": "2024-05-01T11:00:00Z", "created_by": "ADD rootfs"},
        {"created_by": "ENV A=b=c", "empty_layer": True, "comment": "c", "author": "x"},
        {"created_by": "RUN make"},
    ],
}


def read(**changed: Any) -> ImageConfig:
    return read_config(json.dumps(WHOLE | changed).encode())


def read_run(**changed: Any) -> ImageConfig:
    return read(config={**WHOLE["config"], **changed})  # type: ignore[dict-item]


def test_a_whole_config_is_read() -> None:
    config = read()
    assert config == ImageConfig(
        os="linux",
        architecture="arm64",
        variant="v8",
        created=1714564800,
        author="A <a@example.org>",
        user="1000:1000",
        env=["PATH=/bin", "EMPTY=", "A=b=c"],
        entrypoint=["/entry", "a b"],
        command=["run"],
        working_dir="/srv",
        ports=["53/udp", "8080/tcp"],
        volumes=["/data"],
        stop_signal="SIGQUIT",
        labels={"team": "payments", "org.opencontainers.image.base.name": "debian:12"},
        history=[
            HistoryEntry(1714561200, "ADD rootfs", "", "", False, 0),
            HistoryEntry(0, "ENV A=b=c", "c", "x", True, None),
            HistoryEntry(0, "RUN make", "", "", False, 1),
        ],
        history_whole=True,
        diff_ids=DIFF_IDS,
        limits=[],
    )
    assert config.platform == "linux/arm64/v8"
    assert config.env_names == ["PATH", "EMPTY", "A"]
    assert config.created_by(2) == ["ADD rootfs", "RUN make"]


def test_an_empty_object_is_an_empty_config() -> None:
    assert read_config(b"{}") == ImageConfig()
    assert ImageConfig().platform == ""


def test_null_is_nothing() -> None:
    nothing = dict.fromkeys(WHOLE)
    assert read_config(json.dumps(nothing).encode()) == ImageConfig()
    run = dict.fromkeys(WHOLE["config"])  # type: ignore[attr-defined]
    assert read(config=run).limits == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"1", b'"x"', b"null", b"\0"],
)
def test_what_is_no_config_is_an_empty_one_that_says_so(content: bytes) -> None:
    config = read_config(content)
    assert len(config.limits) == 1
    assert config == ImageConfig(limits=config.limits)


def test_a_huge_config_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "MOST_BYTES", 10)
    assert read().limits == [f"the config has {len(json.dumps(WHOLE))} bytes, of which at most 10 are read"]


@pytest.mark.parametrize("wrong", [1, "x", [1], {"a": 1}, True, 1.5, [[]], {"a": {"b": []}}, [None]])
@pytest.mark.parametrize(
    "member", ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "StopSignal", "Labels"]
)
def test_a_member_of_the_wrong_kind_costs_no_other(member: str, wrong: object) -> None:
    config = read_run(**{member: wrong})
    assert config.diff_ids == DIFF_IDS
    assert config.platform == "linux/arm64/v8"
    assert config.created_by(2) == ["ADD rootfs", "RUN make"]
    assert member == "Labels" or config.labels["team"] == "payments"
    assert member == "User" or config.user == "1000:1000"


@pytest.mark.parametrize("wrong", [1, "x", [1], {"a": 1}, True])
@pytest.mark.parametrize("member", sorted(WHOLE))
def test_a_wrong_member_at_the_top_costs_no_other(member: str, wrong: object) -> None:
    config = read(**{member: wrong})
    assert member == "rootfs" or config.diff_ids == DIFF_IDS
    assert member == "config" or config.labels["team"] == "payments"


def test_a_label_of_the_wrong_kind_costs_no_other() -> None:
    config = read_run(Labels={"a": 1, "b": "x", "c": None, "d": {}, "e": "y"})
    assert config.labels == {"b": "x", "e": "y"}
    assert config.limits == ["config.Labels: 3 of 5 are not texts"]


def test_labels_by_the_ten_thousand_are_cut() -> None:
    config = read_run(Labels={f"l{number}": "x" for number in range(10_000)})
    assert len(config.labels) == texts.MOST_NAMED
    assert config.limits == ["config.Labels: 8000 of 10000 left out"]
    assert config.diff_ids == DIFF_IDS


def test_large_texts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST_TEXT", 10)
    monkeypatch.setattr(texts, "MOST_TEXT", 25)
    labels = {"a": "x" * 11, "b": "y" * 10, "c": "z" * 10}
    config = read(config={"Labels": labels, "Env": ["1" * 8] * 4}, rootfs=None, history=None)
    assert config.labels == {"a": "x" * 10, "b": "y" * 10}
    assert config.env == ["1" * 8] * 3
    assert len(config.limits) == 3


def test_what_is_left_out_is_told_a_hundred_times_at_most() -> None:
    config = read_run(Env=["x" * (texts.LONGEST_TEXT + 1)] * 20, Labels={f"{n}": "y" * 70_000 for n in range(20)})
    assert 0 < len(config.limits) <= texts.MOST_LIMITS


def test_nuls_and_broken_texts_are_replaced() -> None:
    config = read_run(Labels={"a\0b": "c\0d"}, User="\ud800x", Env=["A=\udfff"])
    assert config.labels == {"a\ufffdb": "c\ufffdd"}
    assert config.user == "\ufffdx"
    assert config.env == ["A=\ufffd"]
    config = read_config(b'{"os": "li\xffnux", "architecture": "amd64", "config": {"Labels": {"a": "b"}}, "x": 1e999}')
    assert config.labels == {"a": "b"}
    assert config.os == "li\ufffdnux"


def test_members_are_found_without_regard_to_case() -> None:
    content = (
        b'{"OS": "linux", "Architecture": "x", "architecture": "amd64", "CONFIG": {"labels": {"A": "b"}, "CMD": ["c"]}}'
    )
    config = read_config(content)
    assert (config.platform, config.labels, config.command) == ("linux/amd64", {"A": "b"}, ["c"])


def test_commands_may_be_one_text_and_sets_may_be_lists() -> None:
    config = read_run(Cmd="run it", Entrypoint="/entry", ExposedPorts=["80/tcp", "80/tcp"], Volumes=["/b", "/a"])
    assert (config.command, config.entrypoint) == (["run it"], ["/entry"])
    assert (config.ports, config.volumes) == (["80/tcp"], ["/a", "/b"])
    assert config.limits == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("2024-05-01T12:00:00Z", 1714564800),
        ("2024-05-01T14:00:00+02:00", 1714564800),
        ("2024-05-01t12:00:00.5z", 1714564800),
        ("9999-12-31T23:59:59-23:59", 253402387139),
    ],
)
def test_times(text: str, seconds: int) -> None:
    config = read(created=text)
    assert (config.created, config.limits) == (seconds, [])


@pytest.mark.parametrize("wrong", ["", "yesterday", "2024-13-01T00:00:00Z", 5, [], "2" * 5000])
def test_what_is_no_time_is_none(wrong: object) -> None:
    config = read(created=wrong)
    assert (config.created, config.limits) == (0, ["created is not a time"])


def test_a_history_without_an_entry_for_each_layer_names_those_that_it_has() -> None:
    config = read(history=[{"created_by": "FROM"}])
    assert config.created_by(2) == ["FROM", ""]
    assert config.limits == ["history: it tells of 1 layers, the image has 2"]


def test_a_history_with_too_many_entries_names_no_layer_that_is_not_there() -> None:
    config = read(history=[{"created_by": name} for name in "abcd"])
    assert [entry.layer for entry in config.history] == [0, 1, None, None]
    assert config.created_by(2) == ["a", "b"]
    assert config.created_by(1) == ["a"]
    assert len(config.limits) == 1


def test_an_image_without_a_history_has_none_to_miss() -> None:
    assert read(history=[]).limits == []
    assert read(history=[]).created_by(3) == ["", "", ""]


def test_odd_entries_of_a_history_keep_their_place() -> None:
    config = read(history=[5, {"empty_layer": "yes", "created_by": 7}])
    assert [entry.layer for entry in config.history] == [0, 1]
    assert config.created_by(2) == ["", ""]
    assert config.limits == ["history: 1 of 2 are not objects"]


def test_odd_diff_ids_keep_their_place() -> None:
    config = read(rootfs={"diff_ids": [5, DIFF_IDS[0]]}, history=[])
    assert config.diff_ids == ["", DIFF_IDS[0]]


def test_a_declared_base_is_the_manifests_before_the_labels() -> None:
    config = read()
    assert config.declared_base({}) == ("debian:12", "")
    name, digest = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
    assert config.declared_base({name: "alpine:3", digest: DIFF_IDS[0]}) == ("alpine:3", DIFF_IDS[0])
    assert config.declared_base({digest: DIFF_IDS[0]}) == ("", DIFF_IDS[0])
    assert config.declared_base({name: " "}) == ("debian:12", "")
    assert ImageConfig().declared_base({}) == ("", "")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(sorted(WHOLE)), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    top=st.dictionaries(st.sampled_from(sorted(WHOLE)), _JSON),
    run=st.dictionaries(st.sampled_from(sorted(WHOLE["config"])), _JSON),  # type: ignore[call-overload]
    whole=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_whatever_it_says_it_is_read(top: dict[str, object], run: dict[str, object], whole: bool) -> None:
    config = read_config(json.dumps((WHOLE if whole else {}) | top | ({"config": run} if run else {})).encode())
    assert all(isinstance(each, str) for each in (*config.env, *config.command, *config.labels, *config.diff_ids))
    json.dumps(config.labels).encode()
    "".join((*config.env, *config.labels.values(), config.user, config.author)).encode()
    config.created_by(3)


@given(st.binary(max_size=200))
def test_any_bytes_are_read(content: bytes) -> None:
    read_config(content)
