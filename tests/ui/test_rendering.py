"""Every page of a catalog with all that is awkward in it: well made, nothing of it trusted."""

from __future__ import annotations

import html
import re
from urllib.parse import quote, unquote

import pytest

from catalog.search.language.fields import SORTS as SORTS_OF_THE_LANGUAGE
from tests.ui import canned
from tests.ui.canned import ARTIFACT, EVIL, FAILED, HOSTILE, INDEX, LONG, POSTPONED, SHOP, WAITING, digest
from tests.ui.outline import Outline, assert_well_made
from tests.ui.site import Site
from ui.formats import browser
from ui.search import SORTS

#: Every page that shows something: its address, and a text that is on it.
PAGES = [
    ("/", "Pushed last"),
    ("/search?q=nginx", "61 repositories"),
    ("/search?q=nginx&page=2&sort=pushed", "Page 2 of 3"),
    ("/search?q=package:openssl", "deb/openssl@3.0.11-1"),
    ("/search?q=x&type=package", "@babel/core"),
    ("/search?q=x&type=layer", digest("layer 0")),
    ("/search?q=x&type=file", "/etc/nginx/nginx.conf"),
    ("/search?q=ngnix", "Did you mean"),
    ("/search?q=nothing", "Nothing was found"),
    ("/search", "61 repositories"),
    ("/r/shop", "The shop"),
    (f"/r/{LONG}", LONG),
    ("/r/shop/-/tags", "1.3.9"),
    ("/r/shop/-/tags?after=1.4", "From the beginning"),
    ("/r/shop/-/history", "was taken away"),
    ("/r/shop/-/history?tag=latest", "Where"),
    ("/r/shop/-/history?tag=never", "No tag of this name"),
    ("/r/shop:1.4.2", "Layers, from the bottom"),
    (f"/r/shop@{SHOP}", "Layers, from the bottom"),
    (f"/i/{SHOP}", "Layers, from the bottom"),
    (f"/i/{INDEX}?platform=linux/arm64", "Layers, from the bottom"),
    (f"/i/{WAITING}", "Being read."),
    (f"/i/{POSTPONED}", "goes on by itself: no room is left in the store."),
    (f"/i/{FAILED}", "its header at byte 512 is damaged"),
    (f"/i/{ARTIFACT}", "This manifest has no layers"),
    (f"/i/{EVIL}", "Not all of it was read"),
    (f"/i/{SHOP}/packages", "zope.interface"),
    (f"/i/{SHOP}/packages?find=ssl&ecosystem=deb&layer=4", "2 packages"),
    (f"/i/{SHOP}/packages?find=none-of-them", "None of its packages fits"),
    (f"/i/{EVIL}/packages?page=3", "page 3 of 3"),
    (f"/i/{WAITING}/packages", "when the image was read"),
    (f"/i/{FAILED}/packages", "could not be read"),
    (f"/i/{SHOP}/files", "entrypoint.sh"),
    (f"/i/{SHOP}/files?path=srv", "More entries"),
    (f"/i/{SHOP}/files?path=/srv/shop/", "onerror"),
    (f"/i/{SHOP}/files?path=tmp", "Empty."),
    (f"/i/{FAILED}/files", "could not be read"),
    (f"/i/{SHOP}/configuration", "How it runs"),
    (f"/i/{ARTIFACT}/configuration", "it has no image config"),
    (f"/i/{SHOP}/related", "team/shop-with-tools"),
    (f"/i/{SHOP}/related?bases=2&derived=2", "Page 2 of 2"),
    ("/compare?from=shop:1.3.9&to=shop:1.4.2&page=2", "Page 2 of 2"),
    ("/p/deb/openssl?versions=2", "Page 2 of 2"),
    (f"/i/{ARTIFACT}/related", "It has none"),
    (f"/i/{FAILED}/related", "team/shop-with-tools"),
    (f"/i/{FAILED}/related?derived=2", "team/shop-with-tools"),
    (f"/l/{digest('layer 1')}", "61"),
    (f"/l/{digest('blob 1')}?page=2", digest("layer 1")),
    ("/p/deb/openssl", "with any version"),
    ("/p/deb/openssl", "104 in all, the newest first"),
    ("/p/deb/openssl?version=%3C3.0.15", "with &lt;3.0.15"),
    ("/p/npm/@babel/core", "@babel/core"),
    (f"/p/npm/{quote(HOSTILE, safe='')}", "31 images"),
    ("/files", "Find files"),
    ("/files?path=/usr/lib/*", "31 images"),
    ("/files?path=nothing", "Look among the hidden ones"),
    ("/files?by=sha256&find=abc&deleted=yes", "31 images"),
    ("/compare", "Compare two images"),
    ("/compare?from=shop:1.3.9&to=shop:1.4.2", "zope.interface"),
    (f"/compare?from={SHOP}&to={WAITING}", "still being read"),
    (f"/compare?from={SHOP}&to={POSTPONED}", "still being read"),
    ("/sign-in", "Sign in"),
]
#: Pages of somebody who is signed in.
OWN = [
    ("/r/shop/-/settings", "Who may pull"),
    ("/r/shop/-/delete", "Type its name"),
    ("/r/shop/-/tag?of=1.4.2", "Another tag"),
    (f"/r/shop/-/tag?of={SHOP}", "Another tag"),
    ("/r/shop/-/untag?tag=1.4.2", "also tagged"),
    ("/r/ada/private", "No tag points to anything"),
    ("/account", "Change the password"),
    ("/account/tokens", "You have none yet"),
    ("/sign-out", "Sign out?"),
]
#: Pages that say why there is no answer.
REFUSALS = [
    ("/search?q=pakage:openssl", 400, "There is no field"),
    ("/search?q=broad", 400, "write more of the path"),
    ("/search?q=x&page=401", 400, "10,000"),
    ("/p/deb/openssl?version=%3C%3C", 400, "A version was expected"),
    (f"/compare?from={SHOP}&to={FAILED}", 400, "is damaged"),
    ("/compare?from=NOT+A+NAME&to=shop", 400, "is not a repository name"),
    ("/files?path=unavailable", 503, "it is being written anew"),
    ("/r/nobody/nothing", 404, "Not on this chart"),
    ("/r/NOT%20A%20NAME", 404, "Not on this chart"),
    ("/r/shop:never", 404, "Not on this chart"),
    ("/r/shop@sha256:x", 404, "Not on this chart"),
    ("/r/shop:", 404, "Not on this chart"),
    ("/i/sha256:x", 404, "Not on this chart"),
    (f"/i/{digest('none')}", 404, "Not on this chart"),
    (f"/i/{SHOP}/files?path=../../etc", 404, "Not on this chart"),
    (f"/l/{digest('none')}", 404, "Not on this chart"),
    ("/p/deb/none", 404, "Not on this chart"),
    ("/r/ada/private", 404, "Not on this chart"),
]


