"""Chromium, as the tests of the pages and the screenshots drive it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.services.portolan import Person
from tests.services.programs import require

PHONE = (390, 844)
DESK = (1280, 900)

#: A refusal is told on the console; where a test provokes one, that is no complaint.
_REFUSED = re.compile(r"the server responded with a status of (?:4\d\d|503)")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; where there is none, the test is skipped unless services are required."""
    program = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Browser, size: tuple[int, int] = DESK, *, scripts: bool = True, dark: bool = False, scale: float = 1
) -> Iterator[Page]:
    """A page of its own; nothing that it loads may come from elsewhere, and nothing may be complained of."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        color_scheme="dark" if dark else "light",
        device_scale_factor=scale,
    )
    page = context.new_page()
    complaints = listen(context)
    yield page
    context.close()
    assert complaints == []


def listen(context: BrowserContext) -> list[str]:
    """Gather what goes wrong in the pages of *context*: scripts that fail, policies that are broken, strange hosts."""
    complaints: list[str] = []
    context.on("console", lambda message: None if _REFUSED.search(message.text) else complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    context.on("request", lambda asked: complaints.append(asked.url) if "//127.0.0.1:" not in asked.url else None)
    return complaints


def sign_in(page: Page, url: str, person: Person) -> None:
    """Sign in as people do."""
    page.goto(f"{url}/sign-in")
    page.get_by_label("Name").fill(person.name)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text(person.name, exact=True).first.wait_for()


def fits(page: Page) -> bool:
    """Tell whether the page can be read without moving it sideways.

    The boxes of ``html`` and ``body`` do not tell: what stands out beyond them leaves them as they are.
    """
    size = page.viewport_size
    assert size is not None
    return int(page.evaluate("document.documentElement.scrollWidth")) <= size["width"]


def tab_to(page: Page, target: Locator, most: int = 80) -> None:
    """Go to *target* as those do who have no mouse: by the tabulator key alone."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{target} is not within {most} stops")
