"""The set-up form in Chromium, on a phone, without JavaScript: as the first person meets it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import StartPortolan
from tests.services.processes import wait_until
from tests.services.programs import require

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; where there is none, the tests are skipped unless services are required."""
    program = require("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=[(390, 844), (1280, 800)], ids=["phone", "desk"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of each width; nothing that it loads may come from elsewhere, and nothing may be complained of."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, java_script_enabled=False)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("request", lambda asked: complaints.append(asked.url) if "127.0.0.1" not in asked.url else None)
    yield opened
    context.close()
    # A status of 4xx is told on the console; it is what these tests provoke.
    assert [each for each in complaints if "the server responded with a status of 4" not in each] == []


def fits(page: Page) -> bool:
    """Tell whether nothing stands out beyond the width of the window."""
    size = page.viewport_size
    box = page.locator("html").bounding_box()
    assert size is not None
    assert box is not None
    return box["width"] <= size["width"]


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
    assert fits(page)

    page.goto(link)
    assert page.get_by_role("heading", level=1).inner_text() == "This link is not open"
    page.goto(service.url)
    assert page.get_by_text("docker login").is_visible()
    assert fits(page)
    assert '"name":"ada","administrator":true' in re.sub(r"\s", "", service.run("user", "list", "--json").stdout)
    assert link.partition("=")[2] not in "".join(
        line for line in service.log.read_text().splitlines() if line.startswith("{")
    )
