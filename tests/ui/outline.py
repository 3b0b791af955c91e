"""What of a page its readers' programs go by, and what holds for every page."""

from __future__ import annotations

from html.parser import HTMLParser

#: Elements that have no end.
_VOID = frozenset(("br", "hr", "img", "input", "link", "meta", "wbr"))


class Outline(HTMLParser):
    """The elements of a page in their order, its text, and which elements were never closed or never opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.astray: list[str] = []
        self._open: list[str] = []
        self._labels: list[dict[str, str | None]] = []
        self.wrapped: list[dict[str, str | None]] = []  # fields that stand in their label
        self.feed(page)
        self.astray += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag in ("input", "select", "textarea") and "label" in self._open:
            self.wrapped.append(attributes)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.astray.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.elements if each == tag]


def assert_well_made(page: str) -> Outline:
    """Check what holds for every page: nothing that the policy forbids, nothing from elsewhere that is loaded, one
    heading, labels, a language, a width, elements that are closed, names that are not used twice."""
    outline = Outline(page)
    assert outline.astray == []
    assert outline.all("html")[0]["lang"] == "en"
    assert len(outline.all("h1")) == 1
    assert any(meta.get("name") == "viewport" for meta in outline.all("meta"))
    assert [script.get("src") for script in outline.all("script")] == ["/static/htmx.min.js", "/static/portolan.js"]
    for forbidden in ("style", "iframe", "object", "embed", "base", "img"):
        assert not outline.all(forbidden)
    for tag, attributes in outline.elements:
        assert "style" not in attributes
        assert not any(name.startswith(("on", "hx-on")) for name in attributes)
        assert not any("js:" in (value or "") for name, value in attributes.items() if name.startswith("hx-"))
        for name in ("src", "href", "action", "hx-get", "formaction", "data-go"):
            place = attributes.get(name)
            if place is None:
                continue
            if tag == "a" and (attributes.get("rel") or "").startswith("nofollow"):  # what somebody wrote
                assert place.startswith(("http://", "https://", "mailto:"))
            else:
                assert place.startswith(("/", "#"))
                assert not place.startswith("//")
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), sorted(name or "" for name in ids if ids.count(name) > 1)
    labelled = {label["for"] for label in outline.all("label") if "for" in label}
    for field in outline.all("input") + outline.all("select") + outline.all("textarea"):
        if field.get("type") == "hidden" or "hidden" in field:
            continue
        assert field in outline.wrapped or field["id"] in labelled
        assert set((field.get("aria-describedby") or "").split()) <= set(ids)
    return outline
