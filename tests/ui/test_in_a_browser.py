"""What each page is for, done in Chromium on a running service: on a phone and on a desk, with scripts and without."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import StartPortolan
from tests.services.portolan import Person, Portolan
from tests.services.processes import wait_until
from tests.ui.browsing import DESK, PHONE, fits, sign_in, tab_to, visiting
from tests.ui.harbour import HOSTILE, PASSWORD, Fleet, Harbour

# Reading layers takes a moment more where everything else is tested at the same time.
expect.set_options(timeout=20_000)


@pytest.fixture(params=[(PHONE, False), (DESK, True)], ids=["phone without scripts", "desk"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window; nothing that it loads may come from elsewhere, and nothing may be complained of."""
    size, scripts = request.param
    with visiting(browser, size, scripts=scripts) as opened:
        yield opened


@pytest.fixture
def scripted(browser: Browser) -> Iterator[Page]:
    """A window on a desk, with scripts."""
    with visiting(browser) as opened:
        yield opened


def heading(page: Page) -> str:
    return " ".join(page.get_by_role("heading", level=1).inner_text().split())


def go(page: Page, harbour: Harbour, path: str) -> None:
    page.goto(harbour.service.url + path)
    assert fits(page)


# The first minutes.


def test_the_first_administrator_is_made_with_the_printed_link(page: Page, start_portolan: StartPortolan) -> None:
    service = start_portolan()
    wait_until(lambda: "/set-up?link=" in service.log.read_text(), 30, "the link to be printed")
    (link,) = re.findall(r"\S+/set-up\?link=\S+", service.log.read_text())

    page.goto(link)
    assert fits(page)
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the administrator").click()
    assert page.get_by_role("alert").is_visible()
    assert page.get_by_label("Name").get_attribute("aria-invalid") == "true"
    assert fits(page)

    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Welcome, ada").wait_for()
    assert page.get_by_text("docker login").is_visible()
    assert fits(page)

    page.goto(link)
    assert heading(page) == "This link is not open"
    page.goto(f"{service.url}/account")
    assert page.get_by_text("Administrator").is_visible()
    assert '"name":"ada","administrator":true' in re.sub(r"\s", "", service.run("user", "list", "--json").stdout)
    assert link.partition("=")[2] not in "".join(
        line for line in service.log.read_text().splitlines() if line.startswith("{")
    )


def test_the_first_page_turns_into_the_first_image_by_itself(
    scripted: Page, start_portolan: StartPortolan, fleet: Fleet
) -> None:
    service = start_portolan()
    harbour = Harbour(service)
    sign_in(scripted, service.url, harbour.ada)
    scripted.get_by_text("Waiting for the first image").wait_for()

    harbour.push("ada/shop", fleet.shop["1.3.9"], "1.3.9")

    expect(scripted.get_by_role("heading", name="It has arrived")).to_be_visible()
    scripted.get_by_role("link", name="See what is in it").click()
    assert heading(scripted).startswith("ada/shop")
    scripted.goto(service.url)
    expect(scripted.get_by_role("heading", name="Pushed last")).to_be_visible()


# Finding.


