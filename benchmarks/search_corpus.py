"""A company's registry of 10,000 images, made up the same way each time: what the search benchmark searches.

A few hundred repositories of some forty teams; images on a dozen bases, each with about 300 packages of a vocabulary of
some thousands in a few versions; labels, platforms, dates and sizes as they are distributed among real ones. As images
that install something do, each replaces some files of its base.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

from cas import Digest
from catalog.images.chains import chain_ids
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    RepositoryDocument,
    file_token,
)

IMAGES = 10_000
PACKAGES = 300
_NOW = 1_795_000_000
_DAY = 86_400

_SUBJECTS = (
    "payment gateway",
    "order history",
    "search index",
    "mail queue",
    "price feed",
    "risk model",
    "customer portal",
    "image resizer",
    "log shipper",
    "session store",
    "report builder",
    "stock ledger",
    "tax rules",
    "route planner",
    "postgres backup",
)
_TEAMS = ("payments", "search", "platform", "risk", "web", "mobile", "fleet", "insight", "ledger", "support")
_KNOWN = (
    *("openssl", "zlib", "bash", "curl", "glibc", "libssl3", "libssl-dev", "python3", "perl", "nginx", "postgresql"),
    *("ssl-cert", "libio-socket-ssl-perl"),
)
#: One image in so many lacks one of these.
_LACKS = 20
_DISTROS = (("debian", "12"), ("debian", "11"), ("ubuntu", "22.04"), ("alpine", "3.20"))
_BASES = 12
#: Files of a base's top layer, some of which each image on it replaces.
REPLACED = ("var/lib/dpkg/status", *(f"var/lib/dpkg/info/part-{number}.list" for number in range(100)))
_REPLACES = 20


@cache
def _versions(package: str) -> list[str]:
    """Make up the versions of a package that images have: from one to twelve, most of a single release line."""
    dice = random.Random(package)
    major, minor = dice.choice((1, 1, 2, 3)), dice.randint(0, 3)
    found = [f"{major}.{minor}.{patch}-1" for patch in range(dice.randint(1, 10))]
    if dice.randrange(2):
        found += [f"{major + 2}.0.{patch}-1" for patch in range(2)]
    return found


def _digest(*parts: object) -> str:
    return "sha256:" + sha256("/".join(map(str, parts)).encode()).hexdigest()


@dataclass
class Corpus:
    """Documents, and the names that the questions of `benchmarks.search_queries` are filled in with."""

    images: int = IMAGES
    seed: int = 1
    names: dict[str, str] = field(default_factory=dict)

    def documents(self) -> Iterator[Document]:
        """Yield repositories and images, then the layers and packages that these hold."""
        dice = random.Random(self.seed)
        vocabulary = self._vocabulary(dice)
        bases = [self._base(dice, number) for number in range(_BASES)]
        versions: dict[tuple[str, str], set[str]] = {}
        layers: dict[str, LayerDocument] = {}
        repositories = [self._repository(dice, number) for number in range(max(self.images // 25, 12))]
        yield from repositories
        for number in range(self.images):
            repository = repositories[number % len(repositories)]
            base = number if number < _BASES else dice.randrange(_BASES)
            image = self._image(dice, number, repository, base, bases[base], vocabulary)
            for token, version in image.packages:
                ecosystem, _, name = token.partition("/")
                versions.setdefault((ecosystem, name), set()).add(version)
            for digest, diff_id in zip(image.layers, image.diff_ids, strict=True):
                layer = LayerDocument(diff_id=diff_id, blobs={digest: 10_000}, raw_size=30_000, entries=800)
                layers.setdefault(diff_id, layer)
            yield image
        yield from layers.values()
        for (ecosystem, name), found in versions.items():
            yield PackageDocument(ecosystem=ecosystem, name=name, versions=sorted(found))
        self._fill_in(repositories, vocabulary, bases)

    def _fill_in(
        self, repositories: list[RepositoryDocument], vocabulary: list[tuple[str, str]], bases: list[list[str]]
    ) -> None:
        ecosystem, name = vocabulary[20]
        self.names = {
            "repository": repositories[7].name,
            "prefix": repositories[7].name.rpartition("/")[2][:4],
            "package": f"{ecosystem}/{name}",
            "version": _versions(f"{ecosystem}/{name}")[0],
            "diff_id": bases[3][0],
            "base": f"{repositories[3].name}:1",
            "file": "libportolan.so.3",
            "directory": "portolan",
            "namespace": repositories[7].name.partition("/")[0],
        }

    @staticmethod
    def _vocabulary(dice: random.Random) -> list[tuple[str, str]]:
        made = [("deb", name) for name in _KNOWN]
        for number in range(4000):
            ecosystem = dice.choices(("deb", "npm", "pypi", "golang"), (5, 3, 2, 1))[0]
            stem = "".join(dice.choices("abcdefghiklmnoprstuvw", k=dice.randint(4, 9)))
            made.append((ecosystem, f"lib{stem}{number % 7}" if ecosystem == "deb" else f"{stem}-{number % 97}"))
        return made

    def _base(self, dice: random.Random, number: int) -> list[str]:
        return [_digest("base", self.seed, number, layer) for layer in range(dice.randint(1, 4))]

    def _repository(self, dice: random.Random, number: int) -> RepositoryDocument:
        subject = dice.choice(_SUBJECTS)
        name = f"team{number % 40}/{subject.replace(' ', '-')}-{number}"
        return RepositoryDocument(
            id=f"{self.seed:08x}{number:024x}",
            name=name,
            public=number % 3 == 0,
            description=f"The {subject} of {_TEAMS[number % len(_TEAMS)]}, version {number % 5}",
            pulls=int(dice.paretovariate(0.8)) % 100_000,
            pushed=_NOW - number * 3600,
            created=_NOW - 400 * _DAY,
            tags=25,
            platforms=["linux/amd64"],
        )

    def _image(
        self,
        dice: random.Random,
        number: int,
        repository: RepositoryDocument,
        base_number: int,
        base: list[str],
        vocabulary: list[tuple[str, str]],
    ) -> ImageDocument:
        own = [_digest("own", self.seed, number, layer) for layer in range(dice.randint(2, 8))]
        is_base = number < _BASES
        diff_ids = base if is_base else base + own
        chains = [str(each) for each in chain_ids([Digest.parse(each) for each in diff_ids])]
        known = [each for each in vocabulary[: len(_KNOWN)] if dice.randrange(_LACKS)]
        chosen = known + dice.sample(vocabulary[len(_KNOWN) :], PACKAGES - len(known))
        packages = [
            (f"{ecosystem}/{name}", dice.choice(_versions(f"{ecosystem}/{name}"))) for ecosystem, name in chosen
        ]
        team = _TEAMS[dice.randrange(len(_TEAMS))]
        distro = _DISTROS[base_number * len(_DISTROS) // _BASES]
        replaced = [] if is_base else [REPLACED[0], *dice.sample(REPLACED[1:], _REPLACES - 1)]
        return ImageDocument(
            repository_id=repository.id,
            repository=repository.name,
            public=repository.public,
            digest=_digest("image", self.seed, number),
            tags=[f"{number // 400 + 1}"],
            platform=dice.choices(("linux/amd64", "linux/arm64"), (4, 1))[0],
            size=int(dice.lognormvariate(18.5, 1.2)),
            pushed=_NOW - int(dice.expovariate(1 / (90 * _DAY))),
            created=_NOW - number * 60,
            pulls=repository.pulls,
            layers=[_digest("blob", each) for each in diff_ids],
            diff_ids=diff_ids,
            chains=chains,
            packages=packages,
            sources=[(token, version) for token, version in packages if token.startswith("deb/")][:100],
            licenses=["mit", "apache-2.0", "gpl-2.0-only"],
            labels={"team": team, "org.opencontainers.image.version": f"1.{number % 50}"},
            env=["PATH", "LANG", "APP_HOME"],
            entrypoint=["/usr/bin/tini", "--", "/app/run"],
            user="app",
            ports=["8080/tcp"],
            history=[f"RUN make {layer}" for layer in range(len(diff_ids))],
            distro=distro,
            distro_name=f"{distro[0].title()} {distro[1]}",
            hidden=[file_token(base[-1], path) for path in replaced],
        )