@pytest.mark.parametrize(("path", "told"), PAGES)
async def test_a_page_is_well_made_and_shows_what_it_is_for(site: Site, path: str, told: str) -> None:
    async with site.visitor() as client:
        answer = await client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert_well_made(answer.text)
    assert told in answer.text
    assert_harmless(answer.text)


@pytest.mark.parametrize(("path", "told"), OWN)
async def test_a_page_of_ones_own_is_well_made_too(site: Site, path: str, told: str) -> None:
    async with site.visitor("ada") as client:
        answer = await client.get(path)

    assert answer.status_code == 200
    assert_well_made(answer.text)
    assert told in answer.text
    assert_harmless(answer.text)


@pytest.mark.parametrize(("path", "status", "told"), REFUSALS)
async def test_a_refusal_is_a_page_with_a_reason_and_a_way_on(site: Site, path: str, status: int, told: str) -> None:
    async with site.visitor() as client:
        answer = await client.get(path)

    assert answer.status_code == status
    outline = assert_well_made(answer.text)
    assert told in html.unescape(answer.text)
    assert len(outline.all("a")) > 4
    assert (status == 503) == ("retry-after" in answer.headers)


def assert_harmless(page: str) -> None:
    """Check that what somebody pushed did not become an element; that no link leads to a script is checked for all."""
    assert "<img" not in page
    assert "<script>" not in page


