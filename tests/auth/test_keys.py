"""The keys that sign and those that verify."""

from __future__ import annotations

import asyncio
import json

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import select

from auth.errors import InvalidToken
from auth.keys import KEPT, PublicKeys, SigningKeys
from auth.tables import signing_keys
from database import Query
from tests.auth.conftest import Another
from tests.auth.hub import Hub

ROWS = Query(select(signing_keys).order_by(signing_keys.c.generation))


async def test_of_eight_processes_that_start_at_once_one_makes_the_key(another: Another) -> None:
    doors = [await another() for _ in range(8)]
    opened = await asyncio.gather(*(SigningKeys.open(door) for door in doors))
    names = {(await keys.current()).kid for keys in opened}

    assert len(names) == 1
    assert len(await doors[0].all(ROWS)) == 1


async def test_of_eight_who_rotate_at_once_one_makes_the_new_key(another: Another) -> None:
    doors = [await SigningKeys.open(await another()) for _ in range(8)]
    before = (await doors[0].current()).kid
    rotated = {(await key).kid for key in [asyncio.ensure_future(keys.rotate()) for keys in doors]}
    rows = await (await another()).all(ROWS)

    assert before not in rotated
    assert rows[0][0] == before
    # some may have come after the first was done, and rotated again: but never two keys that sign
    assert [row[3] is not None for row in rows] == [False] * (len(rows) - 1) + [True]


async def test_a_key_is_named_by_its_thumbprint(hub: Hub) -> None:
    """RFC 7638: docker's registries take the name from the JWK Set and compare."""
    signing = await hub.signing_keys.current()
    (jwk,) = (await hub.public_keys.jwks())["keys"]
    public = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    assert signing.kid == jwk["kid"] == public.thumbprint()


async def test_private_keys_are_in_no_answer_and_in_no_text(hub: Hub) -> None:
    signing = await hub.signing_keys.current()
    private = str(signing.key.as_dict(private=True)["d"])

    async with hub.client() as client:
        answer = await client.get("/.well-known/jwks.json")

    assert answer.status_code == 200
    (jwk,) = answer.json()["keys"]
    assert jwk.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert private not in answer.text + repr(signing) + repr(hub.signing_keys) + repr(hub.public_keys)


async def test_a_rotated_key_verifies_until_its_tokens_have_expired(hub: Hub) -> None:
    async with hub.client() as client:
        before = (await client.get("/token")).json()["token"]
        hub.clock.ahead += 2  # an unknown name is looked for once a second
        rotated = await hub.signing_keys.rotate()
        after = (await client.get("/token")).json()["token"]
        names = {jwk["kid"] for jwk in (await client.get("/.well-known/jwks.json")).json()["keys"]}

    assert await hub.verifier.verify(before, hub.clock())
    assert await hub.verifier.verify(after, hub.clock())
    assert rotated.kid in names
    old, new = await hub.database.all(ROWS)
    assert (old[3], new[3] is not None) == (None, True)
    assert "d" not in json.loads(old[2]) | json.loads(new[2])

    later = PublicKeys(hub.database, lambda: hub.clock() + KEPT + 10)
    assert [jwk["kid"] for jwk in (await later.jwks())["keys"]] == [rotated.kid]


async def test_another_process_signs_with_the_new_key_within_seconds(hub: Hub) -> None:
    other = await SigningKeys.open(hub.database, hub.clock)
    rotated = await hub.signing_keys.rotate()
    hub.clock.ahead += 11
    assert (await other.current()).kid == rotated.kid


async def test_unknown_names_of_keys_do_not_make_a_read_each(hub: Hub) -> None:
    reads = 0

    class Counting:
        async def one(self, query: Query, **values: object) -> None:
            raise AssertionError

        async def all(self, query: Query, **values: object) -> list[tuple[object, ...]]:
            nonlocal reads
            reads += 1
            return await hub.database.all(query, **values)

    keys = PublicKeys(Counting(), hub.clock)
    for n in range(100):
        assert await keys.find(f"unknown {n}") is None
    assert reads == 1
    hub.clock.ahead += 1
    assert await keys.find("unknown") is None
    assert await keys.find((await hub.signing_keys.current()).kid) is not None
    assert reads == 2


async def test_a_key_that_is_gone_verifies_nothing_new(hub: Hub) -> None:
    async with hub.client() as client:
        await hub.public_keys.jwks()
        token = (await client.get("/token")).json()["token"]
    await hub.signing_keys.rotate()
    hub.clock.ahead += KEPT + 100
    await hub.signing_keys.rotate()
    with pytest.raises(InvalidToken, match="no key"):
        await hub.verifier.verify(token)
