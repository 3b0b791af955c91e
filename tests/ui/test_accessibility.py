"""Each page as axe-core sees it, light and dark, on a desk and on a phone; and whether all of it fits.

The pages are those of canned answers: long names, failures, hostile texts, empty lists.
"""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.services.portolan import Person
from tests.ui.browsing import DESK, PHONE, fits, sign_in, visiting
from tests.ui.canned import EVIL, FAILED, LONG, SHOP, WAITING
from tests.ui.site import PASSWORD
from tests.ui.test_rendering import OWN, PAGES, REFUSALS

ADA = Person("ada", PASSWORD)
ADDRESSES = [path for path, *_ in [*PAGES, *OWN, *REFUSALS]]
#: Windows that are 1280 pixels wide at 200 %, and at 400 % (WCAG 2.2, 1.4.10).
ZOOMED = ((640, 450), (320, 256))


def violations(page: Page) -> list[str]:
    """Ask axe-core, and tell what it finds and where."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)], ids=["light on a desk", "dark on a phone"])
def test_no_page_keeps_anybody_out(browser: Browser, canned_url: str, size: tuple[int, int], dark: bool) -> None:
    found: dict[str, list[str]] = {}
    with visiting(browser, size, dark=dark) as page:
        sign_in(page, canned_url, ADA)
        for address in ADDRESSES:
            if address.startswith("/sign-in"):
                continue
            page.goto(canned_url + address)
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            if told := violations(page):
                found[address] = told
            assert fits(page), address
    with visiting(browser, size, dark=dark) as page:
        for address in ("/sign-in", "/", f"/r/{LONG}"):
            page.goto(canned_url + address)
            if told := violations(page):
                found[address] = told
    assert found == {}


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)], ids=["light on a desk", "dark on a phone"])
def test_nor_does_what_comes_after_a_form(browser: Browser, canned_url: str, size: tuple[int, int], dark: bool) -> None:
    """Refused forms tell why beside the field; what was made or is to go has a page of its own."""
    told: list[str] = []

    def look() -> None:
        told.extend(f"{page.url}: {each}" for each in violations(page))
        assert fits(page), page.url

    def send(button: str, **fields: str) -> None:
        for label, value in fields.items():
            page.get_by_label(label.replace("_", " "), exact=True).fill(value)
        page.get_by_role("button", name=button).click()
        look()

    with visiting(browser, size, dark=dark) as page:
        page.goto(f"{canned_url}/sign-in")
        send("Sign in", Name="ada", Password="not her password")
        sign_in(page, canned_url, ADA)
        page.goto(f"{canned_url}/account")
        send("Change it", Password_until_now="wrong", New_password="one", **{"New password, again": "another"})
        page.goto(f"{canned_url}/account/tokens")
        send("Make the token", Name="a machine", Scopes="no::scope")
        send("Make the token", Scopes="ada/*:pull")
        assert page.get_by_role("heading", level=1).inner_text() == "Your new token"
        page.get_by_role("link", name="Back to your tokens").click()
        look()
        page.get_by_role("link", name="Revoke a machine").first.click()
        look()
        send("Revoke it")
        page.goto(f"{canned_url}/r/shop/-/tag?of=1.4.2")
        send("Set the tag", New_tag="no tag!")
        page.goto(f"{canned_url}/r/shop/-/delete")
        send("Delete it for good", Type_its_name_to_go_on="another")
    assert told == []


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)], ids=["light on a desk", "dark on a phone"])
def test_nor_do_the_first_pages(
    browser: Browser, fresh_address: tuple[str, str], size: tuple[int, int], dark: bool
) -> None:
    url, link = fresh_address
    with visiting(browser, size, dark=dark) as page:
        for address in ("/", f"/set-up?link={link}", "/set-up?link=another"):
            page.goto(url + address)
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            assert violations(page) == []
            assert fits(page), address
        page.goto(f"{url}/set-up?link={link}")
        page.get_by_label("Name").fill("Not A Name")
        page.get_by_label("Password").fill("short")
        page.get_by_role("button", name="Make the administrator").click()
        assert page.get_by_role("alert").is_visible()
        assert violations(page) == []
        assert fits(page)


@pytest.mark.parametrize("size", (PHONE, *ZOOMED), ids=["on a phone", "200 %", "400 %"])
def test_nothing_stands_out_to_the_side(
    browser: Browser, canned_url: str, fresh_address: tuple[str, str], size: tuple[int, int]
) -> None:
    """Of the pages of somebody who is signed in, too, and with whatever is folded away shown."""
    astray: list[str] = []
    with visiting(browser, size, scripts=False) as page:
        for address in ("/", "/sign-in", f"/set-up?link={fresh_address[1]}"):
            page.goto(fresh_address[0] + address)
            assert fits(page), address
        sign_in(page, canned_url, ADA)
        for address in ADDRESSES:
            page.goto(canned_url + address)
            page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(each => each.open = true)")
            if not fits(page):
                astray.append(address)
    assert astray == []


def test_the_menu_the_suggestions_and_open_folders_keep_nobody_out_either(browser: Browser, canned_url: str) -> None:
    for dark in (False, True):
        with visiting(browser, dark=dark) as page:
            sign_in(page, canned_url, ADA)
            page.get_by_text("ada", exact=True).click()
            assert violations(page) == []
            page.keyboard.press("Escape")

            page.goto(f"{canned_url}/r/shop")
            page.keyboard.press("/")
            page.keyboard.type("ngi")
            page.get_by_role("option").first.wait_for()
            page.keyboard.press("ArrowDown")
            assert violations(page) == []

            page.goto(f"{canned_url}/i/{SHOP}/files")
            page.get_by_text("srv/", exact=True).click()
            page.get_by_text("motd").wait_for()
            assert violations(page) == []


def test_every_page_can_be_gone_through_with_the_keyboard(browser: Browser, canned_url: str) -> None:
    """Where the focus is can be seen, and it goes through what can be used in the order in which it stands."""
    with visiting(browser) as page:
        sign_in(page, canned_url, ADA)
        for address in (
            "/",
            "/search?q=package:x",
            "/r/shop",
            f"/i/{SHOP}",
            f"/i/{EVIL}",
            f"/i/{WAITING}",
            f"/i/{FAILED}",
        ):
            page.goto(canned_url + address)
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.id") == "content"
            seen: list[float] = []
            for _ in range(25):
                page.keyboard.press("Tab")
                place = page.evaluate(
                    "(() => { const at = document.activeElement, box = at.getBoundingClientRect(),"
                    " style = getComputedStyle(at), inner = at.querySelector && at.querySelector('.stratum');"
                    " return at === document.body ? null : [box.top + scrollY, box.width * box.height,"
                    " style.outlineStyle !== 'none' || !!inner || !!at.closest('.finder')] })()"
                )
                if place is None:
                    break
                top, area, shown = place
                assert area > 0, address
                assert shown, (address, page.evaluate("document.activeElement.outerHTML"))
                seen.append(top)
            assert len(seen) >= 5
