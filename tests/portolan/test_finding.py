"""The commands that ask a server's catalog, against a real one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from portolan.commands import finding
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Image, Maker
from tests.portolan.conftest import Run
from tests.services import Portolan
from tests.services.portolan import Person
from tests.services.processes import wait_until


def status(openssl: str) -> bytes:
    return (
        f"Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: {openssl}\n\n"
        "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n"
    ).encode()


@dataclass(frozen=True)
class Served:
    """A service, somebody who pushed to it, and what was pushed: an image, and one on top of that."""

    service: Portolan
    ada: Person
    base: Image
    app: Image


@pytest.fixture(scope="module")
def served(portolan: Portolan) -> Served:
    ada = portolan.add_person("ada", admin=True)
    portolan.add_person("bob")
    maker = Maker()
    bottom = maker.layer({"var/lib/dpkg/status": status("3.0.6-1"), "etc/motd": b"hello"})
    top = maker.layer({"var/lib/dpkg/status": status("3.0.11-1"), "srv/app": b"the program"})
    base, app = maker.image([bottom]), maker.image([bottom, top], labels={"team": "payments"})
    with Direct(portolan.url, ada) as direct:
        direct.push("ada/base", base, "v1")
        direct.push("ada/app", app, "v1", "v2")

    def found() -> bool:
        given, auth = {"q": "type:image package:deb/openssl"}, (ada.name, ada.password)
        answer = httpx.get(f"{portolan.url}/api/v1/search", params=given, auth=auth, trust_env=False)
        return bool(answer.is_success and answer.json()["total"] == 2)

    wait_until(found, 60, "both images to be found")
    return Served(portolan, ada, base, app)


@pytest.fixture
def signed_in(run: Run, served: Served) -> Run:
    """A function that runs commands after `portolan login`."""
    done = run("login", served.service.url, "-u", "ada", "--password-stdin", input=served.ada.password + "\n")
    assert done.exit_code == 0, done.stderr
    return run


def told(run: Run, *words: str) -> Any:
    """Run a command, with --json too; return what that says, after what people are shown."""
    plain, full = run(*words), run(*words, "--json")
    assert (plain.exit_code, full.exit_code) == (0, 0), plain.stderr + full.stderr
    return plain.stdout, json.loads(full.stdout)


def test_search_finds_repositories(signed_in: Run) -> None:
    shown, answer = told(signed_in, "search", "base")

    assert [hit["name"] for hit in answer["hits"]] == ["ada/base"]
    assert "ada/base" in shown
    assert "private" in shown


def test_search_says_what_is_deprecated(signed_in: Run) -> None:
    """The command sets it on the server, and the server's search follows."""
    for option, total in (("--deprecated", 1), ("--no-deprecated", 0)):
        shown, answer = told(signed_in, "repository", "set", "ada/base", option)
        assert answer["deprecated"] == ("(private, deprecated)" in shown) == bool(total)

        def followed(total: int = total) -> bool:
            found = json.loads(signed_in("search", "type:repository is:deprecated", "--json").stdout)
            return bool(found["total"] == total)

        wait_until(followed, 30, "search to know of it")
        shown, answer = told(signed_in, "search", "base")
        assert [hit["deprecated"] for hit in answer["hits"]] == [bool(total)]
        assert ("private, deprecated" in shown) == bool(total)


def test_search_finds_each_type(signed_in: Run, served: Served) -> None:
    for words, expected in {
        ("openssl", "--type", "package"): ["deb", "openssl", "3.0.11-1"],
        (served.base.diff_ids[0], "--type", "layer"): [served.base.diff_ids[0]],
        ("file:motd", "--type", "file"): ["/etc/motd"],
        ("package:openssl<3.0.7",): ["ada/base:v1", served.base.digest[:19], "linux/amd64"],
        ("label:team=payments", "--sort", "size"): ["ada/app:v"],
    }.items():
        shown, answer = told(signed_in, "search", *words)
        assert len(answer["hits"]) == 1, words
        for each in expected:
            assert each in shown, (words, shown)


def test_search_says_that_there_is_nothing_and_that_there_is_more(signed_in: Run) -> None:
    nothing = signed_in("search", "nothing-has-this-name")
    paged = signed_in("search", "type:image", "-n", "1", "--page", "2")

    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "Nothing that you may see matches." in nothing.stderr
    assert "Page 2: 1 of 2." in paged.stderr


def test_a_query_that_cannot_be_read_shows_where(signed_in: Run) -> None:
    done = signed_in("search", "app", "pakage:openssl")

    assert done.exit_code == 1
    told, *place = done.stderr.splitlines()
    assert told.endswith("there is no field pakage. Did you mean package:?")
    assert place == ["app pakage:openssl", "    ^^^^^^"]


def test_forbids_printing_commands_to_the_terminal(signed_in: Run) -> None:
    done = signed_in("search", "\x1b[2J\x1b]0;owned\x07", "日本", "pakage:openssl")

    assert done.exit_code == 1
    place = ["\ufffd[2J\ufffd]0;owned\ufffd 日本 pakage:openssl", " " * 20 + "^^^^^^"]
    assert done.stderr.splitlines()[1:] == place


def test_images_lists_images(signed_in: Run, served: Served) -> None:
    shown, answer = told(signed_in, "images", f"layer:{served.base.diff_ids[0]}")

    assert {hit["digest"] for hit in answer["hits"]} == {served.base.digest, served.app.digest}
    assert "ada/base:v1" in shown


