"""Templates: the environment that they are rendered in, and the answers that they become."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response

from ui import formats, markdown
from ui.headers import HEADERS
from ui.visits import FORM_TOKEN, Visit

_TEMPLATES = Path(__file__).parent / "templates"

_FILTERS = (
    formats.size,
    formats.signed_size,
    formats.number,
    formats.plural,
    formats.ago,
    formats.until,
    formats.moment,
    formats.machine_time,
    formats.short,
    formats.instruction,
    formats.mode,
    formats.command_line,
    formats.browser,
    formats.path_of,
    formats.counted,
    formats.sentence,
    markdown.rendered,
    markdown.described,
)


class Rendering:
    """Renders templates; everything that stands in them is escaped unless it was made to be HTML here."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update({each.__name__: each for each in _FILTERS})
        self._templates.globals.update(
            link=formats.link, share=formats.share, reference=formats.reference, form_token_name=FORM_TOKEN
        )

    def page(
        self,
        visit: Visit,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        /,
        **values: object,
    ) -> Response:
        """Return the page, or the part of one, that *template* makes of *values*."""
        text = self._templates.get_template(template).render(visit=visit, **{"box": "", **values})
        return HTMLResponse(text, status, {**HEADERS, **(headers or {})})
