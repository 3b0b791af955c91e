"""Documents, made of what the rows, the configs and the facts say at this moment.

    RepositoryDocument   its row, its tags, its newest manifests
    ImageDocument        its rows, those of the indexes that hold it, its config, what its layers hold
    LayerDocument        what the layer index knows of its blobs
    PackageDocument      the versions that images are found to hold

Nothing is kept between two documents. Who makes one that is to replace another must read the rows after whatever that
was made of: documents are made one after the other, by `ingest.worker` alone.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from cas import BlobStore, BlobUnknown, Digest, StorageFull
from cas.errors import LayerIndexUnavailable
from cas.layer_index.protocol import LayerIndex
from catalog.images.chains import history_names
from catalog.images.config import BASE_DIGEST, BASE_NAME, ImageConfig
from catalog.images.facts import Package
from catalog.images.manifests import ImageManifest, IndexManifest, Reference, read_manifest
from catalog.images.objects import BlobFacts
from catalog.metadata import documented, images, repositories
from catalog.metadata.repositories import Repository
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    RepositoryDocument,
)
from catalog.search.errors import SearchUnavailable
from database import Database, DatabaseError, DatabaseFull
from ingest.errors import FactsMissing, IngestError, StackUnreadable
from ingest.facts import Facts
from ingest.images import Contents, StoredManifest, config_of, find, known_contents
from ingest.standing import Standing, standing

_MONTH = 30 * 86_400
_AT_ONCE = 200
#: Tags of an image, and of the indexes above it, that its document has.
_MOST_TAGS = 2000
#: Of a repository, the tags that moved last whose platforms are shown.
_PLATFORMS_OF = 20
#: What is no image for a platform (BuildKit: "Image attestation storage").
_NO_PLATFORM = "unknown/unknown"
#: What licenses are joined by (SPDX specification, annex "SPDX license expressions").
_OPERATORS = {"AND", "OR", "WITH"}


class Made(NamedTuple):
    """The document of an image, and what else is to be written of its layers: what the blob of each is, and how many
    entries it has, by diff_id. What the layers hold is in no memory any more."""

    document: ImageDocument
    blobs: list[BlobFacts]
    entries: dict[str, int]


class Documents:
    """Makes documents."""

    def __init__(
        self, database: Database, store: BlobStore, facts: Facts, index: LayerIndex, default_namespace: str
    ) -> None:
        """Take repositories of *default_namespace*, which administrators alone push to, for official."""
        self._database = database
        self._store = store
        self._facts = facts
        self._index = index
        self._default_namespace = default_namespace

    async def repository(self, repository: Repository) -> RepositoryDocument:
        """Make the document of a repository."""
        database, row_id = self._database, repository.id
        pushed = max(await images.newest_push(database, row_id), await documented.last_move(database, row_id))
        return RepositoryDocument(
            id=row_id,
            name=repository.name.text,
            public=repository.public,
            description=repository.description,
            pulls=await images.pulls_since(database, row_id, time.time() - _MONTH),
            pulled=await documented.last_pull(database, row_id),
            pushed=pushed,
            created=repository.created,
            tags=await images.tag_count(database, row_id),
            platforms=await self._platforms(repository),
            official=self._is_official(repository),
            deprecated=repository.deprecated,
        )

    async def image(self, stored: StoredManifest, problem: str = "") -> Made | None:
        """Make the document of a manifest whose layers were read, unless *problem* says why they could not be; None for
        an index, which has none.

        Raises:
            StackUnreadable: what its layers hold is not known any more.
        """
        contents = None
        if stored.image is not None and not problem:
            contents = await self._known(stored)
            if contents is None:
                raise StackUnreadable("facts of layers were removed meanwhile")
        return await self._made(stored, contents, problem)

    async def _made(self, stored: StoredManifest, contents: Contents | None, problem: str) -> Made | None:
        if isinstance(stored.read, IndexManifest):
            return None
        config = ImageConfig()
        if stored.image is not None:
            try:
                config = await config_of(self._store, stored)
            except IngestError as error:
                problem = problem or explained(error)
        parents = await images.ancestors(self._database, stored.repository.id, stored.digest)
        tags = await images.tags_of(self._database, stored.repository.id, [stored.digest.text, *parents])
        pulls = await images.pulls_since(self._database, stored.repository.id, time.time() - _MONTH)

        def make() -> ImageDocument:
            return self._image(stored, config, contents, problem, parents, tags[:_MOST_TAGS], pulls)

        few = contents is None or len(contents.chain.hidden) < 1000
        document = make() if few else await asyncio.to_thread(make)
        return Made(document, [], {}) if contents is None else Made(document, contents.blobs, entries_of(contents))

    async def layer(self, diff_id: Digest, entries: int) -> LayerDocument:
        """Make the document of a layer that has so many *entries*.

        Raises:
            LayerIndexUnavailable: its blobs are not known at this moment.
        """
        digests = await self._index.compressions(diff_id)
        read = zip(digests, await self._index.blobs(digests), strict=True)
        blobs = [(digest, blob) for digest, blob in read if blob is not None]
        return LayerDocument(
            diff_id=diff_id.text,
            blobs={digest.text: blob.size for digest, blob in blobs},
            raw_size=max((blob.raw_size for _, blob in blobs), default=0),
            entries=entries,
        )

    async def known_image(self, repository: Repository, digest: str, *, whole: bool = False) -> Made | None:
        """Make the document of a manifest from what is known; None where there is to be none.

        Raises:
            FactsMissing: its layers were read, but what they hold is not there any more, and *whole* is on.
        """
        stored = await find(self._database, repository, Digest.parse(digest))
        if stored is None:
            return None
        contents, problem = await self._known(stored), ""
        if contents is None and stored.image is not None:
            waiting = await images.job(self._database, repository.id, digest)
            if whole and waiting is None and all(stored.has(layer) for layer in stored.image.layers if layer.is_layer):
                raise FactsMissing(digest)
            problem = "" if waiting is None else waiting.error
        return await self._made(stored, contents, problem)

    async def of_repository(
        self, repository: Repository, *, whole: bool = False
    ) -> AsyncIterator[RepositoryDocument | Made]:
        """Make the documents of a repository and of all that it holds.

        Raises:
            FactsMissing: see `known_image`.
        """
        yield await self.repository(repository)
        last = ""
        while digests := await documented.digests_after(self._database, repository.id, last, _AT_ONCE):
            last = digests[-1]
            for digest in digests:
                made = await self.known_image(repository, digest, whole=whole)
                if made is not None:
                    yield made

    async def count(self) -> int:
        """Tell about how many documents `all` will make: repositories and manifests, by far the most."""
        return sum(await documented.counts(self._database))

    async def all(self, *, whole: bool = False) -> AsyncIterator[Document]:
        """Make every document of the installation: repositories with their images, then layers, then packages.

        Raises:
            LayerIndexUnavailable: it is being rebuilt, or was not built yet.
            FactsMissing: see `known_image`.
        """
        entries: dict[str, int] = {}
        versions: dict[str, set[str]] = defaultdict(set)
        last = ""
        while page := await repositories.after(self._database, last, _AT_ONCE):
            last = page[-1].id
            for repository in page:
                async for made in self.of_repository(repository, whole=whole):
                    if isinstance(made, RepositoryDocument):
                        yield made
                        continue
                    yield made.document
                    entries |= made.entries
                    for name, version in packages_of(made.document):
                        versions[name].add(version)
        for diff_id, counted in entries.items():
            yield await self.layer(Digest.parse(diff_id), counted)
        for name, found in versions.items():
            yield package_document(name, found)

    async def _known(self, stored: StoredManifest) -> Contents | None:
        if stored.image is None:
            return None
        try:
            return await known_contents(self._facts, stored, await config_of(self._store, stored))
        except IngestError:
            return None

    async def _platforms(self, repository: Repository) -> list[str]:
        """List the platforms of the tags that moved last: an index tells them, an image's config does."""
        found: dict[str, None] = {}
        for tag in await images.newest_tags(self._database, repository.id, _PLATFORMS_OF):
            read = read_manifest(tag.content, tag.media_type)
            if isinstance(read, IndexManifest):
                found |= dict.fromkeys(child.platform for child in read.children)
            elif isinstance(read, ImageManifest) and read.is_image:
                stored = await find(self._database, repository, Digest.parse(tag.digest))
                if stored is not None:
                    try:
                        found[(await config_of(self._store, stored)).platform] = None
                    except IngestError:
                        continue
        return sorted(found.keys() - {"", _NO_PLATFORM})

    def _is_official(self, repository: Repository) -> bool:
        return repository.name.namespace == self._default_namespace

    def _image(
        self,
        stored: StoredManifest,
        config: ImageConfig,
        contents: Contents | None,
        problem: str,
        parents: list[str],
        tags: list[str],
        pulls: int,
    ) -> ImageDocument:
        repository, read = stored.repository, stored.read if isinstance(stored.read, ImageManifest) else None
        image = stored.image
        chain = None if contents is None else contents.chain
        diff_ids = [] if contents is None else [diff_id.text for diff_id in contents.diff_ids]
        packages = [] if chain is None else chain.packages
        files = Standing([], [], []) if chain is None else standing(chain)
        annotations = {} if read is None else read.annotations
        artifact_type = stored.media_type if read is None else read.artifact_type
        return ImageDocument(
            repository_id=repository.id,
            repository=repository.name.text,
            public=repository.public,
            digest=stored.digest.text,
            parents=parents,
            tags=tags,
            platform=config.platform,
            size=0 if read is None else read.size,
            pushed=stored.pushed,
            created=config.created,
            pulls=pulls,
            # What a manifest merely names shows nothing of who has it: layers are looked up by these digests.
            layers=[] if image is None else _digests(layer for layer in image.layers if stored.has(layer)),
            diff_ids=diff_ids,
            chains=[] if contents is None else [chain_id.text for chain_id in contents.chain_ids],
            histories=[] if contents is None else history_names(config, contents.diff_ids),
            packages=_named(packages),
            removed=[] if chain is None else _named(chain.removed),
            sources=_sources(packages),
            licenses=_licenses(packages),
            labels=config.labels,
            annotations=annotations,
            env=config.env_names,
            entrypoint=config.entrypoint,
            command=config.command,
            user=config.user,
            ports=config.ports,
            history=[entry.created_by for entry in config.history if entry.created_by],
            bases=_bases(annotations, config.labels),
            distro=None if chain is None or chain.distro is None else (chain.distro.id, chain.distro.version),
            distro_name="" if chain is None or chain.distro is None else chain.distro.name,
            artifact_type="" if image is not None else artifact_type,
            hidden=files.hidden,
            moved=files.moved,
            placed=files.placed,
            official=self._is_official(repository),
            deprecated=repository.deprecated,
            problem=problem,
        )


