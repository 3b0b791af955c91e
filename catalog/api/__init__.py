"""The JSON API under ``/api/v1``: what people and their programs ask and do beside pushing and pulling.

Handlers parse, ask `catalog.browse` or `catalog.repositories` one question, and write the answer. Answers are the same
values that pages show.
"""

from catalog.api.application import api_application
from catalog.api.services import ApiServices

__all__ = ["ApiServices", "api_application"]
