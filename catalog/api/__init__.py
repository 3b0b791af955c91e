"""The JSON API under ``/api/v1``: what people and their programs do with repositories beside pushing and pulling."""

from catalog.api.problems import problem
from catalog.api.repositories import routes

__all__ = ["problem", "routes"]
