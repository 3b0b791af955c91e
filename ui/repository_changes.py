"""What owners do with a repository on its pages. What destroys asks first."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from starlette.responses import RedirectResponse, Response

from auth.access import Access
from auth.errors import NotPermitted
from catalog.browse import Browse
from catalog.browse.errors import RepositoryUnknown, TagUnknown
from catalog.names import Digest, InvalidName, RepositoryName, Tag
from ui.formats import path_of
from ui.headers import HEADERS
from ui.rendering import Rendering
from ui.visits import Visit

#: Characters of a description, at most, as in the API.
LONGEST_DESCRIPTION = 25_000


class Owned(Protocol):
    """What the catalog does for owners (`catalog.repositories`)."""

    async def change(
        self,
        name: RepositoryName,
        *,
        public: bool | None = None,
        description: str | None = None,
        deprecated: bool | None = None,
    ) -> object:
        """Set what is not None. Raises: RepositoryUnknown."""

    async def delete(self, name: RepositoryName) -> None:
        """Delete it with all that is in it. Raises: RepositoryUnknown."""

    async def tag(self, name: RepositoryName, digest: Digest, tag: Tag, subject: str) -> None:
        """Point *tag* to what is in it already. Raises: ManifestUnknown."""

    async def untag(self, name: RepositoryName, tag: Tag, subject: str) -> None:
        """Take a tag away. Raises: RepositoryUnknown, TagUnknown."""


class RepositoryChanges:
    """The forms below ``/r/NAME/-/``. Each handler asks for the right that the registry asks for the same thing."""

    def __init__(
        self, rendering: Rendering, browse: Browse, repositories: Owned, access: Access, default_namespace: str
    ) -> None:
        self._rendering = rendering
        self._browse = browse
        self._repositories = repositories
        self._access = access
        self._default_namespace = default_namespace

    async def settings(self, visit: Visit) -> Response:
        """`GET /r/NAME/-/settings`: description, visibility, whether it is deprecated, the way to its end."""
        name = await self._may(visit, "*", "only its owner changes a repository")
        answer = await self._browse.repository(visit.caller, name)
        return self._settings(visit, answer, answer.description, answer.public, answer.deprecated)

    async def change(self, visit: Visit) -> Response:
        """`POST /r/NAME/-/settings`."""
        name = await self._may(visit, "*", "only its owner changes a repository")
        description = visit.form.get("description", "").replace("\r\n", "\n").replace("\r", "\n")
        public = visit.form.get("visibility") == "public"
        deprecated = visit.form.get("deprecated") == "yes"
        if len(description) > LONGEST_DESCRIPTION or "\0" in description:
            answer = await self._browse.repository(visit.caller, name)
            told = (
                f"A description has at most {LONGEST_DESCRIPTION:,} characters; this one has {len(description):,}."
                if "\0" not in description
                else "A description must not hold the character NUL."
            )
            return self._settings(visit, answer, description, public, deprecated, told)
        await self._repositories.change(name, public=public, description=description, deprecated=deprecated)
        return self._back(name)

    async def delete_form(self, visit: Visit) -> Response:
        """`GET /r/NAME/-/delete`: what would go, and a question."""
        name = await self._may(visit, "*", "only its owner deletes a repository")
        answer = await self._browse.repository(visit.caller, name)
        return self._rendering.page(visit, "repository_delete.html", repository=answer, error="")

    async def delete(self, visit: Visit) -> Response:
        """`POST /r/NAME/-/delete`: where its name was typed, and nowhere else."""
        name = await self._may(visit, "*", "only its owner deletes a repository")
        typed = visit.form.get("confirm", "").strip()
        if typed not in (name.text, name.short(self._default_namespace)):
            answer = await self._browse.repository(visit.caller, name)
            told = "Nothing was deleted: the name that you typed is another one."
            return self._rendering.page(visit, "repository_delete.html", 422, repository=answer, error=told)
        await self._repositories.delete(name)
        return self._rendering.page(
            visit,
            "done.html",
            heading="The repository was deleted",
            text=f"{name.short(self._default_namespace)} is gone, with its tags and images. Bytes that nothing else"
            " refers to are removed within the next hours.",
            onward="/",
            onward_text="Back to the first page",
        )

    async def tag_form(self, visit: Visit) -> Response:
        """`GET /r/NAME/-/tag?of=…`: give an image another tag."""
        name = await self._may(visit, "push", "only who may push sets a tag")
        of = visit.parameter("of", 200)
        return await self._tag_form(visit, name, of, "", "", 200)

    async def tag(self, visit: Visit) -> Response:
        """`POST /r/NAME/-/tag`: the same manifest under another tag, which is moved if it is there."""
        name = await self._may(visit, "push", "only who may push sets a tag")
        of, typed = visit.form.get("of", ""), visit.form.get("tag", "").strip()
        try:
            tag = Tag.parse(typed)
        except InvalidName as error:
            return await self._tag_form(visit, name, of, typed, f"A tag: {error.rule}.", 422)
        digest = await self._browse.resolve(visit.caller, name, of)
        await self._repositories.tag(name, digest, tag, visit.caller.person_id)
        return self._back(name)

    async def untag_form(self, visit: Visit) -> Response:
        """`GET /r/NAME/-/untag?tag=…`: a question."""
        name = await self._may(visit, "delete", "only who may delete takes a tag away")
        answer = await self._browse.repository(visit.caller, name)
        tag = Tag.parse(visit.parameter("tag", 128))
        digest = await self._browse.resolve(visit.caller, name, tag.text)
        others = [row.name for row in answer.tags if row.digest == digest.text and row.name != tag.text]
        return self._rendering.page(
            visit, "tag_delete.html", repository=answer, tag=tag.text, digest=digest.text, others=others
        )

    async def untag(self, visit: Visit) -> Response:
        """`POST /r/NAME/-/untag`: the tag goes, what it points to stays."""
        name = await self._may(visit, "delete", "only who may delete takes a tag away")
        tag = Tag.parse(visit.form.get("tag", ""))
        with suppress(TagUnknown):  # sent twice, or somebody else was quicker: it is gone, as was asked
            await self._repositories.untag(name, tag, visit.caller.person_id)
        return self._back(name)

    async def _may(self, visit: Visit, action: str, told: str) -> RepositoryName:
        """Return the repository that the address names, where the visitor may do *action* to it.

        Raises:
            SignInNeeded: nobody is signed in.
            RepositoryUnknown: there is none, or they may not see it.
            NotPermitted: they may see it, and no more.
        """
        caller = visit.require()
        name = RepositoryName.parse(visit.request.path_params["name"], self._default_namespace)
        actions = await self._access.actions(caller, name)
        if "pull" not in actions:
            raise RepositoryUnknown(name)
        if action not in actions:
            raise NotPermitted(told)
        return name

    async def _tag_form(
        self, visit: Visit, name: RepositoryName, of: str, typed: str, error: str, status: int
    ) -> Response:
        answer = await self._browse.repository(visit.caller, name)
        digest = await self._browse.resolve(visit.caller, name, of)
        return self._rendering.page(
            visit, "tag_add.html", status, repository=answer, of=of, digest=digest.text, typed=typed, error=error
        )

    def _settings(
        self, visit: Visit, answer: object, description: str, public: bool, deprecated: bool, error: str = ""
    ) -> Response:
        return self._rendering.page(
            visit,
            "repository_settings.html",
            422 if error else 200,
            repository=answer,
            description=description,
            public=public,
            deprecated=deprecated,
            error=error,
            longest=LONGEST_DESCRIPTION,
            may_push=True,
            may_delete=True,
            may_own=True,
        )

    def _back(self, name: RepositoryName) -> Response:
        return RedirectResponse(f"/r/{path_of(name.short(self._default_namespace))}", 303, HEADERS)
