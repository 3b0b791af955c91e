"""``python -m tests.ui.screenshots [FOLDER]``: pictures of each page, on a phone and on a desk, in docs/pages.

They are taken of a service that is started for this, with a fleet that is pushed to it (`harbour`): what they show was
read out of layers. Run it after a change that is to be seen, and look at what it made.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.end_to_end.parts import pids
from tests.services.portolan import Portolan
from tests.services.processes import wait_until
from tests.services.programs import require
from tests.ui.browsing import DESK, PHONE, chromium, sign_in
from tests.ui.harbour import Fleet, Harbour, Made

FOLDER = Path(__file__).parents[2] / "docs" / "pages"

WIDTHS = {"desk": DESK, "phone": PHONE}

#: Pictures end here, in CSS pixels: what comes below is more of the same.
_LONGEST = 1700


def addresses(fleet: Fleet) -> Iterator[tuple[str, str, bool]]:
    """List the pages: a name, the address, and whether somebody is signed in."""
    shop = fleet.shop["1.4.2"]
    layer = next(iter(fleet.bottom.values()))[1].diff_id.text
    of_shop = f"/i/{shop.digest}"
    yield "home", "/", True
    yield "search-repositories", "/search?q=shop", True
    yield "search-images", "/search?q=package:openssl<3.0.15", True
    yield "search-error", "/search?q=pakage:openssl", True
    yield "search-nothing", "/search?q=harpsichord", False
    yield "repository", "/r/ada/shop", True
    yield "repository-tags", "/r/ada/shop/-/tags", True
    yield "repository-history", "/r/ada/shop/-/history", True
    yield "repository-settings", "/r/ada/shop/-/settings", True
    yield "repository-delete", "/r/ada/shop/-/delete", True
    yield "tag-retag", "/r/ada/shop/-/tag?of=1.4.2", True
    yield "tag-delete", "/r/ada/shop/-/untag?tag=1.4.2", True
    yield "image-layers", "/r/ada/shop:1.4.2", True
    yield "image-packages", f"{of_shop}/packages?ref=ada/shop:1.4.2&find=ssl", True
    yield "image-files", f"{of_shop}/files?ref=ada/shop:1.4.2&path=srv/shop", True
    yield "image-configuration", f"{of_shop}/configuration?ref=ada/shop:1.4.2", True
    yield "image-related", f"{of_shop}/related?ref=ada/shop:1.4.2", True
    yield "image-unreadable", "/r/team/lab/broken:1", True
    yield "layer", f"/l/{layer}", True
    yield "package", "/p/deb/openssl", True
    yield "files", "/files?path=/usr/lib/libssl.so.3&deleted=include", True
    yield "compare", "/compare?from=ada/shop:1.3.9&to=ada/shop:1.4.2", True
    yield "sign-in", "/sign-in?next=/r/ada/shop", False
    yield "sign-out", "/sign-out", True
    yield "account", "/account", True
    yield "tokens", "/account/tokens", True
    yield "not-found", "/r/nobody/nothing", False


def shoot(page: Page, url: str, file: Path) -> None:
    """Take a picture of an address."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    _picture(page, file)


def _picture(page: Page, file: Path) -> None:
    height = min(_LONGEST, int(page.evaluate("document.documentElement.scrollHeight")))
    size = page.viewport_size
    assert size is not None
    page.screenshot(path=file, clip={"x": 0, "y": 0, "width": size["width"], "height": height}, full_page=True)


def shoot_first_pages(browser: Browser, directory: Path, folder: Path) -> None:
    """Take pictures of what an installation shows that was started a moment ago."""
    with Portolan(directory) as service:
        wait_until(lambda: "/set-up?link=" in service.log.read_text(), 30, "the link to be printed")
        (link,) = re.findall(r"/set-up\?link=[^\s\"]+", service.log.read_text())[:1]
        for width, size in WIDTHS.items():
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            shoot(page, service.url + link, folder / f"set-up-{width}.png")
            page.context.close()


def shoot_token(page: Page, url: str, folder: Path, width: str) -> None:
    """Make a token, and be asked whether it is to be revoked."""
    page.goto(f"{url}/account/tokens")
    page.get_by_label("Name", exact=True).fill(f"build machine, from the {width}")
    page.get_by_role("button", name="Make the token").click()
    _picture(page, folder / f"token-made-{width}.png")
    page.goto(f"{url}/account/tokens")
    page.get_by_role("link", name=f"Revoke build machine, from the {width}").click()
    _picture(page, folder / f"token-revoke-{width}.png")


def shoot_waiting(page: Page, harbour: Harbour, image: Made, folder: Path, width: str) -> None:
    """Push an image while nobody reads."""
    (ingest,) = pids(harbour.service, "ingest")
    os.kill(ingest, signal.SIGSTOP)
    try:
        harbour.push("team/lab/new", image, width)
        page.goto(f"{harbour.service.url}/r/team/lab/new:{width}")  # it goes on to ask: the network is never idle
        _picture(page, folder / f"image-waiting-{width}.png")
    finally:
        os.kill(ingest, signal.SIGCONT)


def main(folder: Path = FOLDER) -> None:
    """Start, fill, take pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        shoot_first_pages(browser, Path(place, "fresh"), folder)
        with Portolan(Path(place, "filled")) as service:
            fleet = Fleet()
            harbour = Harbour(service)
            for width, size in WIDTHS.items():
                page = browser.new_page(viewport={"width": size[0], "height": size[1]})
                shoot(page, service.url, folder / f"first-run-{width}.png")
                page.context.close()
            harbour.fill(fleet)
            for width, size in WIDTHS.items():
                page = browser.new_page(viewport={"width": size[0], "height": size[1]})
                known = False
                for name, path, signed_in in sorted(addresses(fleet), key=lambda each: each[2]):
                    if signed_in and not known:
                        sign_in(page, service.url, harbour.ada)
                        known = True
                    shoot(page, service.url + path, folder / f"{name}-{width}.png")
                shoot_token(page, service.url, folder, width)
                shoot_waiting(page, harbour, fleet.fresh(width), folder, width)
                page.context.close()
            dark = browser.new_page(viewport={"width": DESK[0], "height": DESK[1]}, color_scheme="dark")
            shoot(dark, f"{service.url}/r/ada/shop:1.4.2", folder / "image-layers-dark.png")
    # A page has few colours: with a palette of 48 a picture is a third as large, and looks the same.
    quantiser = require("pngquant")
    files = sorted(folder.glob("*.png"))
    subprocess.run([quantiser, "--force", "--ext", ".png", "--speed", "1", "--strip", "48", *files], check=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
