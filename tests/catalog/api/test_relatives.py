"""What an image is built on, what is built on it, where it is and which index it is of, where there is much of that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cas.directory import DirectoryStore
from tests.auth.hub import PASSWORD
from tests.catalog.images import descriptor, index
from tests.catalog.whole import Site, opened
from tests.database.engines import fresh_database
from tests.ingest import tars
from tests.ingest.in_process import Image, image, small, status

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BOTTOM, MIDDLE, TOP = small("bottom"), small("middle"), small("top")


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        fresh_database("sqlite", request, tmp_path) as database,
        opened(database, DirectoryStore(tmp_path / "store"), tmp_path) as site,
        site.ingest.running(),
    ):
        yield site


async def test_the_nearest_base_is_found_among_any_number_of_lower_ones(site: Site) -> None:
    """A base that hundreds of images stand on was pushed long before most of them."""
    await site.ingest.push("alice/nearest", image(BOTTOM, MIDDLE), "v1")
    for number in range(101):
        await site.ingest.push("alice/lower", image(BOTTOM, config={"author": str(number)}))
    built = await site.ingest.push("alice/app", image(BOTTOM, MIDDLE, TOP))
    await site.ingest.settled()

    told = (await site.get(f"/api/v1/images/{built}")).json()

    assert [base["repository"] for base in told["base"]][:2] == ["alice/nearest", "alice/lower"]
    assert [base["layers"] for base in told["base"]] == [2] + [1] * 9
    assert (told["base_count"], (await site.get(f"/api/v1/images/{built}/bases")).json()["total"]) == (102, 102)


async def everything(site: Site, path: str, member: str, size: int) -> list[dict[str, Any]]:
    """Page through a list to its end."""
    found: list[dict[str, Any]] = []
    for page in range(1, 100):
        told = (await site.get(f"/api/v1/{path}", params={"page": page, "size": size})).json()
        assert (told["page"], told["page_size"]) == (page, size)
        found += told[member]
        if len(told[member]) < size:
            break
    assert len(found) == told["total"]
    return found


async def test_whatever_an_answer_cuts_can_be_paged_to(site: Site) -> None:
    base = image(BOTTOM)
    digest = await site.ingest.push("alice/base", base, *(f"v{number}" for number in range(7)))
    for number in range(27):
        await site.ingest.push("alice/app", image(BOTTOM, small(str(number))))
    for number in range(101):
        await site.ingest.push(f"alice/mirror{number:03}", base)
    app = await site.ingest.push("alice/last", image(BOTTOM, MIDDLE, TOP))
    await site.ingest.settled()

    told = (await site.get(f"/api/v1/images/{digest}")).json()
    derived = await everything(site, f"images/{digest}/derived", "images", 10)
    places = await everything(site, f"images/{digest}/places", "places", 40)
    bases = await everything(site, f"images/{app}/bases", "images", 60)

    assert (len(told["derived"]), told["derived_count"]) == (25, 28)
    assert [each["digest"] for each in derived[:25]] == [each["digest"] for each in told["derived"]]
    assert len({each["digest"] for each in derived}) == 28
    assert (len(told["places"]), told["place_count"]) == (100, 102)
    names = ["alice/base", *(f"alice/mirror{number:03}" for number in range(101))]
    assert [place["repository"] for place in places] == names
    assert (len(places[0]["tags"]), places[0]["tag_count"]) == (7, 7)
    assert {each["repository"] for each in bases} == set(names)
    assert len(bases) == 102


def saying(text: str, **said: str) -> Image:
    """An image on no layers of others, whose annotations say what it is built on."""
    annotations = {f"org.opencontainers.image.base.{name}": value for name, value in said.items()}
    return image(small(text), annotations=annotations)


async def test_what_declares_an_image_as_its_base_is_built_on_it(site: Site) -> None:
    """By its digest or that of its index; by a name that it has, unless a digest says that another one is meant."""
    base = image(BOTTOM)
    digest = await site.ingest.push("library/debian", base, "12")
    both = await site.ingest.push_manifest("library/debian", index(descriptor(base.manifest, OCI)), "bookworm")
    elsewhere = "sha256:" + "1" * 64
    built = {
        "by layers": image(BOTTOM, TOP),
        "by digest": saying("a", digest=digest.text),
        "by index": saying("b", name="docker.io/library/debian:11", digest=both.text),
        "by name": saying("c", name="docker.io/library/debian:12"),
        "by its index's name": saying("d", name="debian:bookworm"),
        "by both": image(BOTTOM, MIDDLE, annotations={"org.opencontainers.image.base.digest": digest.text}),
    }
    others = [
        saying("e", name="debian:12", digest=elsewhere),
        saying("f", name="debian:11"),
        saying("g", name="alice/debian:12"),
        saying("h", digest=elsewhere),
    ]
    for each in (*built.values(), *others):
        await site.ingest.push("alice/app", each)
    private = saying("i", digest=digest.text)
    await site.ingest.push("alice/private", private, public=False)
    await site.ingest.settled()

    told = (await site.get(f"/api/v1/images/{digest}")).json()
    derived = await everything(site, f"images/{digest}/derived", "images", 2)
    hers = (await site.get(f"/api/v1/images/{digest}/derived", "alice", PASSWORD)).json()
    query = {"q": "type:image base:debian:12", "size": 100}
    found = (await site.get("/api/v1/search", params=query)).json()["hits"]

    assert {each["digest"] for each in derived} == {each.digest.text for each in built.values()}
    certain = {each["digest"] for each in derived if each["certainty"] == "layers"}
    assert certain == {built["by layers"].digest.text, built["by both"].digest.text}
    assert (told["derived_count"], len(told["derived"])) == (6, 6)
    assert private.digest.text in {each["digest"] for each in hers["images"]}
    by_digest = {"by layers", "by digest", "by index", "by both", "by name"}
    # "as it says": by the very name, too, and whatever that once meant.
    expected = {built[each].digest.text for each in by_digest} | {others[0].digest.text}
    assert {each["digest"] for each in found} == expected


def done(*after: str, **members: Any) -> Image:
    """An image of one layer, and of steps *after* it that made none."""
    history = [{"created_by": "COPY . /"}, *({"created_by": each, "empty_layer": True} for each in after)]
    return image(BOTTOM, config={"history": history, **members})


async def test_images_of_the_same_layers_are_told_apart_by_their_histories(site: Site) -> None:
    """Of which each may be in several repositories. Where a history does not tell of each layer, nothing is said."""
    env, cmd = "ENV A=b", 'CMD ["c"]'
    malformed = image(BOTTOM, config={"history": [{"created_by": env, "empty_layer": True}]})
    pushed = {
        "above": image(BOTTOM, TOP),
        "base": done(),
        "with-env": done(env),
        "again": done(env, author="another"),
        "with-cmd": done(env, cmd),
        "other": done("LABEL d=e"),
        "malformed": malformed,
        "older": image(BOTTOM),
    }
    digests = {name: await site.ingest.push(f"alice/{name}", each, "v1") for name, each in pushed.items()}
    await site.ingest.push("alice/mirror", pushed["base"])
    await site.ingest.settled()

    async def listed(name: str, path: str) -> list[str]:
        related = await everything(site, f"images/{digests[name]}/{path}", "images", 2)
        assert {each["certainty"] for each in related} <= {"layers"}
        told = (await site.get(f"/api/v1/images/{digests[name]}")).json()
        shown = told[{"bases": "base", "derived": "derived"}[path]]
        assert [each["repository"] for each in shown] == [each["repository"] for each in related]
        return [each["repository"].removeprefix("alice/") for each in related]

    async def found(name: str) -> set[str]:
        query = {"q": f"type:image base:alice/{name}:v1", "size": 100}
        hits = (await site.get("/api/v1/search", params=query)).json()["hits"]
        return {hit["repository"].removeprefix("alice/") for hit in hits}

    nearest = ["again", "with-env", "base", "mirror"]
    assert await listed("with-cmd", "bases") == nearest
    for name in ("with-env", "again", "other"):
        assert await listed(name, "bases") == ["base", "mirror"]
    for name in ("base", "malformed", "older"):
        assert await listed(name, "bases") == []
    of_one_layer = pushed.keys() - {"above"} | {"mirror"}
    assert set(await listed("above", "bases")) == of_one_layer

    derived = {"base": {"with-env", "again", "with-cmd", "other"}, "with-env": {"with-cmd"}, "again": {"with-cmd"}}
    for name in of_one_layer - {"mirror"}:
        expected = {"above", *derived.get(name, ())}
        assert (set(await listed(name, "derived")), await found(name)) == (expected, expected), name


async def test_a_declared_base_is_here_where_the_caller_may_read_it(site: Site) -> None:
    public = await site.ingest.push("library/debian", image(BOTTOM), "12")
    private = await site.ingest.push("alice/private", image(MIDDLE), "12", public=False)
    nowhere = "sha256:" + "1" * 64
    asked = [("public", public.text), ("private", private.text), ("nowhere", nowhere), ("no digest", "sha256:1")]
    apps = {
        text: await site.ingest.push("alice/app", saying(text, name="debian:12", digest=digest))
        for text, digest in asked
    }
    apps["no digest at all"] = await site.ingest.push("alice/app", saying("none", name="debian:12"))
    await site.ingest.settled()

    async def here(*credentials: str) -> dict[str, bool]:
        answers = {text: await site.get(f"/api/v1/images/{app}", *credentials) for text, app in apps.items()}
        return {text: answer.json()["base"][0]["here"] for text, answer in answers.items()}

    no = dict.fromkeys(("nowhere", "no digest", "no digest at all"), False)
    assert await here() == {"public": True, "private": False, **no}
    assert await here("bob", PASSWORD) == {"public": True, "private": False, **no}
    assert await here("alice", PASSWORD) == {"public": True, "private": True, **no}


async def test_the_tags_of_one_image_come_in_pages(site: Site) -> None:
    """Those of indexes that hold it are its own too."""
    one = image(BOTTOM)
    digest = await site.ingest.push("alice/app", one, "v1", "v3")
    other = await site.ingest.push("alice/app", image(TOP), "v2")
    await site.ingest.push_manifest("alice/app", index(descriptor(one.manifest, OCI)), "v4")
    question = {"repository": "alice/app", "digest": digest.text, "most": 2}

    first = (await site.get("/api/v1/tags", params=question)).json()
    rest = (await site.get("/api/v1/tags", params={**question, "after": first["next"]})).json()
    others = (await site.get("/api/v1/tags", params={**question, "digest": other.text})).json()

    assert [tag["name"] for tag in first["tags"] + rest["tags"]] == ["v1", "v3", "v4"]
    assert rest["next"] is None
    assert [tag["name"] for tag in others["tags"]] == ["v2"]
    assert (await site.get("/api/v1/tags", params={**question, "digest": "sha256:x"})).status_code == 400


async def test_versions_of_a_package_and_files_that_differ_come_in_pages(site: Site) -> None:
    digests = []
    for number in range(5):
        files = {"etc/": None, "var/lib/dpkg/status": status(("tool", f"1.{number}-1"))}
        layer = tars.layer({**files, **{f"etc/{each}": str(number) for each in range(3)}})
        digests.append(await site.ingest.push("alice/app", image(layer)))
    await site.ingest.settled()

    def versions(answer: Any) -> list[str]:
        return [each["version"] for each in answer["versions"]]

    path = "/api/v1/packages/deb/tool"
    first = (await site.get(path, params={"versions_size": 3})).json()
    rest = (await site.get(path, params={"versions_size": 3, "versions_page": 2})).json()
    assert (versions(first), first["version_count"]) == (["1.4-1", "1.3-1", "1.2-1"], 5)
    assert (versions(rest), rest["version_count"], rest["image_count"]) == (["1.1-1", "1.0-1"], 5, 5)

    question = {"from": digests[0].text, "to": digests[1].text, "size": 2}
    pages = [(await site.get("/api/v1/diff", params={**question, "page": page})).json() for page in (1, 2, 3)]
    changed = [[change["path"] for change in page["files"]] for page in pages]
    assert changed == [["etc/0", "etc/1"], ["etc/2", "var/lib/dpkg/status"], []]
    assert {page["file_count"] for page in pages} == {4}


async def test_an_index_of_indexes_is_shown_with_one_of_its_images(site: Site) -> None:
    """As `portolan analyze` does it."""
    amd64 = await site.ingest.push("alice/app", image(BOTTOM))
    arm64 = await site.ingest.push("alice/app", image(TOP, config={"architecture": "arm64"}))
    platforms = [{"os": "linux", "architecture": architecture} for architecture in ("arm64", "amd64")]
    inner = await site.ingest.push_manifest(
        "alice/app",
        index(*(descriptor(of, OCI, platform=on) for of, on in zip((arm64, amd64), platforms, strict=True))),
    )
    outer = await site.ingest.push_manifest("alice/app", index(descriptor(inner, INDEX)), "v1")
    before = (await site.get("/api/v1/tags", params={"repository": "alice/app"})).json()["tags"][0]
    await site.ingest.settled()
    after = (await site.get("/api/v1/tags", params={"repository": "alice/app"})).json()["tags"][0]

    told = (await site.get(f"/api/v1/images/{outer}")).json()

    assert (told["digest"], told["index"], told["state"]["name"]) == (amd64.text, outer.text, "read")
    assert told["places"][0]["tags"] == ["v1"]
    assert (await site.get(f"/api/v1/images/{outer}/packages")).json()["image"] == amd64.text
    assert (before["size"], after["size"]) == (told["size"], told["size"])
    assert after["state"]["name"] == "read"
    third = await site.ingest.push_manifest("alice/app", index(descriptor(outer, INDEX)))
    fourth = await site.ingest.push_manifest("alice/app", index(descriptor(third, INDEX)))
    assert (await site.get(f"/api/v1/images/{third}")).json()["digest"] == amd64.text
    assert (await site.get(f"/api/v1/images/{fourth}")).status_code == 404