@pytest.mark.parametrize("reference", ["ada/app:v1", "ada/app:v2", "digest", "ada/app@digest"])
def test_image_shows_one(signed_in: Run, served: Served, reference: str) -> None:
    shown, answer = told(signed_in, "image", reference.replace("digest", served.app.digest))

    assert answer["digest"] == served.app.digest
    for each in (served.app.digest, "ada/app:v1", "ada/app:v2", "linux/amd64", "2 deb", "ada/base:v1 (layers)"):
        assert each in shown, shown


def test_image_says_how_much_of_long_lists_it_leaves_out(signed_in: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _, answer = told(signed_in, "image", "ada/app:v1")
    answer["places"][0]["tag_count"] += 1000
    declared = {
        **answer["base"][0],
        "certainty": "declared",
        "repository": "",
        "tags": [],
        "digest": "sha256:" + "1" * 64,
    }

    finding._show_image(answer | {"base": [declared, *answer["base"]], "base_count": 31, "place_count": 102})

    shown = " ".join(capsys.readouterr().out.split())
    assert "ada/app:v2, ada/app:v1 and 1000 more" in shown or "ada/app:v1, ada/app:v2 and 1000 more" in shown
    assert "@sha256:111111111111 (declared), ada/base:v1 (layers) and 30 more" in shown
    assert "Repositories 102" in shown


def test_image_lists_packages(signed_in: Run, served: Served) -> None:
    shown, answer = told(signed_in, "image", "ada/app:v1", "--packages")

    assert answer["image"] == served.app.digest
    assert {package["name"]: package["layer"]["index"] for package in answer["packages"]} == {"openssl": 1, "bash": 0}
    assert "3.0.11-1" in shown


def test_layer_lists_images(signed_in: Run, served: Served) -> None:
    for digest in (served.base.diff_ids[0], served.base.layers[0].blob.digest):
        shown, answer = told(signed_in, "layer", digest)
        assert (answer["diff_id"], answer["image_count"]) == (served.base.diff_ids[0], 2)
        assert "ada/base:v1" in shown


def test_package_lists_versions_and_images(signed_in: Run) -> None:
    shown, answer = told(signed_in, "package", "deb", "openssl")
    old, narrowed = told(signed_in, "package", "deb", "openssl", "--version", "<3.0.7")

    assert [row["version"] for row in answer["versions"]] == ["3.0.11-1", "3.0.6-1"]
    assert "3.0.6-1" in shown
    assert [image["repository"] for image in narrowed["images"]] == ["ada/base"]
    assert "ada/app" not in old


def test_diff_compares(signed_in: Run, served: Served) -> None:
    shown, answer = told(signed_in, "diff", "ada/base:v1", served.app.digest)
    same = signed_in("diff", "ada/app:v1", "ada/app:v2")

    assert len(answer["shared"]) == len(answer["only_after"]) == 1
    for each in ("1 shared", "openssl", "3.0.6-1", "3.0.11-1", "label team", "payments", "/srv/app"):
        assert each in shown, shown
    assert same.exit_code == 0
    for each in ("The packages are the same.", "The configs are the same.", "The files are the same."):
        assert each in same.stderr


def test_lists_say_what_they_cut_and_how_to_see_it(signed_in: Run, served: Served) -> None:
    pages = [signed_in("diff", "ada/base:v1", "ada/app:v1", "-n", "1", "--page", page) for page in ("1", "2", "9")]
    versions = signed_in("package", "deb", "openssl", "--versions-page", "2")
    answer = json.loads(signed_in("diff", "ada/base:v1", "ada/app:v1", "-n", "1", "--page", "2", "--json").stdout)
    found = json.loads(signed_in("package", "deb", "openssl", "--versions-page", "2", "--json").stdout)

    count = answer["file_count"]
    assert f"Page 1: 1 of {count} files; --page 2 shows more." in pages[0].stderr
    assert "/srv/app" in pages[0].stdout
    assert "/srv/app" not in pages[1].stdout
    assert "No file is on that page." in pages[2].stderr
    assert f"Page 9: 0 of {count} files." in pages[2].stderr
    assert (answer["page"], answer["page_size"], len(answer["files"])) == (2, 1, 1)
    assert "Page 2: 0 of 2 versions." in versions.stderr
    assert (found["version_count"], found["versions"]) == (2, [])


def test_what_is_not_there_fails(signed_in: Run) -> None:
    for words in (
        ("image", "ada/none:v1"),
        ("image", "sha256:" + "0" * 64),
        ("layer", "sha256:" + "0" * 64),
        ("layer", "../../healthz"),
        ("package", "deb", "none"),
        ("package", "../..", "none"),
        ("diff", "ada/app:v1", "ada/none"),
    ):
        done = signed_in(*words)
        assert done.exit_code == 1, (words, done.stdout)
        assert done.stderr.startswith("portolan: "), done.stderr


def test_nobody_in_particular_finds_what_is_public(run: Run, served: Served) -> None:
    nowhere = run("search", "app")
    assert nowhere.exit_code == 2
    assert "portolan login" in nowhere.stderr

    anonymous = run("search", "app", "--server", served.service.url, "--json")
    assert json.loads(anonymous.stdout)["hits"] == []
    assert run("image", "ada/app:v1", "--server", served.service.url).exit_code == 1
