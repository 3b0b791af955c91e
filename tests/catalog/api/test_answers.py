"""Each endpoint's answer, over a real database, store, layer index and search."""

from __future__ import annotations

from typing import Any

import pytest

from cas import Digest
from catalog.browse import differences
from tests.auth.hub import PASSWORD
from tests.catalog.api.conftest import APP, ARM, BASE, TOP, Catalog

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(catalog: Catalog, asked: str, /, *credentials: str, **parameters: Any) -> Any:
    answer = await catalog.site.get(f"/api/v1/{asked}", *credentials, params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-cache"
    return answer.json()


async def test_search_finds_by_name_label_package_file_and_layer(catalog: Catalog) -> None:
    for query, found in {
        "debian": ["debian"],
        "app": ["alice/app"],
        "payments": ["alice/app"],
    }.items():
        told = await ask(catalog, "search", q=query)
        assert told["type"] == "repository"
        assert [hit["name"] for hit in told["hits"]] == found, query
    for query, digests in {
        "label:team=payments": [catalog.app],
        "package:openssl<3.0.7": [catalog.debian],
        "package:deb/openssl": [catalog.app, catalog.debian],
        "path:/etc/gone": [catalog.debian],
        "path:/etc/gone deleted:yes": [catalog.app],
        f"layer:{BASE.diff_id}": [catalog.app, catalog.debian],
        f"layer:{Digest.of(TOP.blob)}": [catalog.app],
    }.items():
        told = await ask(catalog, "search", q=query)
        assert told["type"] == "image"
        assert {hit["digest"] for hit in told["hits"]} == {digest.text for digest in digests}, query
        assert told["total"] == len(digests)


async def test_search_has_facets_chips_and_pages(catalog: Catalog) -> None:
    told = await ask(catalog, "search", q="type:image", size=1, sort="size")
    again = await ask(catalog, "search", q="type:image", size=1, page=2, sort="size")
    plain = await ask(catalog, "search", q="type:image package:bash", facets="false")

    assert told["total"] == again["total"]
    assert told["hits"][0]["digest"] != again["hits"][0]["digest"]
    assert told["hits"][0]["size"] >= again["hits"][0]["size"]
    assert {facet["name"] for facet in told["facets"]} >= {"arch", "distro"}
    assert plain["facets"] == plain["elsewhere"] == []
    assert [chip["text"] for chip in plain["chips"]] == ["package:bash"]


@pytest.mark.parametrize("kind", ["repository", "image", "package", "layer", "file"])
async def test_search_has_hits_of_each_type(catalog: Catalog, kind: str) -> None:
    query = {"layer": BASE.diff_id.text, "file": "app", "package": "openssl"}.get(kind, "app")
    told = await ask(catalog, "search", q=query, type=kind)

    assert told["hits"]
    assert {hit["type"] for hit in told["hits"]} == {kind}


async def test_suggestions_complete_what_is_typed(catalog: Catalog) -> None:
    told = await ask(catalog, "suggest", q="deb")

    assert {(each["kind"], each["text"]) for each in told} >= {("repository", "repo:debian")}
    assert len(await ask(catalog, "suggest", q="deb", most=1)) == 1


async def test_a_repository_has_its_tags(catalog: Catalog) -> None:
    told = await ask(catalog, "repositories/alice/app")
    hers = await ask(catalog, "repositories/alice/app", "alice", PASSWORD)

    assert (told["name"], told["public"], told["official"]) == ("alice/app", True, False)
    assert (told["description"], told["tag_count"], told["pulls"]) == ("The payments app.", 3, 0)
    assert {tag["name"]: tag["digest"] for tag in told["tags"]} == {
        "v1": catalog.app.text,
        "v2": catalog.app.text,
        "both": catalog.both.text,
    }
    assert {tag["name"]: tag["platforms"] for tag in told["tags"]}["both"] == ["linux/arm64/v8", "linux/amd64"]
    assert {tag["name"]: tag["platforms"] for tag in told["tags"]}["v1"] == ["linux/amd64"]
    assert all(tag["state"] == {"name": "read", "problem": ""} for tag in told["tags"])
    assert told["actions"] == ["pull"]
    assert hers == told | {"actions": ["*", "delete", "pull", "push"]}
    assert (await ask(catalog, "repositories/debian"))["official"]
    assert (await ask(catalog, "repositories/library/debian"))["name"] == "debian"
    assert (await ask(catalog, "repositories/alice/deep/secret", "alice", PASSWORD))["public"] is False


async def test_tags_and_their_history_come_in_pages(catalog: Catalog) -> None:
    first = await ask(catalog, "tags", repository="alice/app", most=2)
    rest = await ask(catalog, "tags", repository="alice/app", most=2, after=first["next"])
    moves = await ask(catalog, "tag-history", repository="alice/app", most=2)
    older = await ask(catalog, "tag-history", repository="alice/app", before=moves["next"])
    one = await ask(catalog, "tag-history", repository="alice/app", tag="both")

    assert [tag["name"] for tag in first["tags"] + rest["tags"]] == ["both", "v1", "v2"]
    assert rest["next"] is None
    assert [move["tag"] for move in moves["moves"] + older["moves"]] == ["both", "v2", "v1"]
    assert [move["digest"] for move in one["moves"]] == [catalog.both.text]
    assert older["next"] is None


@pytest.mark.parametrize(
    ("reference", "name"),
    [("alice/app", None), ("alice/app:v1", "app"), ("debian", "debian"), ("library/debian:12", "debian")],
)
async def test_a_reference_names_a_digest(catalog: Catalog, reference: str, name: str | None) -> None:
    answer = await catalog.site.get("/api/v1/resolve", params={"image": reference})

    if name is None:  # it has no tag latest
        assert answer.status_code == 404
    else:
        assert answer.json() == {"image": reference, "digest": getattr(catalog, name).text}
    at = await ask(catalog, "resolve", image=f"alice/app@{catalog.arm}")
    assert at["digest"] == catalog.arm.text


async def test_an_image_tells_what_it_is(catalog: Catalog) -> None:
    told = await ask(catalog, f"images/{catalog.app}")

    assert (told["digest"], told["index"], told["platform"]) == (catalog.app.text, None, "linux/amd64")
    assert told["state"] == {"name": "read", "problem": ""}
    assert told["distro"] == "Debian GNU/Linux 12 (bookworm)"
    assert told["size"] == len(BASE.blob) + len(TOP.blob) + len(APP.config)
    assert told["places"][0]["repository"] == "alice/app"
    assert set(told["places"][0]["tags"]) == {"v1", "v2", "both"}
    assert [layer["diff_id"] for layer in told["layers"]] == [BASE.diff_id.text, TOP.diff_id.text]
    assert [layer["created_by"] for layer in told["layers"]] == ["debootstrap", "COPY app /srv"]
    assert [layer["images"] for layer in told["layers"]] == [2, 1]
    assert told["layers"][1]["upgraded"]
    assert told["config"]["labels"] == {"team": "payments"}
    assert told["annotations"] == {"org.opencontainers.image.title": "app"}
    assert told["packages"] == {"deb": 2}
    assert [(base["repository"], base["digest"], base["certainty"]) for base in told["base"]] == [
        ("debian", catalog.debian.text, "layers")
    ]
    assert (told["derived"], told["derived_count"]) == ([], 0)

    base = await ask(catalog, f"images/{catalog.debian}")
    assert [each["digest"] for each in base["derived"]] == [catalog.app.text]
    assert base["derived_count"] == 1
    everyone = await ask(catalog, f"images/{catalog.debian}", "root-person", PASSWORD)
    assert everyone["derived_count"] == 2


async def test_an_index_is_shown_with_one_of_its_images(catalog: Catalog) -> None:
    told = await ask(catalog, f"images/{catalog.both}")
    arm = await ask(catalog, f"images/{catalog.both}", platform="linux/arm64")
    packages = await ask(catalog, f"images/{catalog.both}/packages")

    assert (told["digest"], told["index"]) == (catalog.app.text, catalog.both.text)
    assert [row["platform"] for row in told["platforms"]] == ["unknown/unknown", "linux/arm64/v8", "linux/amd64"]
    assert [row["size"] for row in told["platforms"]][1] == len(ARM.layers[0].blob) + len(ARM.config)
    assert (arm["digest"], arm["platform"]) == (catalog.arm.text, "linux/arm64/v8")
    assert packages["image"] == catalog.app.text
    for part in ("", "/packages", "/files"):
        answer = await catalog.site.get(f"/api/v1/images/{catalog.both}{part}", params={"platform": "plan9/mips"})
        assert answer.status_code == 404


async def test_packages_have_the_form_that_analyze_prints(catalog: Catalog) -> None:
    told = await ask(catalog, f"images/{catalog.app}/packages")

    assert set(told) == {"image", "platform", "distro", "layers", "packages", "limits_reached", "removed"}
    assert (told["image"], told["platform"], told["distro"]) == (catalog.app.text, "linux/amd64", "debian 12")
    assert set(told["layers"][0]) == {"index", "digest", "diff_id", "size", "created_by", "unread"}
    layer = {"index": 1, "digest": Digest.of(TOP.blob).text, "diff_id": TOP.diff_id.text}
    openssl = next(each for each in told["packages"] if each["name"] == "openssl")
    assert openssl == {
        "purl": "pkg:deb/debian/openssl@3.0.11-1?arch=amd64&distro=debian-12",
        "ecosystem": "deb",
        "name": "openssl",
        "version": "3.0.11-1",
        "source": "openssl",
        "licenses": [],
        "layer": layer,
        "locations": ["var/lib/dpkg/status"],
        "owned_by": "",
    } | {"purl": openssl["purl"], "source": openssl["source"], "locations": openssl["locations"]}
    assert openssl["purl"].startswith("pkg:deb/")


async def test_files_are_those_of_the_merged_tree(catalog: Catalog) -> None:
    root = await ask(catalog, f"images/{catalog.app}/files")
    etc = await ask(catalog, f"images/{catalog.app}/files", path="/etc")
    first = await ask(catalog, f"images/{catalog.app}/files", path="etc/", most=1)
    rest = await ask(catalog, f"images/{catalog.app}/files", path="etc", after=first["next"])

    assert [(each["name"], each["kind"]) for each in root["entries"]] == [
        (name, "directory") for name in ("etc", "srv", "var")
    ]
    assert root["next"] is None
    names = [each["name"] for each in etc["entries"]]
    assert names == ["caf\\xe9", "kept", "os-release"]
    assert [each["name"] for each in first["entries"] + rest["entries"]] == names
    missing = await catalog.site.get(f"/api/v1/images/{catalog.app}/files", params={"path": "etc/gone"})
    assert missing.status_code == 404


async def test_a_layer_has_the_images_that_contain_it(catalog: Catalog) -> None:
    by_blob = await ask(catalog, f"layers/{Digest.of(BASE.blob)}")
    by_diff_id = await ask(catalog, f"layers/{BASE.diff_id}", size=1)
    second = await ask(catalog, f"layers/{BASE.diff_id}", size=1, page=2)

    assert by_blob["diff_id"] == BASE.diff_id.text
    assert by_blob["digests"] == [Digest.of(BASE.blob).text]
    assert (by_blob["size"], by_blob["image_count"]) == (len(BASE.blob), 3)
    assert by_blob["entries"] > 5
    shown = {image["digest"] for image in by_diff_id["images"] + second["images"]}
    assert by_diff_id["image_count"] == 2  # what a config claims wrongly was not read
    assert shown == {catalog.app.text, catalog.debian.text}


async def test_a_package_has_its_versions_and_images(catalog: Catalog) -> None:
    told = await ask(catalog, "packages/deb/openssl")
    old = await ask(catalog, "packages/deb/openssl", version="<3.0.7")
    none = await ask(catalog, "packages/deb/openssl", version=">4")

    assert [(each["version"], each["images"]) for each in told["versions"]] == [("3.0.11-1", 1), ("3.0.6-1", 1)]
    assert told["image_count"] == 2
    found = await ask(catalog, "search", q=told["versions"][0]["query"])
    assert [hit["digest"] for hit in found["hits"]] == [catalog.app.text]
    assert [image["digest"] for image in old["images"]] == [catalog.debian.text]
    assert (none["versions"], none["image_count"], none["images"]) == ([], 0, [])


async def test_files_are_found_by_path_name_and_content(catalog: Catalog) -> None:
    kept = await ask(catalog, "files", path="/etc/kept")
    gone = await ask(catalog, "files", path="etc/gone")
    hidden = await ask(catalog, "files", path="etc/gone", deleted="yes")
    either = await ask(catalog, "files", path="etc/gone", deleted="include")
    named = await ask(catalog, "files", name="ap*")
    by_content = await ask(catalog, "files", sha256=kept["files"][0]["sha256"])

    def shown(answer: Any) -> list[tuple[str, set[str]]]:
        return [(row["path"], {image["digest"] for image in row["examples"]}) for row in answer["files"]]

    both = {catalog.app.text, catalog.debian.text}
    assert shown(kept) == shown(by_content) == [("etc/kept", both)]
    assert kept["files"][0]["images"] == 2
    assert shown(gone) == [("etc/gone", {catalog.debian.text})]
    assert shown(hidden) == [("etc/gone", {catalog.app.text})]
    assert shown(either) == [("etc/gone", both)]
    assert shown(named) == [("srv/app", {catalog.app.text})]
    assert {row["path"] for row in (await ask(catalog, "files", path="*", size=100))["files"]} > {"etc/kept"}


async def test_two_images_are_compared(catalog: Catalog) -> None:
    told = await ask(catalog, "diff", **{"from": "debian:12", "to": f"alice/app@{catalog.both}"})

    assert (told["before"]["digest"], told["after"]["digest"]) == (catalog.debian.text, catalog.app.text)
    assert [layer["diff_id"] for layer in told["shared"]] == [BASE.diff_id.text]
    assert (told["only_before"], [layer["diff_id"] for layer in told["only_after"]]) == ([], [TOP.diff_id.text])
    assert told["packages"] == [{"ecosystem": "deb", "name": "openssl", "before": "3.0.6-1", "after": "3.0.11-1"}]
    changes = {change["path"]: change["change"] for change in told["files"]}
    assert changes["etc/gone"] == "removed"
    assert changes["srv/app"] == "added"
    assert told["file_count"] == len(told["files"])
    assert {"name": "label team", "before": "", "after": "payments"} in told["config"]
    assert (told["size_before"], told["size_after"]) == (told["before"]["size"], told["after"]["size"])
    same = await ask(catalog, "diff", **{"from": catalog.app.text, "to": catalog.app.text})
    assert (same["packages"], same["config"], same["files"], same["file_count"]) == ([], [], [], 0)


async def test_files_of_images_with_very_many_entries_are_not_compared_and_the_answer_says_so(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "_MOST_ENTRIES", 3)
    told = await ask(catalog, "diff", **{"from": "debian:12", "to": f"alice/app@{catalog.both}"})
    assert (told["files"], told["file_count"]) == ([], 0)
    (limit,) = told["limits_reached"]
    assert limit.endswith("files are compared up to 3 of them")
    assert told["packages"]


async def test_head_is_answered_as_get(catalog: Catalog) -> None:
    for path in ("search", f"images/{catalog.app}", "repositories/alice/app", "repositories/alice/none"):
        got = await catalog.site.get(f"/api/v1/{path}")
        head = await catalog.site.get(f"/api/v1/{path}", method="HEAD")
        assert (head.status_code, head.headers) == (got.status_code, got.headers)