async def test_hostile_texts_are_shown_as_they_are(site: Site) -> None:
    """Escaped, not removed: a reader sees what was pushed."""
    async with site.visitor() as client:
        for path in (
            f"/i/{SHOP}/configuration",
            f"/i/{EVIL}",
            f"/i/{EVIL}/packages",
            f"/i/{SHOP}/files?path=srv/shop",
            "/search?q=x&type=package",
            "/search?q=package:x",
            "/r/shop",
            "/compare?from=shop:1.3.9&to=shop:1.4.2",
            f"/p/npm/{quote(HOSTILE, safe='')}",
            f"/search?q={quote(HOSTILE, safe='')}",
            "/search/suggestions?q=x",
        ):
            outline = Outline((await client.get(path)).text)
            shown = outline.text + "".join(value or "" for _, each in outline.elements for value in each.values())
            assert "onerror=alert(2)" in shown, path


@pytest.mark.parametrize("part", ["manifest", "config"])
async def test_raw_documents_are_text_without_any_right(site: Site, part: str) -> None:
    async with site.visitor() as client:
        answer = await client.get(f"/i/{SHOP}/{part}")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "<script>" in answer.text  # the very bytes


async def test_the_query_error_marks_the_place_and_links_to_what_was_meant(site: Site) -> None:
    async with site.visitor() as client:
        page = (await client.get("/search?q=pakage:openssl")).text

    assert '<mark class="wrong">pakage</mark>:openssl' in page
    assert '\n<span aria-hidden="true">^^^^^^</span>' in page
    assert '<a href="/search?q=package%3Aopenssl"><code>package:openssl</code></a>' in page
    assert 'value="pakage:openssl"' in page


async def test_a_closed_search_says_so_and_the_first_page_still_opens(site: Site) -> None:
    site.browse.unavailable = True
    async with site.visitor() as client:
        search, first = await client.get("/search?q=nginx"), await client.get("/")

    assert search.status_code == 503
    assert search.headers["retry-after"] == "7"
    assert "the index is being written anew" in search.text
    assert first.status_code == 200
    assert_well_made(first.text)
    assert "Search is being set up" in first.text


def test_every_order_that_a_page_offers_is_one_of_the_language() -> None:
    for kind, offered in SORTS.items():
        assert {name for name, _ in offered} <= set(SORTS_OF_THE_LANGUAGE[kind])
        assert offered[0][0] == SORTS_OF_THE_LANGUAGE[kind][0]


async def test_a_suggestion_leads_to_the_repository_or_to_what_the_query_finds(site: Site) -> None:
    """The kind stands beside it: the text is the name alone."""
    async with site.visitor() as client:
        options = Outline((await client.get("/search/suggestions?q=ngi")).text)

    assert [each["data-go"] for each in options.all("li")][:3] == [
        "/r/nginx",
        "/search?q=package%3Adeb%2Fnginx",
        "/search?q=name%3A",
    ]
    assert options.text.split()[:2] == ["nginxrepository", "deb/nginxpackage"]


async def test_every_query_that_a_page_suggests_can_be_read(site: Site) -> None:
    from catalog.search.language import parse

    async with site.visitor("ada") as client:
        pages = [(await client.get(path)).text for path, _ in PAGES[:12] + OWN[:1]]
    queries = {
        html.unescape(query)
        for page in pages
        for query in re.findall(r'<a[^>]* href="/search\?q=[^"]*"><code>([^<]+)<', page)
    }

    assert len(queries) > 8
    for query in queries - {canned.HOSTILE}:
        parse(query)


