"""Signing in and all that is sent: sessions, forged forms, redirects, one's own account."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.fingerprints import new_secret
from auth.sessions import PREFIX
from catalog.metadata import repositories
from catalog.names import RepositoryName
from tests.ui.outline import Outline, assert_well_made
from tests.ui.site import PASSWORD, URL, Site, form_token, submit
from ui.forms import from_this_site, safe_return
from ui.repository_changes import LONGEST_DESCRIPTION

NEW = "another quite long password"


async def signed_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/account")).status_code == 200


# Signing in and out.


async def test_signing_in_leads_back_to_where_one_was(site: Site) -> None:
    async with site.visitor() as client:
        asked = await client.get("/account/tokens?changed=x")
        assert (asked.status_code, asked.headers["location"]) == (
            303,
            "/sign-in?next=%2Faccount%2Ftokens%3Fchanged%3Dx",
        )
        form = await client.get(asked.headers["location"])
        (onward,) = [each["value"] for each in Outline(form.text).all("input") if each.get("name") == "next"]

        done = await submit(client, "/sign-in", name="ada", password=PASSWORD, next=onward or "")

        assert (done.status_code, done.headers["location"]) == (303, "/account/tokens?changed=x")
        assert await signed_in(client)
        assert (await client.get("/sign-in?next=/files")).headers["location"] == "/files"


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "wrong"), ("nobody", PASSWORD), ("", PASSWORD), ("ada", ""), ("ADA!", PASSWORD), ("ada\0", PASSWORD)],
)
async def test_wrong_credentials_are_refused_alike(site: Site, name: str, password: str) -> None:
    async with site.visitor() as client:
        refused = await submit(client, "/sign-in", name=name, password=password)

        assert refused.status_code == 401
        assert_well_made(refused.text)
        assert "do not go together" in refused.text
        assert password == "" or password not in refused.text
        assert not await signed_in(client)


async def test_a_token_does_not_open_the_pages(site: Site) -> None:
    """A session would be wider than the token, and outlive it."""
    async with site.visitor("ada") as client:
        made = await submit(client, "/account/tokens", name="x", rights="narrowed", scopes="*:pull", lifetime="7")
        (secret,) = re.findall(r"ptl_[0-9A-Za-z]+", made.text)
    async with site.visitor() as client:
        refused = await submit(client, "/sign-in", name="ada", password=secret)

        assert refused.status_code == 401
        assert "Tokens are for clients" in refused.text
        assert secret not in refused.text
        assert not await signed_in(client)


async def test_too_many_wrong_passwords_cost_a_wait(site: Site) -> None:
    async with site.visitor() as client:
        for _ in range(5):
            assert (await submit(client, "/sign-in", name="ada", password="wrong")).status_code == 401
        refused = await submit(client, "/sign-in", name="ada", password=PASSWORD)

        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert_well_made(refused.text)
        assert not await signed_in(client)
    async with site.visitor("ada", address="192.0.2.99") as elsewhere:
        assert await signed_in(elsewhere)


async def test_signing_out_ends_the_session_itself(site: Site) -> None:
    """Not the cookie alone: whoever has a copy of it is out, too."""
    async with site.visitor("ada") as client, site.visitor() as thief:
        thief.cookies.set("portolan", client.cookies["portolan"])
        assert await signed_in(thief)

        done = await submit(client, "/sign-out", page="/")

        assert (done.status_code, done.headers["location"]) == (303, "/")
        assert "portolan" not in client.cookies
        assert not await signed_in(thief)


async def test_an_address_alone_signs_nobody_out(site: Site) -> None:
    async with site.visitor("ada") as client:
        assert (await client.get("/sign-out")).status_code == 200
        assert await signed_in(client)


async def test_who_is_disabled_is_out_at_once(site: Site) -> None:
    async with site.visitor("bob") as client:
        await site.people.set_disabled("bob", True)

        assert not await signed_in(client)
        assert "Sign in" in (await client.get("/")).text


async def test_a_session_that_was_there_before_is_never_taken_over(site: Site) -> None:
    """Somebody may have put it there who knows it."""
    planted = new_secret(PREFIX)
    async with site.visitor() as client:
        client.cookies.set("portolan", planted)
        await submit(client, "/sign-in", name="ada", password=PASSWORD)
        assert client.cookies.get("portolan", domain="registry.test") != planted
    async with site.visitor() as attacker:
        attacker.cookies.set("portolan", planted)
        assert not await signed_in(attacker)


async def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    async with site.visitor("ada") as client:
        before = client.cookies["portolan"]
        token = form_token((await client.get("/")).text)
        done = await client.post("/sign-in", data={"form-token": token, "name": "bob", "password": PASSWORD})
        assert done.status_code == 303

        assert await site.sessions.caller(before) is None
        caller = await site.sessions.caller(client.cookies["portolan"])
        assert caller is not None
        assert caller.name == "bob"


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(site: Site) -> None:
    async with site.visitor() as client:
        plain = (await submit(client, "/sign-in", name="ada", password=PASSWORD)).headers.get_list("set-cookie")
    async with site.visitor(url="https://registry.test") as client:
        encrypted = (await submit(client, "/sign-in", name="ada", password=PASSWORD)).headers.get_list("set-cookie")

    (cookie,) = [each for each in plain if each.startswith("portolan=")]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    (cookie,) = [each for each in encrypted if each.startswith("__Host-portolan=")]
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_a_cookie_of_the_plain_name_is_not_heard_over_tls(site: Site) -> None:
    """Over plain HTTP anybody on the way can set that one; `__Host-` only a page over TLS."""
    async with site.visitor("ada") as client:
        secret = client.cookies["portolan"]
    async with site.visitor(url="https://registry.test") as client:
        client.cookies.set("portolan", secret)
        assert not await signed_in(client)


# Where one is sent to.


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test", "/\\evil.test", "\\\\evil.test", "https://evil.test", "javascript:alert(1)", "/\t/evil.test",
        "/\n/evil.test", " //evil.test", "/%0d%0aSet-Cookie:x", "///evil.test", "/é", "x", "", "/" + "a" * 3000,
        "/sign-in", "/sign-out", "http:/evil.test", "/\u2028", "/..//evil.test\\",
    ],
)  # fmt: skip
async def test_no_other_site_is_led_to_after_signing_in(site: Site, target: str) -> None:
    async with site.visitor() as client:
        done = await submit(client, "/sign-in", name="ada", password=PASSWORD, next=target)

    assert done.status_code == 303
    location = done.headers["location"]
    assert location == "/" or location.startswith("/%0d")
    assert str(httpx.URL(URL).join(location)).startswith(f"{URL}/")


@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"[/\\:.\t\n@?#a-z]{0,12}", fullmatch=True))
def test_whatever_is_asked_for_one_stays_within_the_site(target: str) -> None:
    onward = safe_return(target)

    assert onward.startswith("/")
    assert not onward.startswith(("//", "/\\"))
    assert not set(onward) & set("\\\t\r\n\0")
    assert httpx.URL(URL).join(onward).host == "registry.test"


# Forged forms.

FORMS = [
    ("/sign-in", {"name": "ada", "password": PASSWORD}),
    ("/sign-out", {}),
    ("/account/password", {"current": PASSWORD, "new": NEW, "again": NEW}),
    ("/account/sessions", {}),
    ("/account/tokens", {"name": "x", "rights": "all", "lifetime": "0"}),
    ("/account/tokens/00000000-0000-0000-0000-000000000000/revoke", {}),
    ("/r/shop/-/settings", {"description": "x", "visibility": "public"}),
    ("/r/shop/-/delete", {"confirm": "shop"}),
    ("/r/shop/-/tag", {"of": "1.4.2", "tag": "x"}),
    ("/r/shop/-/untag", {"tag": "1.4.2"}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
async def test_a_form_without_the_sessions_token_changes_nothing(site: Site, path: str, fields: dict[str, str]) -> None:
    async with site.visitor("ada") as client, site.visitor("ada") as other:
        foreign = form_token((await other.get("/account")).text)
        for token in (
            {"other": "x"},
            {"form-token": ""},
            {"form-token": "x"},
            {"form-token": "é" * 64},
            {"form-token": foreign},
        ):
            refused = await client.post(path, data={**fields, **token})
            assert refused.status_code == 403
            assert "This form was not accepted" in refused.text
        assert_well_made(refused.text)
        assert await signed_in(client)


ELSEWHERE = [
    {"origin": "https://evil.test"},
    {"origin": "null"},
    {"origin": "http://registry.test"},  # another port is another site
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site", "origin": URL},
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
async def test_a_form_that_another_site_sent_changes_nothing(site: Site, path: str, fields: dict[str, str]) -> None:
    """Even with the right token."""
    async with site.visitor("ada") as client:
        token = form_token((await client.get("/account")).text)
        for headers in ELSEWHERE:
            refused = await client.post(path, data={**fields, "form-token": token}, headers=headers)
            assert refused.status_code == 403, headers
        assert await signed_in(client)


def test_what_browsers_say_of_where_a_form_comes_from() -> None:
    assert from_this_site({"host": "a.test", "sec-fetch-site": "same-origin"}, "b.test")
    assert from_this_site({"host": "a.test", "sec-fetch-site": "same-origin", "origin": "null"}, "b.test")
    assert from_this_site({"host": "a.test", "origin": "https://a.test"}, "b.test")
    assert from_this_site({"host": "a.test", "origin": "https://b.test"}, "b.test")
    assert from_this_site({"host": "a.test"}, "b.test")  # the token decides
    assert not from_this_site({"host": "a.test", "origin": "https://a.test.evil.test"}, "b.test")
    assert not from_this_site({"host": "a.test", "origin": "https://a.test@evil.test"}, "b.test")
    assert not from_this_site({"host": "a.test", "origin": ""}, "b.test")


async def test_nobody_is_signed_in_by_a_form_that_somebody_else_made(site: Site) -> None:
    """The form of signing in is tied to the browser that it was given to."""
    async with site.visitor() as attacker, site.visitor() as victim:
        token = form_token((await attacker.get("/sign-in")).text)
        await victim.get("/sign-in")
        refused = await victim.post("/sign-in", data={"form-token": token, "name": "bob", "password": PASSWORD})

        assert refused.status_code == 403
        assert not await signed_in(victim)


@pytest.mark.parametrize(("path", "fields"), FORMS[1:])
async def test_nobody_in_particular_may_send_what_needs_a_person(site: Site, path: str, fields: dict[str, str]) -> None:
    async with site.visitor() as client:
        answer = await submit(client, path, page="/sign-in", **fields)

        assert answer.status_code == (303 if path == "/sign-out" else 401)


# What one may do with repositories.


async def test_each_change_asks_for_the_right_that_the_registry_asks_for(site: Site) -> None:
    """`bob` may read the public repository and no more; of the private one he is not told."""
    for name in ("library/shop", "ada/private"):
        await site.database.write(
            lambda tx, name=name: repositories.ensure(tx, RepositoryName(name), public=name == "library/shop")  # type: ignore[misc]
        )
    async with site.visitor("bob") as client:
        for path, fields in FORMS[6:]:
            refused = await submit(client, path, page="/account", **fields)
            assert refused.status_code == 403
            assert "Not yours to do" in refused.text
            assert (await client.get(path, params={"tag": "1.4.2", "of": "1.4.2"})).status_code == 403
            hidden = await submit(client, path.replace("/shop/", "/ada/private/"), page="/account", **fields)
            assert hidden.status_code == 404
            absent = await submit(client, path.replace("/shop/", "/ada/absent/"), page="/account", **fields)
            assert _without_header(hidden.text) == _without_header(absent.text)
    found = await repositories.find(site.database, RepositoryName("library/shop"))
    assert (found.public, found.description) == (True, "")


def _without_header(page: str) -> str:
    return re.sub(r"(?s)<header.*?</header>", "", page)


async def test_the_description_and_who_may_pull_are_changed(site: Site) -> None:
    name = RepositoryName("library/shop")
    await site.database.write(lambda tx: repositories.ensure(tx, name, public=True))
    async with site.visitor("ada") as client:
        done = await submit(client, "/r/shop/-/settings", description="# One\r\ntwo <b>", visibility="private")
        assert (done.status_code, done.headers["location"]) == (303, "/r/shop")
        assert (await repositories.find(site.database, name))[2:4] == (False, "# One\ntwo <b>")

        for text, told in (("x" * (LONGEST_DESCRIPTION + 1), "at most 25,000"), ("a\0b", "NUL")):
            refused = await submit(client, "/r/shop/-/settings", description=text, visibility="public")
            assert refused.status_code == 422
            assert_well_made(refused.text)
            assert told in refused.text
        longest = "é" * LONGEST_DESCRIPTION
        assert (await submit(client, "/r/shop/-/settings", description=longest)).status_code == 303
        assert (await repositories.find(site.database, name))[2:4] == (False, longest)


async def test_a_repository_is_deprecated_and_no_longer_with_the_box(site: Site) -> None:
    name = RepositoryName("library/shop")
    await site.database.write(lambda tx: repositories.ensure(tx, name, public=True))
    async with site.visitor("ada") as client:
        for given, deprecated in (({"deprecated": "yes"}, True), ({}, False)):
            done = await submit(client, "/r/shop/-/settings", description="x", visibility="public", **given)
            assert done.status_code == 303
            found = await repositories.find(site.database, name)
            assert (found.public, found.description, found.deprecated) == (True, "x", deprecated)

        kept = await submit(client, "/r/shop/-/settings", description="a\0b", deprecated="yes")
        assert kept.status_code == 422
        assert 'name="deprecated" value="yes" checked' in kept.text
        assert not (await repositories.find(site.database, name)).deprecated
        # The canned answers: nobody advises against the one, and somebody does against the other.
        for path, checked in (("/r/shop/-/settings", False), ("/r/ada/old/-/settings", True)):
            shown = (await client.get(path)).text
            assert ('name="deprecated" value="yes" checked' in shown) == checked
            assert 'name="deprecated" value="yes"' in shown


async def test_a_repository_goes_only_where_its_name_was_typed(site: Site) -> None:
    name = RepositoryName("library/shop")
    await site.database.write(lambda tx: repositories.ensure(tx, name, public=True))
    async with site.visitor("ada") as client:
        refused = await submit(client, "/r/shop/-/delete", confirm="shopp")
        assert refused.status_code == 422
        assert_well_made(refused.text)
        assert await repositories.is_public(site.database, name)

        done = await submit(client, "/r/shop/-/delete", confirm="shop")
        assert done.status_code == 200
        assert_well_made(done.text)
        assert await repositories.is_public(site.database, name) is None


# One's own account.


async def test_a_changed_password_signs_out_every_other_browser(site: Site) -> None:
    async with site.visitor("ada") as here, site.visitor("ada", address="192.0.2.2") as there:
        before = here.cookies["portolan"]
        done = await submit(here, "/account/password", page="/account", current=PASSWORD, new=NEW, again=NEW)

        assert (done.status_code, done.headers["location"]) == (303, "/account?changed=password")
        assert "Your password was changed" in (await here.get(done.headers["location"])).text
        assert await site.sessions.caller(before) is None
        assert not await signed_in(there)
    async with site.visitor() as client:
        assert (await submit(client, "/sign-in", name="ada", password=PASSWORD)).status_code == 401
        assert (await submit(client, "/sign-in", name="ada", password=NEW)).status_code == 303


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"current": "wrong"}, "current", "This is not your password"),
        ({"new": "short", "again": "short"}, "new", "t least"),
        ({"again": "different"}, "again", "differ"),
        ({"current": ""}, "current", "This is not your password"),
    ],
)
async def test_a_password_that_cannot_be_changed_stays(
    site: Site, fields: dict[str, str], field: str, told: str
) -> None:
    async with site.visitor("ada") as client:
        sent = {"current": PASSWORD, "new": NEW, "again": NEW} | fields
        refused = await submit(client, "/account/password", page="/account", **sent)

        assert refused.status_code == 422
        outline = assert_well_made(refused.text)
        (named,) = [each for each in outline.all("input") if each.get("aria-invalid") == "true"]
        assert named["id"] == field
        assert told in refused.text
        assert NEW not in refused.text
        assert await signed_in(client)


async def test_the_password_is_not_to_be_guessed_here_either(site: Site) -> None:
    async with site.visitor("ada") as client:
        for _ in range(5):
            await submit(client, "/account/password", page="/account", current="wrong", new=NEW, again=NEW)
        refused = await submit(client, "/account/password", page="/account", current=PASSWORD, new=NEW, again=NEW)

    assert refused.status_code == 429
    assert "retry-after" in refused.headers


async def test_all_other_browsers_are_signed_out_at_once(site: Site) -> None:
    async with site.visitor("ada") as here, site.visitor("ada") as there, site.visitor("bob") as bob:
        assert "Sign out all others" in (await here.get("/account")).text
        await submit(here, "/account/sessions", page="/account")

        assert await signed_in(here)
        assert not await signed_in(there)
        assert await signed_in(bob)


async def test_a_token_is_shown_once_and_then_only_its_name(site: Site) -> None:
    async with site.visitor("ada") as client:
        made = await submit(
            client,
            "/account/tokens",
            name="build <b>server",
            rights="narrowed",
            scopes="ada/*:pull,push",
            lifetime="90",
        )
        assert made.status_code == 201
        assert_well_made(made.text)
        (secret,) = set(re.findall(r"ptl_[0-9A-Za-z]+", made.text))
        caller = await site.tokens.personal(secret)
        assert str(caller.limits) == "repository:ada/*:pull,push"

        listed = await client.get("/account/tokens")
        assert_well_made(listed.text)
        assert secret not in listed.text
        assert "build &lt;b&gt;server" in listed.text
        assert "in 2 months" in listed.text

        (path,) = re.findall(r'href="(/account/tokens/[^"]+/revoke)"', listed.text)
        assert_well_made((await client.get(path)).text)
        done = await submit(client, path)
        assert done.headers["location"] == "/account/tokens?changed=revoked"
        assert "build &lt;b&gt;server" not in (await client.get("/account/tokens")).text
        assert (await submit(client, path, page="/account")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": "everything"}, "scopes"),
        ({"scopes": ""}, "scopes"),
        ({"lifetime": "12"}, "lifetime"),
        ({"lifetime": ""}, "lifetime"),
    ],
)
async def test_a_token_that_cannot_be_made_is_told_beside_its_field(
    site: Site, fields: dict[str, str], field: str
) -> None:
    async with site.visitor("ada") as client:
        sent = {"name": "x", "rights": "narrowed", "scopes": "*:pull", "lifetime": "7"} | fields
        refused = await submit(client, "/account/tokens", **sent)

        assert refused.status_code == 422
        outline = assert_well_made(refused.text)
        (named,) = [each for _, each in outline.elements if each.get("aria-invalid") == "true"]
        assert named["id"] == field
        assert "You have none yet" in refused.text


async def test_nobody_revokes_what_is_somebody_elses(site: Site) -> None:
    async with site.visitor("ada") as ada, site.visitor("bob") as bob:
        await submit(ada, "/account/tokens", name="x", rights="all", lifetime="0")
        (path,) = re.findall(r'href="(/account/tokens/[^"]+/revoke)"', (await ada.get("/account/tokens")).text)

        assert (await bob.get(path)).status_code == 303
        assert (await submit(bob, path, page="/account")).status_code == 404
        assert "never used" in (await ada.get("/account/tokens")).text
