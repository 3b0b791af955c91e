"""Repositories as the hub sees them: what access asks of them, and what their owners may do with them."""

from __future__ import annotations

from cas import RepositoryName
from catalog import garbage
from catalog.metadata import repositories
from catalog.metadata.repositories import Repository
from database import Database, Transaction


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
        self, name: RepositoryName, *, public: bool | None = None, description: str | None = None
    ) -> Repository:
        """Set what is not None, and return the repository as it is then.

        Raises:
            RepositoryUnknown: there is none of that name.
        """
        return await self._database.write(
            lambda tx: repositories.change(tx, name, public=public, description=description)
        )

    async def delete(self, name: RepositoryName) -> None:
        """Delete it with its tags, manifests and links, at once; its blobs go when nothing else refers to them.

        Raises:
            RepositoryUnknown: there is none of that name.
        """

        async def remove(tx: Transaction) -> None:
            await garbage.condemn_unlinked(tx, await repositories.remove(tx, name))

        await self._database.write(remove)