async def test_while_an_image_is_being_read_its_page_asks_again_and_comes_anew_when_it_was(site: Site) -> None:
    async with site.visitor() as client:
        page = (await client.get(f"/i/{WAITING}")).text
        (asked,) = re.findall(r'hx-get="(/i/[^"]+/state[^"]*)"', page)
        waiting = await client.get(html.unescape(asked))
        read = await client.get(f"/i/{SHOP}/state")

    assert "Look again" in page  # without scripts
    assert waiting.status_code == 204
    assert "hx-refresh" not in waiting.headers
    assert read.headers["hx-refresh"] == "true"


async def test_a_declared_base_is_linked_only_where_whoever_looks_may_read_it(site: Site) -> None:
    async with site.visitor() as client:
        page = (await client.get(f"/i/{SHOP}/related")).text

    told = f'docker.io/library/debian:12-slim<span class="tag">@{digest("elsewhere")[7:19]}</span>'
    assert f"<span>{told}</span>" in page
    assert digest("elsewhere") not in page
    assert '>debian<span class="tag">:12-slim</span></a>' in page


@pytest.mark.parametrize(
    ("path", "ways"),
    [
        (f"/compare?from={SHOP}&to={EVIL}", ["packages=2#packages-title", "page=2#files-title"]),
        (f"/compare?from={SHOP}&to={EVIL}&page=2", ["page=2&packages=2#packages-title", f"to={EVIL}#files-title"]),
        (f"/compare?from={SHOP}&to={EVIL}&packages=2", [f"to={EVIL}#packages-title", "packages=2&page=2#files-title"]),
        ("/p/deb/openssl?version=<9", ["version=<9&page=2", "version=<9&versions=2#versions-title"]),
        ("/p/deb/openssl?versions=2", ["versions=2&page=2", "openssl#versions-title"]),
        ("/p/deb/openssl?page=2", ["openssl", "page=2&versions=2#versions-title"]),
        (f"/i/{SHOP}/related", ["related?bases=2#base-title", "related?derived=2#derived"]),
        (f"/i/{SHOP}/related?derived=2", ["related?derived=2&bases=2#base-title", "related#derived"]),
        (f"/i/{SHOP}/related?platform=linux/amd64", ["amd64&bases=2#base-title", "amd64&derived=2#derived"]),
    ],
)
async def test_what_a_list_cuts_can_be_paged_to_and_keeps_where_others_stand(
    site: Site, path: str, ways: list[str]
) -> None:
    async with site.visitor() as client:
        page = (await client.get(path)).text

    found = re.findall(r'<a rel="(?:prev|next)" href="([^"]*)"', page)
    told = [unquote(html.unescape(address)) for address in found]
    assert len(told) == len(ways)
    for address, way in zip(told, ways, strict=True):
        assert address.endswith(way), (address, way)


async def test_packages_that_differ_come_in_pages(site: Site) -> None:
    async with site.visitor() as client:
        pages = [(await client.get(f"/compare?from={SHOP}&to={EVIL}&packages={page}")).text for page in (1, 2)]

    found = [re.findall(r">dependency-(\d+)<", page) for page in pages]
    assert found[0] + found[1] == [str(number) for number in range(1200)]
    assert len(found[0]) == 996  # and four others before them
    assert all("1,204 differences" in page for page in pages)


async def test_a_name_in_an_address_is_believed_only_where_the_image_is_there_under_it(site: Site) -> None:
    """Whoever makes the link could call anything by a trusted name."""
    async with site.visitor() as client:
        true = Outline((await client.get(f"/i/{SHOP}?ref=team/mirror/shop:1.4.2")).text)
        false = Outline((await client.get(f"/i/{SHOP}?ref=trusted/bank:latest")).text)
        other = Outline((await client.get(f"/i/{SHOP}?ref=team/mirror/shop:latest")).text)

    assert "docker pull registry.test:5000/team/mirror/shop:1.4.2" in " ".join(true.text.split())
    assert "trusted/bank" not in false.text
    assert "team/mirror/shop:latest" not in other.text