def test_the_box_finds_repositories_and_what_is_in_images(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/")
    page.get_by_role("searchbox").or_(page.get_by_role("combobox")).fill("package:openssl<3.0.15")
    page.get_by_role("button", name="Search").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("1 image")
    assert page.get_by_role("link", name="ada/shop:1.3.9").is_visible()
    assert page.get_by_text("deb/openssl@3.0.11-1~deb12u2").is_visible()
    assert fits(page)

    # Taking the condition away finds more.
    page.get_by_role("list", name="Conditions").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("1 image")


def test_results_are_narrowed_by_a_click_and_widened_by_another(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/search?q=type:image+distro:debian")
    before = heading(page)
    choice = page.get_by_role("link", name=re.compile(r"^arm64"))
    choice.click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text(before)
    chosen = page.locator(".facet[aria-current]").filter(has_text="arm64")
    assert chosen.inner_text().startswith("arm64")
    assert heading(page) == "2 images"

    chosen.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(before)


def test_a_query_that_cannot_be_read_leads_to_the_one_that_was_meant(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/search?q=pakage:openssl")
    assert heading(page) == "This query cannot be read"
    assert page.locator("mark.wrong").inner_text() == "pakage"
    page.get_by_role("link", name="package:openssl", exact=True).click()
    expect(page.get_by_role("link", name="ada/shop:1.3.9")).to_be_visible()


def test_kinds_of_results_are_a_click_apart(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/search?q=nginx")
    kinds = page.get_by_role("navigation", name="Kinds of results")
    kinds.get_by_role("link", name="Packages").click()
    page.get_by_role("link", name="nginx", exact=True).click()
    assert heading(page) == "nginx deb"
    expect(
        page.get_by_role("link", name="nginx:1.27.2").or_(page.get_by_role("link", name="nginx:latest"))
    ).to_be_visible()


def test_a_slash_focuses_the_box_and_suggestions_are_gone_through_by_keyboard(scripted: Page, harbour: Harbour) -> None:
    go(scripted, harbour, "/files")
    scripted.keyboard.press("/")
    box = scripted.get_by_role("combobox", name="Search repositories")
    assert box.evaluate("each => document.activeElement === each")
    scripted.keyboard.type("ngin")
    listed = scripted.get_by_role("listbox", name="Suggestions").get_by_role("option")  # a form has options, too
    listed.filter(has_text=re.compile("^nginx")).first.wait_for()
    assert box.get_attribute("aria-expanded") == "true"

    scripted.keyboard.press("ArrowDown")
    active = box.get_attribute("aria-activedescendant")
    assert scripted.locator(f"#{active}").get_attribute("aria-selected") == "true"
    scripted.keyboard.press("Escape")
    assert listed.count() == 0
    assert box.get_attribute("aria-expanded") == "false"

    scripted.keyboard.type("x")
    scripted.keyboard.press("Backspace")
    listed.first.wait_for()
    scripted.keyboard.press("ArrowDown")
    scripted.keyboard.press("Enter")
    scripted.wait_for_url(re.compile(r"/r/nginx$"))
    assert heading(scripted).startswith("nginx")
    scripted.keyboard.press("/")
    scripted.keyboard.type("/")  # in the box it is a character
    assert scripted.get_by_role("combobox", name="Search repositories").input_value().endswith("/")


def test_files_are_found_by_path_and_those_that_are_hidden_when_asked_for(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/files")
    page.get_by_label("What").fill("/usr/bin/pyvenv")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("1 file")
    assert page.get_by_role("link", name="ada/shop:1.3.9").is_visible()

    page.get_by_label("Hidden by an upper layer").select_option("yes")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("link", name=re.compile(r"^ada\/shop:1\.4")).first).to_be_visible()
    assert page.get_by_role("link", name="ada/shop:1.3.9").count() == 0
    assert fits(page)


# By keyboard alone.


def test_one_goes_from_a_search_to_the_layer_of_a_package_by_keyboard(scripted: Page, harbour: Harbour) -> None:
    go(scripted, harbour, "/")
    scripted.keyboard.press("/")
    scripted.keyboard.type("package:openssl<3.0.15")
    scripted.keyboard.press("Enter")
    tab_to(scripted, scripted.get_by_role("link", name="ada/shop:1.3.9"))
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_role("heading", name="Layers, from the bottom")).to_be_visible()

    tab_to(scripted, scripted.locator("#layer-1 summary").filter(has_text="Installed 6 packages"))
    scripted.keyboard.press("Enter")
    expect(scripted.locator("#layer-1").get_by_text("deb/ca-certificates@20230311")).to_be_visible()

    scripted.reload()
    tab_to(scripted, scripted.get_by_role("navigation", name="This image").get_by_role("link", name="Packages"))
    scripted.keyboard.press("Enter")
    tab_to(scripted, scripted.get_by_label("Filter"))
    scripted.keyboard.type("libssl")
    expect(scripted.get_by_text("1 package", exact=True)).to_be_visible()
    tab_to(scripted, scripted.locator("tbody td.number a"))
    scripted.keyboard.press("Enter")
    scripted.wait_for_url(re.compile("#layer-1$"))


def test_one_opens_folders_and_compares_images_by_keyboard(scripted: Page, harbour: Harbour) -> None:
    go(scripted, harbour, "/r/ada/shop:1.4.2")
    tab_to(scripted, scripted.get_by_role("navigation", name="This image").get_by_role("link", name="Files"))
    scripted.keyboard.press("Enter")
    tab_to(scripted, scripted.locator("summary").filter(has_text="srv/"))
    scripted.keyboard.press("Enter")
    shop = scripted.locator("summary").filter(has_text="shop/").first
    expect(shop).to_be_visible()
    tab_to(scripted, shop, most=2)
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_role("link", name="manage.py")).to_be_visible()

    tab_to(scripted, scripted.get_by_role("link", name="Compare images"))
    scripted.keyboard.press("Enter")
    tab_to(scripted, scripted.get_by_label("From", exact=True))
    scripted.keyboard.type("ada/shop:1.3.9")
    scripted.keyboard.press("Tab")
    scripted.keyboard.type("ada/shop:1.4.2")
    scripted.keyboard.press("Enter")
    expect(scripted.locator("tr.changed").filter(has_text="django").first).to_be_visible()


def test_one_signs_in_retags_deletes_and_makes_a_token_by_keyboard(
    scripted: Page, harbour: Harbour, fleet: Fleet
) -> None:
    name = f"ada/keys-{os.urandom(3).hex()}"
    harbour.push(name, fleet.web, "1")
    scripted.goto(f"{harbour.service.url}/r/{name}")
    tab_to(scripted, scripted.get_by_role("main").get_by_role("link", name="sign in"))
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_label("Name")).to_be_focused()
    scripted.keyboard.type("ada")
    scripted.keyboard.press("Tab")
    scripted.keyboard.type(PASSWORD)
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_role("heading", name=name)).to_be_visible()

    tab_to(scripted, scripted.get_by_role("link", name="Retag 1", exact=True))
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_label("New tag")).to_be_focused()
    scripted.keyboard.type("stable")
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_role("link", name="stable", exact=True)).to_be_visible()
    tab_to(scripted, scripted.get_by_role("link", name="Delete 1", exact=True))
    scripted.keyboard.press("Enter")
    tab_to(scripted, scripted.get_by_role("button", name="Delete the tag"))
    scripted.keyboard.press("Space")
    expect(scripted.get_by_role("link", name="Delete stable", exact=True)).to_be_visible()
    assert scripted.get_by_role("link", name="Delete 1", exact=True).count() == 0

    tab_to(scripted, scripted.locator("details.menu summary"))
    scripted.keyboard.press("Enter")
    tab_to(scripted, scripted.get_by_role("link", name="Tokens"), most=3)
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    tab_to(scripted, scripted.get_by_label("Name"))
    scripted.keyboard.type("made by keyboard")
    scripted.keyboard.press("Enter")
    expect(scripted.get_by_role("heading", name="Your new token")).to_be_visible()


