"""Repositories as the hub sees them: what access asks of them, and what their owners may do with them."""

from __future__ import annotations

from cas import Digest, RepositoryName, Tag
from catalog import garbage
from catalog.errors import ManifestUnknown
from catalog.metadata import manifests, repositories, tags
from catalog.metadata.repositories import Repository
from database import Conflict, Database, Transaction


class Repositories:
    """The repositories of one hub. `auth.access` asks it who may see what, without knowing what a repository is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_public(self, name: RepositoryName) -> bool | None:
        """Tell whether everybody may pull from it; None when there is no such repository."""
        return await repositories.is_public(self._database, name)

    async def find(self, name: RepositoryName) -> Repository:
        """Return the repository.

        Raises:
            RepositoryUnknown: there is none of that name.
        """
        return await repositories.find(self._database, name)

    async def list(self) -> list[Repository]:
        """Return all of them by name, for whoever runs the service."""
        return await repositories.everything(self._database)

    async def pull_count(self, repository: Repository) -> int:
        """Tell how often something was pulled from it."""
        return await repositories.pull_count(self._database, repository)

    async def change(
        self,
        name: RepositoryName,
        *,
        public: bool | None = None,
        description: str | None = None,
        deprecated: bool | None = None,
    ) -> Repository:
        """Set what is not None, and return the repository as it is then.

        Raises:
            RepositoryUnknown: there is none of that name.
        """
        return await self._database.write(
            lambda tx: repositories.change(tx, name, public=public, description=description, deprecated=deprecated)
        )

    async def delete(self, name: RepositoryName) -> None:
        """Delete it with its tags, manifests and links, at once; its blobs go when nothing else refers to them.

        Raises:
            RepositoryUnknown: there is none of that name.
        """

        async def remove(tx: Transaction) -> None:
            await garbage.condemn_unlinked(tx, await repositories.remove(tx, name))

        await self._database.write(remove)

    async def tag(self, name: RepositoryName, digest: Digest, tag: Tag, subject: str) -> None:
        """Point *tag* to a manifest that the repository has already; *subject* is who does it.

        Raises:
            ManifestUnknown: there is none of that digest in it, or no such repository.
        """

        async def work(tx: Transaction) -> None:
            found = await manifests.stat(tx, name, digest)
            await tags.move(tx, found.repository_id, name, tag, digest, subject)

        try:
            await self._database.write(work)
        except Conflict:  # it was deleted between our look and the move
            raise ManifestUnknown(name, digest) from None

    async def untag(self, name: RepositoryName, tag: Tag, subject: str) -> None:
        """Take a tag away; what it points to stays. *subject* is who does it.

        Raises:
            RepositoryUnknown: there is no such repository.
            TagUnknown: there is no such tag in it.
        """

        async def work(tx: Transaction) -> None:
            repository = await repositories.find(tx, name)
            await tags.remove(tx, repository.id, name, tag, subject)

        await self._database.write(work)
