"""Answers that a catalog could give, rich and awkward ones among them, for tests of how pages show them.

What the pages do on a real catalog is tried in `test_pages_in_a_browser`. Here are the cases that a real one gives
rarely: long names, hostile texts, failures, more of everything than fits.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

from auth.callers import Caller
from cas import Digest, RepositoryName
from cas.errors import LayerIndexUnavailable
from catalog.browse.answers import (
    Chip,
    ConfigAnswer,
    DiffAnswer,
    Elsewhere,
    Facet,
    FacetValue,
    FileChange,
    FileHit,
    FileRow,
    FilesAnswer,
    FoundFileRow,
    FoundFilesAnswer,
    Hit,
    HitType,
    ImageAnswer,
    ImageHit,
    LayerAnswer,
    LayerHit,
    LayerRow,
    PackageAnswer,
    PackageChange,
    PackageHit,
    Piece,
    Place,
    PlacesAnswer,
    PlatformRow,
    Relation,
    RelationsAnswer,
    RepositoryAnswer,
    RepositoryHit,
    SearchAnswer,
    State,
    Step,
    Suggestion,
    TagHistoryAnswer,
    TagMove,
    TagRow,
    TagsAnswer,
    ValueChange,
    VersionRow,
)
from catalog.errors import (
    ImageUnknown,
    ImageUnread,
    LayerUnknown,
    ManifestUnknown,
    PackageUnknown,
    PathUnknown,
    RepositoryUnknown,
)
from catalog.images.report import LayerReference, PackageRow, PackagesAnswer, ReadLayerRow, RemovedPackageRow
from catalog.search.errors import OutOfWindow, QueryError, SearchUnavailable, TooBroad

HOUR, DAY = 3600, 86_400
MIB = 1 << 20


def digest(of: str) -> str:
    """A digest that *of* stands for."""
    return "sha256:" + hashlib.sha256(of.encode()).hexdigest()


SHOP, INDEX, WAITING, POSTPONED, FAILED, ARTIFACT, EVIL, OLDER = (
    digest(name) for name in ("shop", "index", "waiting", "postponed", "failed", "artifact", "evil", "older")
)

#: What somebody pushes who tries what a page lets through.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
#: As long as names may be.
LONG = "platform-engineering/internal-developer-tools/" + "continuous-integration-" * 8 + "runner"

DESCRIPTION = f"""# The shop