# Repositories.


def test_a_repository_tells_what_it_is_and_how_to_pull_it(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/r/ada/shop")
    assert heading(page) == "ada/shop public"
    assert page.locator("#pull-0").inner_text().strip() == f"docker pull {harbour.service.address}/ada/shop:latest"
    assert page.locator(".prose strong").inner_text() == "charts and instruments"
    assert page.get_by_role("link", name="Settings").count() == 0  # to nobody in particular
    page.get_by_text("Other clients").first.click()
    assert (
        f"podman pull --tls-verify=false {harbour.service.address}/ada/shop:latest"
        in page.locator("dl").all_inner_texts()[-1]
    )

    page.get_by_role("link", name="History", exact=True).click()
    assert page.get_by_role("heading", name="Where its tags pointed").is_visible()
    assert page.get_by_text("by ada").count() == 0  # who works on it is told to those who may push to it
    page.get_by_role("navigation", name="This repository").get_by_role("link", name="Tags").click()
    page.get_by_role("link", name="1.4.2", exact=True).click()
    assert heading(page) == "ada/shop:1.4.2"


def test_a_command_is_copied_with_a_click(browser: Browser, harbour: Harbour) -> None:
    with visiting(browser) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        go(page, harbour, "/r/ada/shop")
        page.get_by_role("button", name="Copy").first.click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"docker pull {harbour.service.address}/ada/shop:latest"


def test_an_owner_describes_publishes_retags_and_deletes(page: Page, harbour: Harbour, fleet: Fleet) -> None:
    name = f"ada/own-{os.urandom(3).hex()}"
    url = f"{harbour.service.url}/r/{name}"
    harbour.push(name, fleet.web, "1")
    assert httpx.get(url).status_code == 404

    sign_in(page, harbour.service.url, harbour.ada)
    page.goto(f"{url}/-/settings")
    page.get_by_label("Description").fill("# About\n\n*This* is <b>it</b> [x](javascript:alert(1))")
    page.get_by_text("Public", exact=True).click()
    page.get_by_role("button", name="Save").click()
    assert page.locator(".prose em").inner_text() == "This"
    assert page.locator(".prose b").count() == 0
    assert page.locator(".prose a").count() == 0
    assert httpx.get(url).status_code == 200

    page.get_by_role("link", name="Retag 1", exact=True).click()
    page.get_by_label("New tag").fill("not a tag!")
    page.get_by_role("button", name="Set the tag").click()
    assert page.get_by_label("New tag").get_attribute("aria-invalid") == "true"
    page.get_by_label("New tag").fill("stable")
    page.get_by_role("button", name="Set the tag").click()
    expect(page.get_by_role("link", name="stable", exact=True)).to_be_visible()

    page.get_by_role("link", name="Delete 1", exact=True).click()
    assert "also tagged stable" in " ".join(page.locator(".lead").inner_text().split())
    page.get_by_role("button", name="Delete the tag").click()
    expect(page.get_by_role("link", name="stable", exact=True)).to_be_visible()
    assert page.get_by_role("link", name="1", exact=True).count() == 0
    page.goto(f"{url}/-/history")
    assert page.get_by_text("by ada").first.is_visible()
    assert [line.split()[0] for line in page.locator(".timeline > li > p").all_inner_texts()] == ["1", "stable", "1"]

    page.goto(f"{url}/-/settings")
    page.get_by_role("link", name="Delete this repository").click()
    page.get_by_label("Type its name to go on").fill("something else")
    page.get_by_role("button", name="Delete it for good").click()
    assert page.get_by_role("alert").is_visible()
    page.get_by_label("Type its name to go on").fill(name)
    page.get_by_role("button", name="Delete it for good").click()
    assert heading(page) == "The repository was deleted"
    page.goto(url)
    assert heading(page) == "Not on this chart"


# Images.


def test_an_image_shows_its_layers_and_what_each_brought(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/r/ada/shop:1.4.2")
    assert page.locator(".layer").count() == 6
    assert page.locator(".stratum").count() == 6
    upgraded = page.locator("#layer-4")
    assert upgraded.locator(".instruction").inner_text().startswith("RUN apt-get update && apt-get install")
    upgraded.get_by_text("Upgraded 2 packages").click()
    assert upgraded.locator(".upgraded li").all_inner_texts() != []
    upgraded.get_by_text("Removed 1 package").click()
    assert "python3-venv" in upgraded.locator(".removed").inner_text()
    assert "wasted" in upgraded.inner_text()
    assert page.get_by_role("heading", name="From debian:").is_visible()

    page.get_by_role("link", name="linux/arm64").click()
    assert page.locator(".platforms [aria-current]").inner_text() == "linux/arm64"
    assert heading(page) == "ada/shop:1.4.2"


def test_packages_are_listed_with_the_layer_that_brought_them_and_filtered(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/r/ada/shop:1.4.2")
    page.get_by_role("navigation", name="This image").get_by_role("link", name="Packages").click()
    assert heading(page) == "ada/shop:1.4.2"
    page.get_by_label("Filter").press_sequentially("ssl")
    if page.get_by_role("button", name="Apply").is_visible():
        page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("2 packages", exact=True)).to_be_visible()
    row = page.locator("tbody tr").filter(has_text="libssl3").first
    assert "3.0.15-1~deb12u1" in row.inner_text()
    assert fits(page)

    row.get_by_role("link", name="4").click()
    page.wait_for_url(re.compile("#layer-4$"))
    assert page.locator("#layer-4").is_visible()


def test_files_are_a_tree(page: Page, harbour: Harbour, fleet: Fleet) -> None:
    go(page, harbour, "/r/ada/shop:1.4.2")
    page.get_by_role("navigation", name="This image").get_by_role("link", name="Files").click()
    page.get_by_text("srv/", exact=True).click()
    scripts = page.evaluate("document.documentElement.classList.contains('scripted')")
    if not scripts:
        page.get_by_role("link", name="Open srv/").click()
    page.get_by_text("shop/", exact=True).first.click()
    if not scripts:
        page.get_by_role("link", name="Open shop/").click()
    expect(page.get_by_role("link", name="manage.py")).to_be_visible()
    assert fits(page)

    page.get_by_role("link", name="manage.py").click()
    assert heading(page) == "Find files"
    assert page.get_by_text("/srv/shop/manage.py").first.is_visible()


def test_configuration_relatives_and_the_very_bytes(page: Page, harbour: Harbour, fleet: Fleet) -> None:
    go(page, harbour, "/r/ada/shop:1.3.9")
    page.get_by_role("link", name="Configuration").click()
    assert page.get_by_text('["/entrypoint.sh"]').is_visible()
    page.get_by_role("link", name="team", exact=True).click()
    expect(page.get_by_role("link", name="ada/shop:1.3.9")).to_be_visible()

    go(page, harbour, "/r/ada/shop:1.3.9")
    page.get_by_role("link", name="Manifest, as it was pushed").click()
    assert page.locator("pre").inner_text() == fleet.shop["1.3.9"].manifest.decode()

    go(page, harbour, "/r/debian:12-slim")
    page.get_by_role("link", name="Related").click()
    assert page.get_by_role("link", name=re.compile(r"^ada\/shop:1")).count() >= 3


def test_where_a_layer_is_used_is_one_click_away(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/r/nginx:latest")
    page.locator("#layer-0").get_by_role("link", name=re.compile("^in .* images$")).click()
    assert page.get_by_role("heading", name="Images that hold it").is_visible()
    for image in ("ada/shop:1.3.9", "team/front/web:2026.11", "debian:12-slim"):
        repository = image.partition(":")[0]
        assert page.get_by_role("link", name=re.compile(f"^{repository}:".replace("/", r"\/"))).first.is_visible()
    assert page.get_by_text("team/lab").count() == 0  # private


def test_a_package_is_looked_up_in_a_range_of_versions(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/p/deb/openssl")
    versions = page.get_by_role("complementary").locator("code").all_inner_texts()
    assert versions == ["3.0.15-1~deb12u1", "3.0.11-1~deb12u2"]
    page.get_by_label("Version", exact=True).fill("<3.0.15")
    page.get_by_role("button", name="Show").click()
    assert page.get_by_role("heading", level=2).first.inner_text() == "1 image with <3.0.15"
    assert page.get_by_role("link", name="ada/shop:1.3.9").is_visible()
    page.get_by_label("Version", exact=True).fill("<<<")
    page.get_by_role("button", name="Show").click()
    assert page.get_by_role("alert").is_visible()


def test_two_images_are_compared(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/r/ada/shop:1.3.9")
    page.get_by_role("link", name="Compare with another image").click()
    assert page.get_by_label("From", exact=True).input_value() == "ada/shop:1.3.9"
    page.get_by_label("To", exact=True).fill("ada/shop:1.4.2")
    page.get_by_role("button", name="Compare").click()

    changed = page.locator("tr.changed").filter(has_text="django")
    assert [part for part in re.split(r"\s+|→", changed.first.inner_text()) if part] == [
        "django",
        "pypi",
        "5.0.9",
        "5.1.3",
    ]
    assert page.locator("tr.added").filter(has_text="urllib3").first.is_visible()
    assert page.locator("tr.removed").filter(has_text="python3-venv").first.is_visible()
    assert fits(page)
    page.get_by_role("link", name="Swap").click()
    assert page.get_by_label("From", exact=True).input_value() == "ada/shop:1.4.2"


def test_while_it_is_being_read_an_image_says_so_and_comes_by_itself(
    scripted: Page, start_portolan: StartPortolan, fleet: Fleet
) -> None:
    service = start_portolan()
    harbour = Harbour(service)
    stopped = ingest_of(service)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        harbour.push("ada/shop", fleet.shop["1.4.2"], "1.4.2")
        sign_in(scripted, service.url, harbour.ada)
        scripted.goto(f"{service.url}/r/ada/shop:1.4.2")
        expect(scripted.get_by_text("Being read.")).to_be_visible()
        assert scripted.locator(".layer").count() == 6  # as the manifest says
        scripted.goto(f"{service.url}/i/{fleet.shop['1.4.2'].digest}/packages")
        expect(scripted.get_by_text("They will be listed")).to_be_visible()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    expect(scripted.get_by_role("row").filter(has_text="django")).to_be_visible()
    assert scripted.get_by_text("Being read.").count() == 0


def ingest_of(service: Portolan) -> list[int]:
    """Find the process of *service* that reads what is pushed."""
    found = [pid for pid in service.pids() if b"ingest" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    assert found
    return found


def test_an_image_that_cannot_be_read_says_why(page: Page, harbour: Harbour) -> None:
    sign_in(page, harbour.service.url, harbour.ada)
    go(page, harbour, "/r/team/lab/broken:1")
    assert page.get_by_text("This image could not be read.").is_visible()
    assert "does not begin as a tar" in page.locator(".notice.failed").inner_text()
    assert page.locator(".layer").count() == 2


def test_what_somebody_pushed_to_break_pages_breaks_none(page: Page, harbour: Harbour, fleet: Fleet) -> None:
    """A dialog, a blocked script or a request elsewhere fails the test: `visiting` listens for them."""
    sign_in(page, harbour.service.url, harbour.ada)
    image = f"/i/{fleet.hostile.digest}"
    for path in (
        "/r/team/lab/hostile",
        "/r/team/lab/hostile:1",
        f"{image}/packages?owned=yes",
        f"{image}/files?path=srv",
        f"{image}/configuration",
        "/search?q=hostile",
        "/search?q=label:hostile",
        "/compare?from=team/lab/hostile:1&to=debian:12-slim",
        "/r/team/lab/hostile/-/settings",
    ):
        go(page, harbour, path)
        assert page.locator("main img").count() == 0
        assert page.locator("main script").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
    go(page, harbour, f"{image}/configuration")
    assert page.get_by_text(HOSTILE).first.is_visible()


# People.


def test_one_signs_in_comes_back_to_where_one_was_and_signs_out(page: Page, harbour: Harbour) -> None:
    go(page, harbour, "/r/team/lab/broken")
    assert heading(page) == "Not on this chart"
    page.get_by_role("main").get_by_role("link", name="sign in").click()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("not her password")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").is_visible()
    assert page.get_by_label("Name").input_value() == "ada"
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="team/lab/broken").wait_for()
    assert page.url == f"{harbour.service.url}/r/team/lab/broken"

    page.locator("details.menu summary").click()
    assert fits(page)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").wait_for()
    go(page, harbour, "/r/team/lab/broken")
    assert heading(page) == "Not on this chart"


def test_a_private_repository_looks_as_if_it_were_not_there(page: Page, harbour: Harbour) -> None:
    sign_in(page, harbour.service.url, harbour.bob)
    go(page, harbour, "/r/team/lab/broken")
    private = page.get_by_role("main").inner_text()
    go(page, harbour, "/r/team/lab/absent")
    assert page.get_by_role("main").inner_text() == private
    go(page, harbour, "/search?q=broken")
    assert page.get_by_text("team/lab/broken").count() == 0


def test_a_token_is_made_used_and_revoked(page: Page, harbour: Harbour) -> None:
    name = f"machine {os.urandom(3).hex()}"
    sign_in(page, harbour.service.url, harbour.ada)
    go(page, harbour, "/account/tokens")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Scopes").fill("ada/*:pull")
    page.get_by_label("It ends after").select_option("7")
    page.get_by_role("button", name="Make the token").click()
    secret = page.locator("#secret").inner_text().strip()
    assert fits(page)
    assert _pulls(harbour, secret) == ["pull"]

    page.get_by_role("link", name="Back to your tokens").click()
    page.get_by_role("link", name=f"Revoke {name}").click()
    page.get_by_role("button", name="Revoke it").click()
    assert page.get_by_text("The token was revoked.").is_visible()
    assert page.get_by_text(name).count() == 0
    assert _pulls(harbour, secret) == []


def _pulls(harbour: Harbour, secret: str) -> list[str]:
    """Ask for a registry's token with a personal one, as clients do; return what it allows in ada/shop."""
    answer = httpx.get(
        f"{harbour.service.url}/token",
        params={"service": "portolan", "scope": "repository:ada/shop:pull,push"},
        auth=("ada", secret),
        trust_env=False,
    )
    if answer.status_code == 401:
        return []
    assert answer.status_code == 200
    import base64

    claims = answer.json()["token"].split(".")[1]
    access = json.loads(base64.urlsafe_b64decode(claims + "=="))["access"]
    return [action for entry in access for action in entry["actions"]]


def test_the_password_is_changed(page: Page, harbour: Harbour) -> None:
    name = f"carol-{os.urandom(3).hex()}"
    carol = harbour.service.add_person(name, PASSWORD)
    sign_in(page, harbour.service.url, carol)
    page.locator("details.menu summary").click()
    page.get_by_role("link", name="Account").click()
    page.get_by_label("Password until now").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("a quite different one")
    page.get_by_label("New password, again").fill("a quite different one")
    page.get_by_role("button", name="Change it").click()
    assert page.get_by_text("Your password was changed.").is_visible()
    assert fits(page)

    page.context.clear_cookies()
    sign_in(page, harbour.service.url, Person(name, "a quite different one"))