def explained(error: Exception) -> str:
    """Say why something could not be read or written, in words for whoever may read the image: what an engine, the
    system or an error of the program says is for the log."""
    match error:
        case IngestError():
            return str(error)
        case StorageFull(what=what):
            return f"no room is left in {what}"
        case LayerIndexUnavailable(reason=reason):
            return f"the layer index cannot be used: {reason}"
        case SearchUnavailable(reason=reason):
            return reason
        case DatabaseFull():
            return "no room is left in the database"
        case DatabaseError():
            return "the database does not answer"
        case BlobUnknown(digest=digest):
            return f"the blob {digest} is not stored"
    return "an error of the program, which is in the log"


def entries_of(contents: Contents) -> dict[str, int]:
    """Tell how many entries each layer of a stack has, by diff_id."""
    counted = zip(contents.diff_ids, contents.chain.layers, strict=True)
    return {diff_id.text: counts.entries for diff_id, counts in counted}


def packages_of(document: ImageDocument) -> list[tuple[str, str]]:
    """List the packages that a search for one of them by its versions must know: (``ecosystem/name``, version)."""
    return [*document.packages, *document.removed]


def package_document(name: str, versions: Iterable[str]) -> PackageDocument:
    """Make the document of the package ``ecosystem/name``."""
    ecosystem, _, rest = name.partition("/")
    return PackageDocument(ecosystem=ecosystem, name=rest, versions=sorted(set(versions)))


