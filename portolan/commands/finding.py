"""``portolan search``, ``images``, ``image``, ``layer``, ``package`` and ``diff``: questions to a server's catalog."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from portolan import remote
from portolan.command import MISTAKE, Failure
from portolan.commands.output import json_option, show, show_json, visibility, when
from portolan.remote import Server
from portolan.terminal import printable

_server_option = click.option("--server", metavar="URL", help="Another server than that of the last `portolan login`.")
_page_option = click.option("--page", type=click.IntRange(1, 10_000), default=1, help="Which page, from 1.")
_size_option = click.option("-n", "--size", type=click.IntRange(1, 100), default=25, help="Hits of a page.")
_platform_option = click.option("--platform", metavar="OS/ARCH", help="Which image of an index.")

_TYPES = ("repository", "image", "package", "layer", "file")
_SHORT = 19  # of a digest: sha256: and twelve characters, as docker shows them


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--type", "kind", type=click.Choice(_TYPES), help="What to find; by default what the query is about.")
@click.option("--sort", metavar="NAME", help="The order: best, pushed, size, …; docs/search.md lists them.")
@_page_option
@_size_option
@_server_option
@json_option
def search(
    query: tuple[str, ...], kind: str | None, sort: str | None, page: int, size: int, server: str | None, as_json: bool
) -> None:
    """Find repositories, images, packages, layers and files.

    QUERY is words and conditions: nginx, package:openssl<3.0.7, label:team=payments, file:log4j.jar, base:debian:12.
    Words that begin with a dash come after --.
    """
    _search(" ".join(query), kind, sort, page, size, server, as_json=as_json)


@click.command()
@click.argument("query", nargs=-1, required=True)
@_page_option
@_size_option
@_server_option
@json_option
def images(query: tuple[str, ...], page: int, size: int, server: str | None, as_json: bool) -> None:
    """List the images that a query finds, such as package:openssl<3.0.7 or layer:sha256:…"""
    _search(" ".join(query), "image", None, page, size, server, as_json=as_json)


@click.command()
@click.argument("reference")
@_platform_option
@click.option("--packages", is_flag=True, help="List its packages, with the layer that brought each.")
@_server_option
@json_option
def image(reference: str, platform: str | None, packages: bool, server: str | None, as_json: bool) -> None:
    """Show one image: NAME, NAME:TAG, NAME@DIGEST or a digest."""
    with _server(server) as asked:
        path = f"/api/v1/images/{_digest(asked, reference)}"
        chosen = {} if platform is None else {"platform": platform}
        if packages:
            found = asked.request("GET", f"{path}/packages", params=chosen)
            shown = _show_packages
        else:
            found = asked.request("GET", path, params=chosen)
            shown = _show_image
    if as_json:
        show_json(found)
    else:
        shown(found)


@click.command()
@click.argument("digest")
@_page_option
@_size_option
@_server_option
@json_option
def layer(digest: str, page: int, size: int, server: str | None, as_json: bool) -> None:
    """List the images that contain a layer: the digest of its blob, or its diff_id."""
    with _server(server) as asked:
        found = asked.request("GET", f"/api/v1/layers/{quote(digest, safe=':')}", params={"page": page, "size": size})
    if as_json:
        show_json(found)
        return
    known = f"{_size(found['size'])}, {found['entries']} entries" if found["diff_id"] else "not read"
    click.echo(f"Layer {found['diff_id'] or digest}: {known}")
    _show_images(found["images"], found["image_count"], found["page"], found["page_size"])


@click.command()
@click.argument("ecosystem")
@click.argument("name")
@click.option("--version", "wanted", metavar="RANGE", default="", help="A version or a range: '<3.0.7', '>=1,<2'.")
@click.option(
    "--versions-page", type=click.IntRange(1, 10_000), default=1, help="Which hundred of the versions, from 1."
)
@_page_option
@_size_option
@_server_option
@json_option
def package(
    ecosystem: str,
    name: str,
    wanted: str,
    versions_page: int,
    page: int,
    size: int,
    server: str | None,
    as_json: bool,
) -> None:
    """List a package's versions, and the images that hold it.

    ECOSYSTEM is the type of its purl: deb, apk, pypi, npm, golang.
    """
    path = f"/api/v1/packages/{quote(ecosystem, safe='')}/{quote(name, safe='/')}"
    with _server(server) as asked:
        parameters = {"version": wanted, "page": page, "size": size, "versions_page": versions_page}
        found = asked.request("GET", path, params=parameters)
    if as_json:
        show_json(found)
        return
    rows = [(each["version"], each["images"]) for each in found["versions"]]
    show(("Version", "Images"), rows, empty="No version of it is in that range, or on that page.")
    _show_rest("versions", versions_page, len(rows), 100, found["version_count"], "--versions-page")
    _show_images(found["images"], found["image_count"], found["page"], found["page_size"])


@click.command()
@click.argument("before")
@click.argument("after")
@_platform_option
@_page_option
@click.option("-n", "--size", type=click.IntRange(1, 1000), default=1000, help="Files of a page.")
@_server_option
@json_option
def diff(
    before: str, after: str, platform: str | None, page: int, size: int, server: str | None, as_json: bool
) -> None:
    """Compare two images: layers, packages, config, and, in pages, files."""
    parameters = {"from": before, "to": after, "page": page, "size": size}
    parameters |= {} if platform is None else {"platform": platform}
    with _server(server) as asked:
        found = asked.request("GET", "/api/v1/diff", params=parameters)
    if as_json:
        show_json(found)
        return
    shared, gone, new = (len(found[each]) for each in ("shared", "only_before", "only_after"))
    click.echo(
        f"{_size(found['size_before'])} → {_size(found['size_after'])}; layers: {shared} shared, -{gone}, +{new}"
    )
    packages = [(each["ecosystem"], each["name"], each["before"], each["after"]) for each in found["packages"]]
    show(("Ecosystem", "Package", "Before", "After"), packages, empty="The packages are the same.")
    config = [(each["name"], each["before"], each["after"]) for each in found["config"]]
    show(("Config", "Before", "After"), config, empty="The configs are the same.")
    files = [
        (each["change"], f"/{each['path']}", _or_dash(each["before"]), _or_dash(each["after"]))
        for each in found["files"]
    ]
    same = "No file is on that page." if found["file_count"] else "The files are the same."
    show(("Change", "File", "Before", "After"), files, empty="; ".join(found["limits_reached"]) or same)
    _show_rest("files", page, len(files), size, found["file_count"], "--page")


def _search(
    query: str, kind: str | None, sort: str | None, page: int, size: int, server: str | None, *, as_json: bool
) -> None:
    parameters = {"q": query, "page": page, "size": size, "facets": False, "type": kind, "sort": sort}
    with _server(server) as asked:
        found = asked.request("GET", "/api/v1/search", params={k: v for k, v in parameters.items() if v is not None})
    if as_json:
        show_json(found)
        return
    hits = found["hits"]
    rows: list[tuple[object, ...]]
    match found["type"]:
        case "repository":
            rows = [(h["name"], visibility(h), h["pulls"], when(h["pushed"] or None), _line(h)) for h in hits]
            show(("Repository", "Visibility", "Pulls", "Pushed", "Description"), rows, empty=_nothing(found))
        case "image":
            _show_images(hits, None, page, size, empty=_nothing(found))
        case "package":
            rows = [(h["ecosystem"], h["name"], h["images"], ", ".join(h["versions"][:5])) for h in hits]
            show(("Ecosystem", "Package", "Images", "Versions"), rows, empty=_nothing(found))
        case "layer":
            rows = [(h["diff_id"], _size(h["size"]), h["entries"], h["images"]) for h in hits]
            show(("Layer", "Size", "Entries", "Images"), rows, empty=_nothing(found))
        case _:
            rows = [(f"/{h['path']}", _size(h["size"]), h["diff_id"][:_SHORT], h["images"]) for h in hits]
            show(("File", "Size", "Layer", "Images"), rows, empty=_nothing(found))
    if found["total"] > len(hits):
        more = "more than " if found["more"] else ""
        click.echo(f"Page {page}: {len(hits)} of {more}{found['total']}.", err=True)


def _show_rest(what: str, page: int, shown: int, size: int, total: int, option: str) -> None:
    """Say which page of a list was shown, where there are others, and how to see these."""
    if total > shown:
        further = f"; {option} {page + 1} shows more" if page * size < total else ""
        click.echo(f"Page {page}: {shown} of {total} {what}{further}.", err=True)


def _nothing(found: dict[str, Any]) -> str:
    told = "Nothing that you may see matches."
    return f"{told} Did you mean {found['corrected']}?" if found.get("corrected") else told


def _show_images(
    hits: list[dict[str, Any]], total: int | None, page: int, size: int, empty: str = "No image that you may see."
) -> None:
    rows = [
        (_named(h), h["digest"][:_SHORT], h["platform"], h["distro"], _size(h["size"]), when(h["pushed"] or None))
        for h in hits
    ]
    show(("Image", "Digest", "Platform", "Distribution", "Size", "Pushed"), rows, empty=empty)
    if total is not None and total > len(hits):
        click.echo(f"Page {page}: {len(hits)} of {total} images.", err=True)


def _named(hit: dict[str, Any]) -> str:
    tags = hit["tags"]
    shown = ",".join(tags[:3]) + (f" +{len(tags) - 3}" if len(tags) > 3 else "")
    return f"{hit['repository']}:{shown}" if tags else str(hit["repository"])


def _show_image(found: dict[str, Any]) -> None:
    names = [f"{place['repository']}:{tag}" for place in found["places"] for tag in place["tags"]]
    hidden_tags = sum(place["tag_count"] - len(place["tags"]) for place in found["places"])
    hidden_bases = found["base_count"] - sum(1 for each in found["base"] if each["certainty"] == "layers")
    counted = ", ".join(f"{number} {name}" for name, number in sorted(found["packages"].items())) or "none"
    state = found["state"]
    about = [
        ("Digest", found["digest"]),
        ("Names", (", ".join(names) or "none") + _more(hidden_tags)),
        ("Repositories", found["place_count"]),
        ("Platform", found["platform"]),
        ("Distribution", found["distro"] or "unknown"),
        ("Size", _size(found["size"])),
        ("Pushed", when(found["pushed"] or None)),
        ("Packages", counted),
        ("Base", (", ".join(_relation(each) for each in found["base"]) or "unknown") + _more(hidden_bases)),
        ("Derived images", found["derived_count"]),
        ("State", state["problem"] or state["name"]),
    ]
    show(("", ""), about, empty="")
    layers = [
        (
            each["index"],
            each["digest"][:_SHORT],
            _size(each["size"]),
            each["images"],
            each["unread"] or each["created_by"],
        )
        for each in found["layers"]
    ]
    show(("Layer", "Digest", "Size", "Images", "Made by"), layers, empty="It has no layers.")


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _relation(each: dict[str, Any]) -> str:
    # What is only declared may have no name: its digest says which image is meant.
    tags = f":{each['tags'][0]}" if each["tags"] else f"@{each['digest'][:_SHORT]}" if not each["repository"] else ""
    return f"{each['repository']}{tags} ({each['certainty']})"


def _show_packages(found: dict[str, Any]) -> None:
    rows = [
        (each["ecosystem"], each["name"], each["version"], each["layer"]["index"], ", ".join(each["licenses"]))
        for each in found["packages"]
        if not each["owned_by"]
    ]
    show(("Ecosystem", "Package", "Version", "Layer", "Licenses"), rows, empty="No packages were found in it.")
    for reached in found["limits_reached"]:
        click.echo(printable(f"Not everything was read: {reached}"), err=True)


def _digest(asked: Server, reference: str) -> str:
    if reference.startswith(("sha256:", "sha512:")):
        return quote(reference, safe=":")
    return str(asked.request("GET", "/api/v1/resolve", params={"image": reference})["digest"])


def _server(url: str | None) -> Server:
    login = remote.current(url)
    if login is not None:
        return Server(login.url, token=login.token)
    if url is None:
        raise Failure("no server: sign in with `portolan login`, or name one with --server", MISTAKE)
    return Server(remote.normalised(url))


def _line(hit: dict[str, Any]) -> str:
    first = str(hit["description"]).strip().partition("\n")[0]
    return first if len(first) <= 60 else first[:59] + "…"


def _or_dash(size: int | None) -> str:
    return "–" if size is None else _size(size)


def _size(count: int) -> str:
    """Write a size in the units of the pages."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
