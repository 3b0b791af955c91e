"""A service with a fleet in its harbour: people, and repositories of images that look like those of a small company.

What the pages show of it is read by the service itself, from layers that are made and pushed here: distributions with
package databases, Python and npm packages, files that upper layers replace and remove, several platforms, a layer that
is no archive.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.ingest.tars import MEDIA_TYPES, Content, Layer, file, gzip, layer, symlink, whiteout
from tests.services.portolan import Person, Portolan
from tests.services.processes import wait_until

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"

PASSWORD = "correct horse battery staple"

#: What somebody pushes who tries what a page lets through.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"

DESCRIPTION = """The shop that sells **charts and instruments**. Built each night from `debian:12-slim`.

## Running it

```
docker run --publish 8080:8080 --env DATABASE_URL registry/shop
```

| variable | what for |
| --- | --- |
| `DATABASE_URL` | where orders are kept |
| `SMTP_HOST` | who sends the bills |

1. Migrate with `manage.py migrate`
2. Start

> Never run two of them on one database.

The [handbook](https://handbook.test/shop) has the rest.
"""

_DEBIAN = """\
adduser 3.134|apt 2.6.1|base-files 12.4+deb12u8|base-passwd 3.6.1|bash 5.2.15-2+b7|bsdutils 1:2.38.1-5
coreutils 9.1-1|dash 0.5.12-2|debconf 1.5.82|debian-archive-keyring 2023.3+deb12u1|debianutils 5.7-0.5
diffutils 1:3.8-4|dpkg 1.21.22|e2fsprogs 1.47.0-2|findutils 4.9.0-4|gcc-12-base 12.2.0-14|gpgv 2.2.40-1.1
grep 3.8-5|gzip 1.12-1|hostname 3.23+nmu1|init-system-helpers 1.65.2|libacl1 2.3.1-3|libapt-pkg6.0 2.6.1
libattr1 1:2.5.1-4|libaudit1 1:3.0.9-1|libblkid1 2.38.1-5|libbz2-1.0 1.0.8-5|libc-bin 2.36-9+deb12u8
libc6 2.36-9+deb12u8|libcap-ng0 0.8.3-1+b3|libcap2 1:2.66-4|libcom-err2 1.47.0-2|libcrypt1 1:4.4.33-2
libdb5.3 5.3.28+dfsg2-1|libdebconfclient0 0.270|libext2fs2 1.47.0-2|libffi8 3.4.4-1|libgcc-s1 12.2.0-14
libgcrypt20 1.10.1-3|libgmp10 2:6.2.1+dfsg1-1.1|libgnutls30 3.7.9-2+deb12u3|libgpg-error0 1.46-1
libhogweed6 3.8.1-2|libidn2-0 2.3.3-1+b1|liblz4-1 1.9.4-1|liblzma5 5.4.1-0.2|libmount1 2.38.1-5
libnettle8 3.8.1-2|libp11-kit0 0.24.1-2|libpam-modules 1.5.2-6+deb12u1|libpam0g 1.5.2-6+deb12u1
libpcre2-8-0 10.42-1|libseccomp2 2.5.4-1+deb12u1|libselinux1 3.4-1+b6|libsmartcols1 2.38.1-5
libstdc++6 12.2.0-14|libsystemd0 252.30-1~deb12u2|libtasn1-6 4.19.0-2|libtinfo6 6.4-4|libudev1 252.30-1~deb12u2
libunistring2 1.0-2|libuuid1 2.38.1-5|libxxhash0 0.8.1-1|libzstd1 1.5.4+dfsg2-5|login 1:4.13+dfsg1-1+b1
logsave 1.47.0-2|mawk 1.3.4.20200120-3.1|mount 2.38.1-5|ncurses-base 6.4-4|passwd 1:4.13+dfsg1-1+b1
perl-base 5.36.0-7+deb12u1|sed 4.9-1|sysvinit-utils 3.06-4|tar 1.34+dfsg-1.2+deb12u1|tzdata 2024a-0+deb12u1
usr-is-merged 37~deb12u1|util-linux 2.38.1-5|zlib1g 1:1.2.13.dfsg-1
"""
_SOURCES = {"libc6": "glibc", "libc-bin": "glibc", "libssl3": "openssl", "libstdc++6": "gcc-12", "zlib1g": "zlib"}


@dataclass(frozen=True)
class Made:
    """An image that was made: its manifest and what it is of."""

    manifest: bytes
    media_type: str
    blobs: Mapping[str, bytes]
    platform: str = "linux/amd64"

    @property
    def digest(self) -> str:
        return _digest(self.manifest)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _noise(name: str, size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(name).randbytes(size)


def debian_packages() -> dict[str, str]:
    """The packages of a slim Debian: versions by name."""
    pairs = (each.split(" ") for line in _DEBIAN.splitlines() for each in line.split("|"))
    return dict(pair for pair in pairs if len(pair) == 2)


def dpkg_status(packages: Mapping[str, str]) -> dict[str, Content]:
    """The database of installed packages, and the copyright files that name their licences."""
    records = []
    for name, version in sorted(packages.items()):
        source = f"Source: {_SOURCES[name]}\n" if name in _SOURCES else ""
        records.append(
            f"Package: {name}\nStatus: install ok installed\nSection: libs\nInstalled-Size: 100\n"
            f"Maintainer: Us <us@debian.test>\nArchitecture: amd64\n{source}Version: {version}\n"
            f"Description: the package {name}\n"
        )
    files: dict[str, Content] = {"var/lib/dpkg/status": "\n".join(records)}
    for name in packages:
        files[f"usr/share/doc/{name}/copyright"] = (
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n"
            f"License: {'Apache-2.0' if 'ssl' in name else 'GPL-2+'}\n"
        )
    return files


def python_package(name: str, version: str, license: str = "MIT") -> dict[str, Content]:
    """A package as pip installs it."""
    place = f"usr/local/lib/python3.11/site-packages/{name}-{version}.dist-info"
    module = f"usr/local/lib/python3.11/site-packages/{name}/__init__.py"
    about = f"Name: {name}\nVersion: {version}\nLicense-Expression: {license}\n"
    return {
        f"{place}/METADATA": f"Metadata-Version: 2.1\n{about}",
        f"{place}/RECORD": f"{name}/__init__.py,,\n",
        f"{place}/INSTALLER": "pip\n",
        module: _noise(name + version, 9000),
    }


def npm_package(name: str, version: str) -> dict[str, Content]:
    """A package as npm installs it."""
    place = f"srv/web/node_modules/{name}"
    return {
        f"{place}/package.json": json.dumps({"name": name, "version": version, "license": "MIT"}),
        f"{place}/index.js": _noise(name + version, 4000),
    }


def made(
    layers: Sequence[tuple[str, Layer]],
    *,
    platform: str = "linux/amd64",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **config: object,
) -> Made:
    """Make an image of layers, each with the instruction that made it."""
    system, architecture, *variant = platform.split("/")
    document = {
        "created": "2026-11-20T02:00:00Z",
        "os": system,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
            "Cmd": ["bash"],
            "Labels": dict(labels or {}),
            **config,
        },
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id.text for _, each in layers]},
        "history": [
            *({"created": "2026-11-20T02:00:00Z", "created_by": created_by} for created_by, _ in layers),
            {"created": "2026-11-20T02:00:00Z", "created_by": 'CMD ["bash"]', "empty_layer": True},
        ],
    }
    encoded = json.dumps(document).encode()
    blobs = {_digest(encoded): encoded, **{each.digest.text: each.blob for _, each in layers}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": _digest(encoded), "size": len(encoded)},
        "layers": [
            {"mediaType": MEDIA_TYPES["gzip"], "digest": each.digest.text, "size": len(each.blob)} for _, each in layers
        ],
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    return Made(json.dumps(manifest).encode(), OCI_MANIFEST, blobs, platform)


class Fleet:
    """The images: `debian`, `shop` in three versions and two platforms, `nginx`, `web`, `hostile`, `broken`."""

    def __init__(self) -> None:
        base = debian_packages()
        self.bottom = {each: self._debian(base, each) for each in ("amd64", "arm64")}
        self.debian = {each: self._based(each, [], {"maintainer": "debian"}) for each in ("amd64", "arm64")}
        self.shop = {version: self._shop(base, version) for version in ("1.3.9", "1.4.2", "1.5.0-rc1")}
        self.shop_arm = self._shop(base, "1.4.2", "arm64")
        self.nginx = self._nginx(base)
        self.web = self._web()
        self.hostile = self._hostile()
        self.broken = self._broken()

    @staticmethod
    def _debian(packages: Mapping[str, str], architecture: str) -> tuple[str, Layer]:
        files: dict[str, Content] = {
            "bin": symlink("usr/bin"),
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nID=debian\n'
            'VERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
            "etc/debian_version": "12.7\n",
            "etc/hostname": "debian\n",
            "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
            **dpkg_status(packages),
        }
        for program in ("bash", "cat", "chmod", "cp", "dpkg", "ls", "mv", "perl", "rm", "sed", "tar", "true"):
            files[f"usr/bin/{program}"] = file(_noise(program + architecture, 14_000), mode=0o755)
        for name in ("libc.so.6", "libm.so.6", "libpthread.so.0", "libz.so.1"):
            files[f"usr/lib/{architecture}-linux-gnu/{name}"] = file(_noise(name + architecture, 40_000), mode=0o755)
        return "# debian.sh --arch 'amd64' out/ 'bookworm' '@1726000000'", layer(files)

    def _based(
        self, architecture: str, above: Sequence[tuple[str, Layer]], labels: Mapping[str, str], **config: object
    ) -> Made:
        annotations = {"org.opencontainers.image.base.name": "debian:12-slim"} if above else None
        return made(
            [self.bottom[architecture], *above],
            platform=f"linux/{architecture}",
            labels=labels,
            annotations=annotations,
            **config,
        )

    def _shop(self, base: Mapping[str, str], version: str, architecture: str = "amd64") -> Made:
        django, old = ("5.1.3", False) if version != "1.3.9" else ("5.0.9", True)
        with_python = {
            **base, "ca-certificates": "20230311", "libssl3": "3.0.11-1~deb12u2", "openssl": "3.0.11-1~deb12u2",
            "python3": "3.11.2-1+b1", "python3.11": "3.11.2-6+deb12u2", "python3-venv": "3.11.2-1+b1",
        }  # fmt: skip
        upgraded = {**with_python, "libssl3": "3.0.15-1~deb12u1", "openssl": "3.0.15-1~deb12u1"}
        del upgraded["python3-venv"]
        above = [
            (
                "RUN /bin/sh -c apt-get update && apt-get install --yes --no-install-recommends ca-certificates"
                " openssl python3 python3-venv && rm -rf /var/lib/apt/lists/* # buildkit",
                layer(
                    {
                        **dpkg_status(with_python),
                        "usr/bin/python3": file(_noise("python" + architecture, 180_000), mode=0o755),
                        "usr/bin/pyvenv": file(_noise("venv", 60_000), mode=0o755),
                        "usr/lib/libssl.so.3": _noise("ssl 3.0.11", 90_000),
                    }
                ),
            ),
            (
                "COPY requirements.txt /srv/shop/ # buildkit",
                layer({"srv/shop/requirements.txt": f"django=={django}\ngunicorn==23.0.0\n"}),
            ),
            (
                "RUN /bin/sh -c pip install --no-cache-dir --requirement /srv/shop/requirements.txt # buildkit",
                layer(
                    {
                        **python_package("django", django, "BSD-3-Clause"),
                        **python_package("gunicorn", "23.0.0"),
                        **python_package("psycopg", "3.2.3", "LGPL-3.0-only"),
                        **python_package("requests", "2.32.3", "Apache-2.0"),
                        **({} if old else python_package("urllib3", "2.2.3")),
                        "usr/local/lib/python3.11/site-packages/django/locale.bin": _noise(django, 420_000),
                    }
                ),
            ),
        ]
        if not old:
            above.append(
                (
                    "RUN /bin/sh -c apt-get update && apt-get install --yes --only-upgrade openssl libssl3 && apt-get"
                    " purge --yes python3-venv && rm -rf /var/lib/apt/lists/* # buildkit",
                    layer(
                        {
                            **dpkg_status(upgraded),
                            "usr/lib/libssl.so.3": _noise("ssl 3.0.15", 92_000),
                            **whiteout("usr/bin/pyvenv"),
                        }
                    ),
                )
            )
        above.append(
            (
                "COPY --chown=shop:shop . /srv/shop # buildkit",
                layer(
                    {
                        "srv/shop/manage.py": file("import shop\n" * len(version), mode=0o755, uid=1000, gid=1000),
                        "srv/shop/shop/settings.py": file(f"VERSION = '{version}'\n", uid=1000, gid=1000),
                        "srv/shop/static/chart.svg": file(_noise(version, 24_000), uid=1000, gid=1000),
                        "entrypoint.sh": file("#!/bin/sh\nexec gunicorn shop.wsgi\n", mode=0o755),
                    }
                ),
            )
        )
        labels = {
            "team": "payments",
            "org.opencontainers.image.source": "https://git.test/shop",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "AGPL-3.0-only",
        }
        return self._based(
            architecture, above, labels,
            User="shop", WorkingDir="/srv/shop", ExposedPorts={"8080/tcp": {}}, Volumes={"/srv/shop/media": {}},
            Entrypoint=["/entrypoint.sh"], Cmd=["gunicorn", "--bind", "0.0.0.0:8080", "shop.wsgi"],
        )  # fmt: skip

    def _nginx(self, base: Mapping[str, str]) -> Made:
        files = {
            **dpkg_status({**base, "nginx": "1.27.2-1~bookworm", "libssl3": "3.0.14-1~deb12u2"}),
            "usr/sbin/nginx": file(_noise("nginx", 260_000), mode=0o755),
            "etc/nginx/nginx.conf": "worker_processes auto;\n",
            "usr/share/nginx/html/index.html": "<h1>Welcome</h1>\n",
        }
        return self._based(
            "amd64", [("RUN /bin/sh -c apt-get install --yes nginx # buildkit", layer(files))], {"team": "platform"},
            ExposedPorts={"80/tcp": {}},
        )  # fmt: skip

    def _web(self) -> Made:
        names = ("react", "react-dom", "scheduler", "@babel/runtime", "vite", "esbuild", "rollup", "postcss", "nanoid")
        modules: dict[str, Content] = {}
        for number, name in enumerate(names):
            modules.update(npm_package(name, f"{number + 3}.{number}.1"))
        return self._based(
            "amd64",
            [
                ("COPY package.json package-lock.json /srv/web/ # buildkit", layer({"srv/web/package.json": "{}"})),
                ("RUN /bin/sh -c npm ci # buildkit", layer(modules)),
                ("COPY dist /srv/web/dist # buildkit", layer({"srv/web/dist/app.js": _noise("app", 70_000)})),
            ],
            {"team": "front"},
        )

    def fresh(self, name: str) -> Made:
        """Make an image that nobody has read: its layer holds *name*."""
        return made([self.bottom["amd64"], (f"COPY {name} /srv/", layer({f"srv/{name}": _noise(name, 40_000)}))])

    def _hostile(self) -> Made:
        files = {
            f"srv/{HOSTILE.replace('/', '-')}": "x",
            "srv/web/node_modules/evil/package.json": json.dumps({"name": HOSTILE, "version": HOSTILE}),
            **python_package("evil", "1.0", "javascript:alert(3)"),
        }
        return self._based(
            "amd64",
            [(f"RUN echo {HOSTILE}", layer(files))],
            {"hostile": HOSTILE, HOSTILE: "javascript:alert(4)"},
            User=HOSTILE,
            Entrypoint=[HOSTILE],
        )

    def _broken(self) -> Made:
        content = b"this is no archive\n" * 4000
        damaged = Layer(gzip(content), content, MEDIA_TYPES["gzip"])
        return self._based("amd64", [("COPY broken.tar / # buildkit", damaged)], {})


class Harbour:
    """A running service, `ada` who administers it, `bob` who does not, and ways to push."""

    def __init__(self, service: Portolan) -> None:
        self.service = service
        self.ada: Person = service.add_person("ada", PASSWORD, admin=True)
        self.bob: Person = service.add_person("bob", PASSWORD)

    def push(self, name: str, image: Made, *tags: str) -> None:
        """Push an image as `ada`, under *tags*."""
        with self._client(name) as client:
            self._push(client, name, image)
            for tag in tags:
                self._manifest(client, name, tag, image.manifest, image.media_type)

    def push_index(self, name: str, images: Sequence[Made], *tags: str) -> str:
        """Push images of several platforms, and an index of them under *tags*; return its digest."""
        listed = []
        for image in images:
            system, architecture = image.platform.split("/")[:2]
            listed.append(
                {
                    "mediaType": image.media_type,
                    "digest": image.digest,
                    "size": len(image.manifest),
                    "platform": {"os": system, "architecture": architecture},
                }
            )
        index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
        with self._client(name) as client:
            for image in images:
                self._push(client, name, image)
            for tag in tags:
                self._manifest(client, name, tag, index, OCI_INDEX)
        return _digest(index)

    def change(self, name: str, **members: object) -> None:
        """Set what the API sets of a repository."""
        with httpx.Client(base_url=self.service.url, trust_env=False) as client:
            done = client.patch(f"/api/v1/repositories/{name}", json=members, auth=(self.ada.name, self.ada.password))
            assert done.status_code == 200, done.text

    def wait_read(self, query: str, images: int, seconds: float = 60, *, anonymous: bool = False) -> None:
        """Return when a search, as `ada` or as nobody in particular, finds *images*."""
        auth = None if anonymous else (self.ada.name, self.ada.password)
        with httpx.Client(base_url=self.service.url, trust_env=False) as client:

            def found() -> bool:
                answer = client.get(
                    "/api/v1/search",
                    params={"q": query, "type": "image"},
                    auth=auth,
                )
                return answer.status_code == 200 and answer.json()["total"] >= images

            wait_until(found, seconds, f"{images} images to be found by {query!r}")

    def fill(self, fleet: Fleet) -> None:
        """Push the whole fleet, describe it, and wait until it was read."""
        self.push_index("debian", [fleet.debian["amd64"], fleet.debian["arm64"]], "12-slim", "bookworm-slim")
        self.push("nginx", fleet.nginx, "1.27.2", "latest")
        self.push("ada/shop", fleet.shop["1.3.9"], "1.3.9")
        self.push_index("ada/shop", [fleet.shop["1.4.2"], fleet.shop_arm], "1.4", "1.4.2", "latest")
        self.push("team/payments/shop-mirror", fleet.shop["1.4.2"], "1.4.2")
        self.push("ada/shop", fleet.shop["1.5.0-rc1"], "1.5.0-rc1")
        self.push("team/front/web", fleet.web, "2026.11", "latest")
        self.push("team/lab/hostile", fleet.hostile, "1")
        self.push("team/lab/broken", fleet.broken, "1")
        for name in ("debian", "nginx", "ada/shop", "team/front/web"):
            self.change(name, public=True)
        self.change("debian", description="Debian 12 without what a container has no use for.")
        self.change("nginx", description="The web server and reverse proxy, as we run it.")
        self.change("ada/shop", description=DESCRIPTION)
        self.change("team/front/web", description="The front of the shop: a single page, and what builds it.")
        self.change("team/lab/hostile", description=f"{HOSTILE}\n\n[click](javascript:alert(5)) ![p](https://a.test/b)")
        self.wait_read("package:libc6", 10)
        self.wait_read("package:libc6", 8, anonymous=True)

    @contextmanager
    def _client(self, name: str) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.service.url, trust_env=False, timeout=60) as client:
            answer = client.get(
                "/token",
                params={"service": "portolan", "scope": f"repository:{name}:pull,push"},
                auth=(self.ada.name, self.ada.password),
            )
            client.headers["authorization"] = f"Bearer {answer.json()['token']}"
            yield client

    def _push(self, client: httpx.Client, name: str, image: Made) -> None:
        for digest, content in image.blobs.items():
            done = client.post(f"/v2/{name}/blobs/uploads/", params={"digest": digest}, content=content)
            assert done.status_code == 201, done.text
        self._manifest(client, name, image.digest, image.manifest, image.media_type)

    @staticmethod
    def _manifest(client: httpx.Client, name: str, reference: str, content: bytes, media_type: str) -> None:
        done = client.put(f"/v2/{name}/manifests/{reference}", content=content, headers={"content-type": media_type})
        assert done.status_code == 201, done.text