@pytest.mark.parametrize(
    ("path", "badges"),
    [
        ("/search?q=nginx", 1),
        ("/search?q=package:openssl", 1),
        ("/search?q=x&type=package", 0),
        ("/r/team/mirror/shop", 1),
        ("/r/team/mirror/shop/-/tags", 1),
        ("/r/shop", 0),
        ("/r/shop/-/tags", 0),
        (f"/i/{SHOP}?ref=team/mirror/shop:1.4.2", 1),
        (f"/i/{SHOP}/packages?ref=team/mirror/shop:1.4.2", 1),
        (f"/i/{SHOP}?ref=shop:1.4.2", 0),
    ],
)
async def test_what_is_deprecated_has_a_badge_beside_its_name(site: Site, path: str, badges: int) -> None:
    """An image in several repositories has that of the one whose name it is shown by."""
    async with site.visitor() as client:
        page = (await client.get(path)).text

    names = re.findall(r'(?s)<(h[1-3]) class="(?:hit-)?name">(.*?)</\1>', page)
    assert sum(">deprecated</span>" in name for _, name in names) == badges
    assert page.count(">deprecated</span>") == badges


async def test_packages_that_belong_to_others_are_shown_when_asked_for(site: Site) -> None:
    async with site.visitor() as client:
        usual = (await client.get(f"/i/{SHOP}/packages")).text
        all_of_them = (await client.get(f"/i/{SHOP}/packages?owned=yes")).text

    assert "distro-info" not in usual
    assert "16 packages" in usual
    assert "pkg:deb/debian/python3-distro-info@1.5" in all_of_them
    assert "17 packages" in all_of_them


async def test_a_directory_is_given_alone_to_be_put_into_the_tree(site: Site) -> None:
    async with site.visitor() as client:
        part = (await client.get(f"/i/{SHOP}/files?path=srv&part=yes")).text

    assert "<html" not in part
    assert part.lstrip().startswith("<li")
    assert f"/i/{SHOP}/files?path=srv%2Fshop" in part


async def test_a_layer_is_drawn_as_wide_as_it_is_large(site: Site) -> None:
    async with site.visitor() as client:
        outline = Outline((await client.get(f"/i/{SHOP}")).text)

    strata = [each for each in outline.all("rect") if (each.get("class") or "").startswith("stratum")]
    widths = [float((each["width"] or "").rstrip("%")) for each in strata]
    assert len(strata) == 6
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert widths[3] == max(widths)
    assert min(widths) >= 0.5
    assert sum("based" in (each.get("class") or "") for each in strata) == 1


async def test_commands_say_what_plain_http_takes_and_leave_it_out_over_tls(site: Site) -> None:
    async with site.visitor() as plain, site.visitor(url="https://registry.test") as encrypted:
        over_http = " ".join(Outline((await plain.get("/r/shop")).text).text.split())
        over_tls = " ".join(Outline((await encrypted.get("/r/shop")).text).text.split())

    assert "podman pull --tls-verify=false registry.test:5000/shop:latest" in over_http
    assert "oras cp --from-plain-http" in over_http
    assert "podman pull registry.test/shop:latest" in over_tls
    assert "plain-http" not in over_tls
    assert "tls-verify" not in over_tls


async def test_an_artifact_is_not_offered_as_an_image_to_run(site: Site) -> None:
    """Its layers are files of some type: there is no history, no package, no root file system."""
    async with site.visitor() as client:
        page = (await client.get(f"/i/{ARTIFACT}")).text

    text = " ".join(Outline(page).text.split())
    assert "oras pull --plain-http registry.test:5000/shop@" in text
    assert "docker pull" not in text
    assert "/packages" not in page
    assert f"/i/{ARTIFACT}/configuration" in page


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
            " Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile"
            " Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("lynx/2.9", "lynx/2.9"),
        ("", "A browser that does not say its name"),
    ],
)
def test_browsers_are_called_as_people_call_them(agent: str, told: str) -> None:
    assert browser(agent) == told
