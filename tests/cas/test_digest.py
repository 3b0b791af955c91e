from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.digest import ALGORITHMS, Digest
from cas.errors import InvalidDigest
from cas.store import UploadId

HEX = "0123456789abcdef"
algorithms = st.sampled_from(sorted(ALGORITHMS))


@given(st.binary(), algorithms)
def test_a_digest_is_what_the_algorithm_says(content: bytes, algorithm: str) -> None:
    digest = Digest.of(content, algorithm)

    assert digest.algorithm == algorithm
    assert digest.hex == hashlib.new(algorithm, content).hexdigest()
    assert str(digest) == f"{algorithm}:{digest.hex}"
    assert Digest.parse(str(digest)) == digest


@given(st.lists(st.binary()), algorithms)
def test_a_running_hash_finishes_as_the_digest_of_the_whole(pieces: list[bytes], algorithm: str) -> None:
    running = hashlib.new(algorithm)
    for piece in pieces:
        running.update(piece)

    assert Digest.finish(running) == Digest.of(b"".join(pieces), algorithm)


@given(st.text() | st.from_regex(r"sha(256|512):[0-9a-fA-F]{62,66}\n?", fullmatch=True))
def test_what_is_parsed_is_a_safe_name_or_refused(text: str) -> None:
    """A digest becomes a file's name: no other text may."""
    try:
        digest = Digest.parse(text)
    except InvalidDigest as error:
        assert error.text == text
        return
    assert digest.text == text
    assert len(digest.hex) == ALGORITHMS[digest.algorithm]
    assert set(digest.hex) <= set(HEX)


@given(algorithms, st.data())
def test_every_registered_digest_is_parsed(algorithm: str, data: st.DataObject) -> None:
    size = ALGORITHMS[algorithm]
    text = f"{algorithm}:{data.draw(st.text(HEX, min_size=size, max_size=size))}"

    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "SHA256:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        " sha256:" + "a" * 64,
        "sha256:" + "a" * 128,
        "sha512:" + "a" * 64,
        "sha384:" + "a" * 96,
        "sha256:../../../../../../../../../../../../../../etc/passwd".ljust(71, "a"),
        "sha256:" + "\N{ARABIC-INDIC DIGIT ONE}" * 64,
        "sha256+b64:" + "a" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest) as error:
        Digest.parse(text)
    assert len(str(error.value)) < 250


def test_digests_sort_as_their_text_does() -> None:
    digests = [Digest.of(bytes([number]), ("sha512", "sha256")[number % 2]) for number in range(20)]

    assert sorted(digests) == sorted(digests, key=str)


def test_upload_ids_are_parsed_as_they_were_made() -> None:
    made = {UploadId.new() for _ in range(100)}

    assert len(made) == 100
    assert {UploadId.parse(str(upload)) for upload in made} == made
