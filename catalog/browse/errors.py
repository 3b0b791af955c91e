"""All that a question to `Browse` can end in beside an answer, for packages that know neither bytes nor tables."""

from cas.errors import LayerIndexUnavailable
from catalog.errors import (
    CatalogError,
    ImageUnknown,
    ImageUnread,
    LayerUnknown,
    ManifestUnknown,
    PackageUnknown,
    PathUnknown,
    RepositoryUnknown,
    TagUnknown,
)
from catalog.search.errors import OutOfWindow, QueryError, SearchUnavailable, TooBroad
from database import DatabaseFull, DatabaseUnavailable

__all__ = [
    "CatalogError",
    "DatabaseFull",
    "DatabaseUnavailable",
    "ImageUnknown",
    "ImageUnread",
    "LayerIndexUnavailable",
    "LayerUnknown",
    "ManifestUnknown",
    "OutOfWindow",
    "PackageUnknown",
    "PathUnknown",
    "QueryError",
    "RepositoryUnknown",
    "SearchUnavailable",
    "TagUnknown",
    "TooBroad",
]
