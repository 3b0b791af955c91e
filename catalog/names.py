"""The names that readers of the catalog send, for packages that are to know no bytes: parsed once, at the door."""

from cas import Digest, InvalidDigest, InvalidName, InvalidRepositoryName, InvalidTag, RepositoryName, Tag

__all__ = ["Digest", "InvalidDigest", "InvalidName", "InvalidRepositoryName", "InvalidTag", "RepositoryName", "Tag"]
