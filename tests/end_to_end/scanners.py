"""Three readers of the same image: Portolan's own (read_layer and squash, as the service does), Syft, and Trivy.

Each gives its packages as `Found`; `layer` is the index of the layer that it says brought the package, from 0.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from catalog.images.facts import ChainFacts
from catalog.images.squash import squash
from ingest.catalogers import CATALOGERS, PROGRAMS
from ingest.catalogers.python import normalized
from ingest.limits import ReadLimits
from ingest.reading import read_layer
from tests.end_to_end.images import Image
from tests.services.programs import require

#: What the ecosystems are called by Syft.
_ECOSYSTEMS = {"apk": "apk", "deb": "deb", "go-module": "golang", "npm": "npm", "python": "pypi"}


class Found(NamedTuple):
    """A package that a reader found, whatever it calls it: names and versions as Portolan has them."""

    ecosystem: str
    name: str
    version: str


def read_here(image: Image) -> ChainFacts:
    """Read every layer and put them on top of each other."""
    return squash(
        read_layer(io.BytesIO(layer.blob.content), ReadLimits(), CATALOGERS, PROGRAMS).facts for layer in image.layers
    )


def found_here(image: Image) -> dict[Found, int]:
    """What Portolan finds, and the layer of each."""
    return {Found(p.ecosystem, p.name, p.version): p.layer for p in read_here(image).packages}


def found_by_syft(layout: Path, image: Image) -> dict[Found, int]:
    """What Syft finds of the ecosystems that Portolan reads."""
    told = _run([require("syft"), "scan", f"oci-dir:{layout}", "--output=syft-json", "--quiet"], layout)
    found = {}
    for artifact in told["artifacts"]:
        if artifact["type"] in _ECOSYSTEMS:
            place = next((p for p in artifact["locations"] if _is_evidence(p)), artifact["locations"][0])
            found[_found(_ECOSYSTEMS[artifact["type"]], artifact["name"], artifact["version"])] = _index(
                image, place["layerID"]
            )
    return found


def found_by_trivy(layout: Path, image: Image, cache: Path) -> dict[Found, int]:
    """What Trivy finds; its cache is empty."""
    options = ["--offline-scan", "--skip-db-update", "--list-all-pkgs", "--format=cyclonedx", "--quiet"]
    told = _run([require("trivy"), "image", f"--input={layout}", f"--cache-dir={cache}", *options], layout)
    found = {}
    for component in told["components"]:
        ecosystem = component.get("purl", "").removeprefix("pkg:").partition("/")[0]
        if ecosystem in _ECOSYSTEMS.values():
            name = "/".join(filter(None, (component.get("group", ""), component["name"])))
            layers = [p["value"] for p in component["properties"] if p["name"] == "aquasecurity:trivy:LayerDiffID"]
            found[_found(ecosystem, name, component["version"])] = _index(image, layers[0])
    return found


def differing(
    ours: Sequence[Found] | set[Found], theirs: Sequence[Found] | set[Found]
) -> tuple[set[Found], set[Found]]:
    """Return what only we found, and what only they did."""
    return set(ours) - set(theirs), set(theirs) - set(ours)


def _found(ecosystem: str, name: str, version: str) -> Found:
    if ecosystem == "pypi":
        name = normalized(name)
    if (ecosystem, name) == ("golang", "stdlib"):
        # Syft writes "go1.22.1", Trivy "v1.22.1".
        version = version.removeprefix("go").removeprefix("v")
    return Found(ecosystem, name, version)


def _is_evidence(place: dict[str, Any]) -> bool:
    return bool(place.get("annotations", {}).get("evidence") == "primary")


def _index(image: Image, diff_id: str) -> int:
    return [layer.diff_id for layer in image.layers].index(diff_id)


def _run(command: list[str | Path], layout: Path) -> Any:
    environment = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false", "TMPDIR": str(layout.parent)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} exited with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)