def _digests(layers: Iterable[Reference]) -> list[str]:
    return [layer.digest.text for layer in layers]


def _named(packages: Iterable[Package]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((f"{each.ecosystem}/{each.name}", each.version) for each in packages))


def _sources(packages: Iterable[Package]) -> list[tuple[str, str]]:
    return list(
        dict.fromkeys(
            (f"{each.ecosystem}/{each.source or each.name}", each.source_version or each.version) for each in packages
        )
    )


def _licenses(packages: Iterable[Package]) -> list[str]:
    """List the licenses that expressions are made of; what is no expression stands as it is."""
    texts = dict.fromkeys(license_text for package in packages for license_text in package.licenses)
    found: dict[str, None] = {}
    for text in texts:
        words = [word for word in re.split(r"[()\s]+", text) if word]
        if len(words) % 2 and all((word in _OPERATORS) == position % 2 for position, word in enumerate(words)):
            found |= dict.fromkeys(words[::2])
        elif words:
            found[text] = None
    return list(found)


def _bases(*said: dict[str, str]) -> list[str]:
    """Return what annotations, or else labels, say that the image was built on (OCI image specification,
    annotations.md, "Pre-Defined Annotation Keys")."""
    for texts in said:
        name, digest = texts.get(BASE_NAME, "").strip(), texts.get(BASE_DIGEST, "").strip()
        if name or digest:
            return [f"{name}@{digest}" if name and digest else name or digest]
    return []