Sells **charts** and instruments. Built from `debian:12-slim` each night; see the
[handbook](https://handbook.test/shop "how to run it").

## Running it

```
docker run --publish 8080:8080 --env DATABASE_URL shop
```

| variable | what for |
| --- | --- |
| `DATABASE_URL` | where orders are kept |
| `SMTP_HOST` | who sends the bills |

1. Migrate
2. Start

> Never run two of them on one database.

![a picture](https://elsewhere.test/picture.png) [no](javascript:alert(3)) {HOSTILE}
"""

_INSTRUCTIONS = [
    ("/bin/sh -c #(nop) ADD file:4b1be1de1a1e5aa608c688cad2824587262081866180d7368feb79d33ca05953 in / ", 28.2, 74.8),
    (
        "RUN /bin/sh -c apt-get update && apt-get install --yes --no-install-recommends ca-certificates openssl"
        " python3 python3-venv && rm -rf /var/lib/apt/lists/* # buildkit",
        31.6,
        98.0,
    ),
    ("COPY requirements.txt /srv/shop/ # buildkit", 0.0006, 0.002),
    ("RUN /bin/sh -c pip install --no-cache-dir --requirement /srv/shop/requirements.txt # buildkit", 48.9, 160.3),
    (
        "RUN /bin/sh -c apt-get update && apt-get install --yes --only-upgrade openssl libssl3 && apt-get purge --yes"
        " python3-venv && rm -rf /var/lib/apt/lists/* " + "&& true " * 30 + "# buildkit",
        6.1,
        9.2,
    ),
    ("COPY --chown=shop:shop . /srv/shop # buildkit", 3.4, 11.0),
]


def layers() -> list[LayerRow]:
    """Six layers of a usual image."""
    rows = []
    for index, (created_by, size, raw) in enumerate(_INSTRUCTIONS):
        rows.append(
            LayerRow(
                index=index,
                digest=digest(f"blob {index}"),
                diff_id=digest(f"layer {index}"),
                media_type="application/vnd.oci.image.layer.v1.tar+gzip",
                size=int(size * MIB),
                raw_size=int(raw * MIB),
                created_by=created_by,
                unread="",
                entries=[8241, 3102, 1, 9120, 318, 214][index],
                added=[8241, 2890, 1, 9120, 12, 214][index],
                changed=[0, 212, 0, 0, 204, 0][index],
                deleted=[0, 0, 0, 0, 102, 0][index],
                wasted=[0, 0, 0, 0, int(5.2 * MIB), 0][index],
                installed=[
                    [f"package-{n}" for n in range(78)],
                    ["ca-certificates", "openssl", "python3", "python3.11"],
                    [],
                    ["django", "gunicorn", "psycopg", "requests", "urllib3"],
                    [],
                    [],
                ][index],
                upgraded=[[], [], [], [], ["libssl3", "openssl"], []][index],
                removed=[[], [], [], [], ["python3-venv", "python3.11-venv"], []][index],
                images=[214, 12, 3, 3, 2, 1][index],
            )
        )
    return rows


def _reference(index: int) -> LayerReference:
    return LayerReference(index, digest(f"blob {index}"), digest(f"layer {index}"))


def packages() -> list[PackageRow]:
    """The packages of that image."""
    rows = []
    deb = [
        ("adduser", "3.134", 0, "", ["GPL-2.0-only"]),
        ("apt", "2.6.1", 0, "", ["GPL-2.0-or-later"]),
        ("base-files", "12.4+deb12u9", 0, "", ["GPL-2.0-or-later"]),
        ("bash", "5.2.15-2+b7", 0, "bash 5.2.15-2", ["GPL-3.0-or-later"]),
        ("ca-certificates", "20230311", 1, "", ["GPL-2.0-or-later", "MPL-2.0"]),
        (
            "libc6",
            "2.36-9+deb12u9",
            0,
            "glibc",
            ["LGPL-2.1-or-later", "GPL-2.0-or-later", "BSD-3-Clause", "ISC", "MIT"],
        ),
        ("libssl3", "3.0.15-1~deb12u1", 4, "openssl", ["Apache-2.0"]),
        ("openssl", "3.0.15-1~deb12u1", 4, "", ["Apache-2.0"]),
        ("python3.11", "3.11.2-6+deb12u4", 1, "", ["PSF-2.0"]),
        ("zlib1g", "1:1.2.13.dfsg-1", 0, "zlib 1:1.2.13.dfsg-1", ["Zlib"]),
    ]
    for name, version, layer, source, licenses in deb:
        rows.append(
            PackageRow(
                f"pkg:deb/debian/{name}@{version}",
                "deb",
                name,
                version,
                source,
                licenses,
                _reference(layer),
                ["/var/lib/dpkg/status"],
                "",
            )
        )
    for name, version in [
        ("django", "5.1.3"),
        ("gunicorn", "23.0.0"),
        ("psycopg", "3.2.3"),
        ("requests", "2.32.3"),
        ("urllib3", "2.2.3"),
        ("zope.interface", "7.1.1"),
    ]:
        rows.append(
            PackageRow(
                f"pkg:pypi/{name}@{version}",
                "pypi",
                name,
                version,
                "",
                ["MIT"],
                _reference(3),
                [f"/usr/lib/python3/{name}"],
                "",
            )
        )
    rows.append(
        PackageRow(
            "pkg:pypi/distro-info@1.5",
            "pypi",
            "distro-info",
            "1.5",
            "",
            ["ISC"],
            _reference(1),
            ["/usr/lib/python3/dist-packages"],
            "pkg:deb/debian/python3-distro-info@1.5",
        )
    )
    return rows


_FILES = [
    FileRow("bin", "bin", "symlink", 0, 0o777, 0, 0, 1_700_000_000, "usr/bin", "", 0),
    *(
        FileRow(name, name, "directory", 0, 0o755, 0, 0, 1_700_000_000, "", "", 0)
        for name in ("etc", "home", "srv", "tmp", "usr", "var")
    ),
    FileRow("entrypoint.sh", "entrypoint.sh", "file", 1204, 0o755, 1000, 1000, 1_700_000_000, "", digest("e")[7:], 5),
    FileRow(
        "with spaces and " + "a very long name " * 6 + ".txt",
        "long.txt",
        "file",
        12,
        0o644,
        0,
        0,
        0,
        "",
        digest("l")[7:],
        5,
    ),
]


def image_hit(
    repository: str = "shop", tags: tuple[str, ...] = ("1.4.2", "1.4", "latest"), **changes: object
) -> ImageHit:
    """A hit, with *changes*."""
    hit = ImageHit(
        repository,
        SHOP,
        list(tags),
        "linux/amd64",
        int(118.2 * MIB),
        int(time.time()) - 3 * HOUR,
        "debian 12",
        True,
        False,
        6,
        94,
        [],
        [Piece(repository)],
    )
    return replace(hit, **changes)  # type: ignore[arg-type]


def repository_hits() -> list[RepositoryHit]:
    now = int(time.time())
    platforms = ["linux/amd64", "linux/arm64"]

    def hit(
        name: str,
        description: str,
        marked: list[Piece] | None = None,
        *,
        public: bool = True,
        official: bool = False,
        deprecated: bool = False,
        pulls: int = 0,
        ago: int = HOUR,
        tags: int = 1,
        on: list[str] | None = None,
    ) -> RepositoryHit:
        return RepositoryHit(
            name,
            description,
            public,
            official,
            deprecated,
            pulls,
            now - ago,
            tags,
            on or ["linux/amd64"],
            marked or [Piece(name)],
            [],
        )

    return [
        hit(
            "nginx",
            "The official image of the web server and reverse proxy.",
            [Piece("nginx", True)],
            official=True,
            pulls=48_211,
            ago=2 * DAY,
            tags=212,
            on=[*platforms, "linux/arm/v7", "linux/ppc64le", "linux/s390x"],
        ),
        hit(
            "ada/nginx-gateway",
            "Our gateway: **nginx** with the modules that we need, and [ModSecurity](https://modsecurity.test).",
            [Piece("ada/"), Piece("nginx", True), Piece("-gateway")],
            public=False,
            pulls=311,
            ago=3 * HOUR,
            tags=24,
            on=platforms,
        ),
        hit(
            "team/payments/nginx-sidecar",
            "",
            [Piece("team/payments/"), Piece("nginx", True), Piece("-sidecar")],
            public=False,
            deprecated=True,
            pulls=3,
            ago=40 * DAY,
            tags=1,
        ),
        hit(LONG, "A name as long as they get. " * 12, ago=400 * DAY),
        hit("ada/hostile", HOSTILE),
    ]


def repository(name: str = "shop", **changes: object) -> RepositoryAnswer:
    now = int(time.time())
    rows = [
        TagRow(
            tag,
            digest(of),
            "application/vnd.oci.image.index.v1+json",
            now - ago,
            int(118.2 * MIB),
            on,
            State(state, "The layer is no tar archive." if state == "failed" else ""),
        )
        for tag, of, ago, on, state in [
            ("1.5.0-rc1", "waiting", 4, ["linux/amd64"], "waiting"),
            ("latest", "shop", 3 * HOUR, ["linux/amd64", "linux/arm64"], "read"),
            ("1.4.2", "shop", 3 * HOUR, ["linux/amd64", "linux/arm64"], "read"),
            ("1.4", "shop", 3 * HOUR, ["linux/amd64", "linux/arm64"], "read"),
            ("1.3.9", "older", 9 * DAY, ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"], "read"),
            ("broken", "failed", 30 * DAY, ["linux/amd64"], "failed"),
            ("a-tag-that-is-as-long-as-tags-may-be-" + "x" * 91, "older", 90 * DAY, ["linux/amd64"], "read"),
        ]
    ]
    answer = RepositoryAnswer(
        name,
        True,
        False,
        False,
        DESCRIPTION,
        now - 200 * DAY,
        now - 4,
        12_345,
        811,
        int(1.7 * 1024 * MIB),
        len(rows),
        rows,
        ["*", "delete", "pull", "push"],
    )
    return replace(answer, **changes)  # type: ignore[arg-type]


def image(**changes: object) -> ImageAnswer:
    now = int(time.time())
    config = ConfigAnswer(
        created=now - 4 * HOUR,
        author="",
        user="shop",
        env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "SECRET_FREE=yes"],
        entrypoint=["/entrypoint.sh"],
        command=["gunicorn", "--bind", "0.0.0.0:8080", "shop.wsgi"],
        working_dir="/srv/shop",
        ports=["8080/tcp"],
        volumes=["/srv/shop/media"],
        stop_signal="SIGTERM",
        labels={
            "org.opencontainers.image.source": "https://git.test/shop",
            "team": "payments",
            "hostile": HOSTILE,
            "long": "value " * 80,
        },
        history=[Step(0, row.created_by, "", row.index) for row in layers()]
        + [Step(0, 'CMD ["gunicorn"]', "buildkit.dockerfile.v0", None)],
    )
    answer = ImageAnswer(
        digest=SHOP,
        index=INDEX,
        media_type="application/vnd.oci.image.manifest.v1+json",
        artifact_type="",
        platform="linux/amd64",
        platforms=[
            PlatformRow("linux/amd64", SHOP, int(118.2 * MIB), ""),
            PlatformRow("linux/arm64", digest("arm"), int(115 * MIB), ""),
            PlatformRow("unknown/unknown", digest("att"), 3, "application/vnd.in-toto"),
        ],
        size=int(118.2 * MIB),
        raw_size=int(353.3 * MIB),
        files=20_412,
        pushed=now - 3 * HOUR,
        pulls=811,
        distro="debian 12",
        state=State("read"),
        places=[
            Place("shop", ["1.4.2", "1.4", "latest"], now - 3 * HOUR, False, 3),
            Place("team/mirror/shop", ["1.4.2"], now - HOUR, True, 1),
        ],
        place_count=2,
        layers=layers(),
        config=config,
        config_digest=digest("config"),
        annotations={"org.opencontainers.image.base.name": "docker.io/library/debian:12-slim", "hostile": HOSTILE},
        packages={"deb": 88, "pypi": 6},
        removed_packages=2,
        base=[
            Relation("debian", ["12-slim"], digest("debian"), "linux/amd64", 1, "layers", True),
            Relation("docker.io/library/debian:12-slim", [], digest("elsewhere"), "", 0, "declared", False),
        ],
        base_count=31,
        derived=[Relation("team/shop-with-tools", ["nightly"], digest("derived"), "linux/amd64", 8, "layers", True)],
        derived_count=31,
        limits_reached=[],
    )
    return replace(answer, **changes)  # type: ignore[arg-type]


def not_read(of: Digest, state: State) -> ImageUnread:
    """What is said instead of what an image holds."""
    return ImageUnread(of, waits_for=state.problem) if state.name == "waiting" else ImageUnread(of, state.problem)


class CannedBrowse:
    """Gives these answers, whoever asks; what is `private` is there for `ada` alone. *empty* holds nothing at all."""

    def __init__(self, *, empty: bool = False) -> None:
        self.empty = empty
        self.unavailable = False

    async def search(
        self,
        caller: Caller,
        text: str,
        *,
        type: HitType | None = None,
        sort: str | None = None,
        page: int = 1,
        size: int = 25,
        facets: bool = True,
    ) -> SearchAnswer:
        if self.unavailable:
            raise SearchUnavailable("the index is being written anew", 7)
        if text.startswith("pakage:"):
            raise QueryError(text, 0, 6, "There is no field “pakage”.", "package")
        if text.startswith("broad"):
            raise TooBroad("path:/* matches 120,000 files", "write more of the path")
        if page > 400:
            raise OutOfWindow(10_000)
        kind: HitType = type or ("image" if text.startswith("package:") else "repository")
        hits: list[Hit] = []
        if not self.empty and not text.startswith("nothing"):
            hits = {
                "repository": list(repository_hits()),
                "image": [
                    image_hit(matched=["deb/openssl@3.0.11-1", "deb/libssl3@3.0.11-1"]),
                    image_hit(LONG, (), deprecated=True),
                    image_hit("ada/hostile", ("1",), matched=[HOSTILE], public=False),
                ],
                "package": [
                    PackageHit("deb", "openssl", 31, ["3.0.15-1~deb12u1", "3.0.11-1"]),
                    PackageHit("npm", "@babel/core", 2, ["7.1.0"]),
                    PackageHit("npm", HOSTILE, 1, [HOSTILE]),
                ],
                "layer": [LayerHit(digest("layer 0"), digest("blob 0"), int(28.2 * MIB), int(74.8 * MIB), 8241, 214)],
                "file": [
                    FileHit("etc/nginx/nginx.conf", 648, digest("f")[7:], digest("layer 1"), 12),
                    FileHit(HOSTILE, 3, "", digest("layer 1"), 1),
                ],
            }[kind]  # type: ignore[assignment]
        found = SearchAnswer(
            text,
            kind,
            sort or "relevance",
            page,
            size,
            0 if not hits else 61 if kind == "repository" else len(hits),
            False,
            hits,
        )
        if not facets or not text:
            return found
        return replace(
            found,
            facets=[
                Facet(
                    "is",
                    "Visibility",
                    [FacetValue("public", 40, False, text + " is:public"), FacetValue("private", 21, True, text)],
                ),
                Facet(
                    "platform",
                    "Platform",
                    [FacetValue("linux/amd64", 58, False, text), FacetValue("linux/arm64", 31, False, text)],
                ),
                Facet(
                    "org",
                    "Namespace",
                    [
                        FacetValue("library", 12, False, text),
                        FacetValue("platform-engineering-and-developer-tools", 1204, False, text),
                    ],
                ),
            ]
            if hits
            else [],
            chips=[Chip("is:private", text), Chip("package:openssl<3.0.7", text)] if "package" in text else [],
            elsewhere=[
                Elsewhere("image", 214, False, "type:image " + text),
                Elsewhere("package", 3, False, text),
                Elsewhere("file", 1000, True, text),
            ]
            if hits
            else [],
            corrected="nginx" if text == "ngnix" else None,
        )

    async def suggest(self, caller: Caller, text: str, most: int = 8) -> list[Suggestion]:
        return [
            Suggestion("repository", "repo:nginx", "repo:nginx", 212),
            Suggestion("package", "package:deb/nginx", "package:deb/nginx", 31),
            Suggestion("field", "name:", "name:", 0),
            Suggestion("label", f"label:{HOSTILE}", f"label:{HOSTILE}", 1),
        ]

    async def repository(self, caller: Caller, name: RepositoryName) -> RepositoryAnswer:
        short = name.short()
        if short == "ada/private" and caller.name != "ada":
            raise RepositoryUnknown(name)
        known = {
            "shop": repository(actions=["*", "delete", "pull", "push"] if caller.name == "ada" else ["pull"]),
            "ada/private": repository(
                "ada/private", public=False, description="", tags=[], tag_count=0, size=0, pulls=0, pulls_30_days=0
            ),
            "ada/old": repository("ada/old", deprecated=True),
            LONG: repository(LONG, actions=["pull"], description=HOSTILE),
            "team/mirror/shop": repository("team/mirror/shop", actions=["pull"], deprecated=True),
        }
        if short not in known:
            raise RepositoryUnknown(name)
        return known[short]

    async def tags(
        self, caller: Caller, name: RepositoryName, after: str = "", most: int = 100, digest: Digest | None = None
    ) -> TagsAnswer:
        answer = await self.repository(caller, name)
        rows = sorted(answer.tags, key=lambda row: row.name)
        return TagsAnswer([row for row in rows if row.name > after][:5], rows[4].name if not after and rows else None)

    async def tag_history(
        self, caller: Caller, name: RepositoryName, tag: str | None = None, before: int | None = None, most: int = 100
    ) -> TagHistoryAnswer:
        await self.repository(caller, name)
        now = int(time.time())
        moves = [
            TagMove("latest", SHOP, now - 3 * HOUR, "ada"),
            TagMove("beta", "", now - DAY, "grace"),
            TagMove("latest", digest("older"), now - 9 * DAY, "ada"),
        ]
        return TagHistoryAnswer([move for move in moves if tag in (None, move.tag)], None if before else 17)

    async def resolve(self, caller: Caller, name: RepositoryName, reference: str) -> Digest:
        answer = await self.repository(caller, name)
        for row in answer.tags:
            if reference in (row.name, row.digest):
                return Digest.parse(row.digest)
        from cas import parse_reference

        raise ManifestUnknown(name, parse_reference(reference))

    async def image(self, caller: Caller, digest: Digest, platform: str | None = None) -> ImageAnswer:
        unread = [
            replace(
                row,
                diff_id="",
                raw_size=0,
                entries=0,
                added=0,
                changed=0,
                deleted=0,
                wasted=0,
                installed=[],
                upgraded=[],
                removed=[],
                images=1,
            )
            for row in layers()
        ]
        plain = {"platforms": [], "index": None, "base": [], "base_count": 0, "derived": [], "derived_count": 0}
        known = {
            SHOP: image(),
            INDEX: image(),
            OLDER: image(),
            WAITING: image(
                digest=WAITING,
                state=State("waiting"),
                layers=unread,
                raw_size=0,
                files=0,
                packages={},
                distro="",
                places=[Place("shop", ["1.5.0-rc1"], 0, False, 1)],
                **plain,
            ),
            POSTPONED: image(
                digest=POSTPONED,
                state=State("waiting", "no room is left in the store"),
                layers=unread,
                raw_size=0,
                files=0,
                packages={},
                distro="",
                places=[Place("shop", ["1.5.0-rc2"], 0, False, 1)],
                **plain,
            ),
            FAILED: image(
                digest=FAILED,
                state=State("failed", "Layer 3 is no tar archive: its header at byte 512 is damaged."),
                layers=unread,
                raw_size=0,
                files=0,
                packages={},
                distro="",
                places=[Place("shop", ["broken"], 0, False, 1)],
                **plain | {"derived": image().derived[:1], "derived_count": 30},
            ),
            ARTIFACT: image(
                digest=ARTIFACT,
                artifact_type="application/vnd.example.sbom+json",
                platform="",
                config=None,
                layers=[],
                packages={},
                files=0,
                distro="",
                places=[Place("shop", [], 0, False, 0)],
                **plain,
            ),
            EVIL: image(
                digest=EVIL,
                limits_reached=["at most 200,000 entries of a layer are kept; layer 1 has more"],
                places=[Place(LONG, [], 0, False, 0)],
                layers=[replace(row, created_by=HOSTILE, installed=[HOSTILE], size=1 + row.index) for row in layers()],
                **plain,
            ),
        }
        if digest.text not in known:
            raise ImageUnknown(digest)
        return known[digest.text]

    async def bases(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        found = await self.image(caller, digest)
        if found.state.name != "read":
            raise not_read(digest, found.state)
        known = [each for each in found.base if each.certainty == "layers"]
        return RelationsAnswer(known, found.base_count, page, size)

    async def derived(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        found = await self.image(caller, digest)
        if found.state.name != "read":
            raise not_read(digest, found.state)
        return RelationsAnswer(found.derived, found.derived_count, page, size)

    async def places(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> PlacesAnswer:
        found = await self.image(caller, digest)
        return PlacesAnswer(found.places, found.place_count, page, size)

    async def packages(self, caller: Caller, digest: Digest, platform: str | None = None) -> PackagesAnswer:
        found = await self.image(caller, digest, platform)
        if found.state.name != "read":
            raise not_read(digest, found.state)
        rows = packages()
        if digest.text == EVIL:
            rows = [
                replace(rows[0], name=f"{HOSTILE}{n}", version=HOSTILE, licenses=[HOSTILE], owned_by="")
                for n in range(900)
            ]
        return PackagesAnswer(
            found.digest,
            found.platform,
            found.distro,
            [ReadLayerRow(row.index, row.digest, row.diff_id, row.size, row.created_by, "") for row in found.layers],
            rows,
            [],
            [
                RemovedPackageRow(
                    "pkg:deb/debian/python3-venv@3.11",
                    "deb",
                    "python3-venv",
                    "3.11.2-1+b1",
                    _reference(1),
                    _reference(4),
                )
            ],
        )

    async def files(
        self,
        caller: Caller,
        digest: Digest,
        path: str = "",
        platform: str | None = None,
        after: str = "",
        most: int = 500,
    ) -> FilesAnswer:
        found = await self.image(caller, digest, platform)
        if found.state.name != "read":
            raise not_read(digest, found.state)
        if path in ("", "."):
            return FilesAnswer(found.digest, "", _FILES, None)
        if path == "srv":
            return FilesAnswer(
                found.digest,
                "srv",
                [replace(_FILES[2], name="shop", path="srv/shop"), replace(_FILES[7], name="motd", path="srv/motd")],
                "motd",
            )
        if path == "srv/shop":
            return FilesAnswer(found.digest, path, [replace(_FILES[7], name=HOSTILE, path=f"srv/shop/{HOSTILE}")], None)
        if path in ("etc", "home", "tmp", "usr", "var"):
            return FilesAnswer(found.digest, path, [], None)
        raise PathUnknown(digest, path)

    async def manifest(self, caller: Caller, digest: Digest) -> tuple[str, bytes]:
        await self.image(caller, digest)
        return "text/html", json.dumps({"schemaVersion": 2, "annotations": {"x": HOSTILE}}).encode()

    async def config(self, caller: Caller, digest: Digest) -> bytes:
        await self.image(caller, digest)
        return b"<!doctype html><script>alert(1)</script>"

    async def layer(self, caller: Caller, digest: Digest, page: int = 1, size: int = 25) -> LayerAnswer:
        for row in layers():
            if digest.text in (row.diff_id, row.digest):
                return LayerAnswer(
                    row.diff_id,
                    [row.digest],
                    row.size,
                    row.raw_size,
                    row.entries,
                    61,
                    [image_hit(), image_hit(LONG, (), public=False)],
                    page,
                    size,
                )
        raise LayerUnknown(digest)

    async def package(
        self,
        caller: Caller,
        ecosystem: str,
        name: str,
        range: str = "",
        page: int = 1,
        size: int = 25,
        versions_page: int = 1,
        versions_size: int = 100,
    ) -> PackageAnswer:
        if name == "none":
            raise PackageUnknown(ecosystem, name)
        if range == "<<":
            raise QueryError(range, 0, 2, "A version was expected after “<”.")
        versions = [
            VersionRow(version, count, f"package:{ecosystem}/{name}@{version}")
            for version, count in (("3.0.15-1~deb12u1", 12), ("3.0.11-1~deb12u2", 18), ("1.1.1w-0+deb11u1", 1))
        ]
        return PackageAnswer(
            ecosystem,
            name,
            range,
            versions,
            104,
            31,
            [image_hit(matched=[f"{ecosystem}/{name}@3.0.15-1~deb12u1"]), image_hit("team/mirror/shop", ("1.4.2",))],
            page,
            size,
        )

    async def find_files(
        self,
        caller: Caller,
        *,
        path: str = "",
        name: str = "",
        sha256: str = "",
        deleted: str = "",
        page: int = 1,
        size: int = 25,
    ) -> FoundFilesAnswer:
        if path == "unavailable":
            raise LayerIndexUnavailable("it is being written anew", 5)
        if "nothing" in path:
            return FoundFilesAnswer([], False, page, size)
        return FoundFilesAnswer(
            [
                FoundFileRow(
                    path or "usr/lib/x86_64-linux-gnu/" + "deep/" * 20 + "libssl.so.3",
                    689_536,
                    digest("f")[7:],
                    digest("layer 1"),
                    31,
                    [image_hit(), image_hit("team/mirror/shop", ("1.4.2",), platform="linux/arm64")],
                )
            ],
            True,
            page,
            size,
        )

    async def diff(
        self,
        caller: Caller,
        before: Digest,
        after: Digest,
        platform: str | None = None,
        page: int = 1,
        size: int = 1000,
    ) -> DiffAnswer:
        for each in (before, after):
            if (found := await self.image(caller, each)).state.name != "read":
                raise not_read(each, found.state)
        rows = layers()
        return DiffAnswer(
            image_hit(tags=("1.3.9",), digest=digest("older")),
            image_hit(),
            rows[:3],
            rows[3:4],
            rows[3:],
            [
                PackageChange("deb", "libssl3", "3.0.11-1~deb12u2", "3.0.15-1~deb12u1"),
                PackageChange("pypi", "django", "5.0.9", "5.1.3"),
                PackageChange("pypi", "zope.interface", "", "7.1.1"),
                PackageChange("deb", "python3-venv", "3.11.2-1+b1", ""),
                *(
                    PackageChange("npm", f"dependency-{n}", "1.0", "1.1")
                    for n in range(1200 if after.text == EVIL else 0)
                ),
            ],
            [ValueChange("env LANG", "", "C.UTF-8"), ValueChange("label hostile", "", HOSTILE)],
            [
                FileChange("srv/shop/manage.py", "changed", 1200, 1310),
                FileChange("srv/shop/new.py", "added", None, 300),
                FileChange("usr/bin/pyvenv", "removed", 120, None),
            ],
            1204,
            int(110 * MIB),
            int(118.2 * MIB),
            page,
            size,
        )
