"""The specification's own conformance program, with everything that it leaves out by default switched on."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import StartPortolan
from tests.services import require

#: Off unless asked for, in one version or in both.
EVERYTHING = {
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_BLOBS_MOUNT_ANONYMOUS": "true",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
    "OCI_API_REFERRER": "true",
    "OCI_DATA_SPARSE": "true",
}
#: A mount without `from` may find public repositories alone, and images without their layers are a setting.
LENIENT = {"PORTOLAN_DEFAULT_VISIBILITY": "public", "PORTOLAN_SPARSE_MANIFESTS": "accept"}


class Results:
    """What the program wrote into *folder*."""

    def __init__(self, folder: Path) -> None:
        suites = ElementTree.parse(folder / "junit.xml").getroot()
        self.cases = {str(case.get("name")): case for case in suites.iter("testcase")}
        self.verdicts = Counter(case.get("status") for case in suites.iter("testcase"))
        self.number = int(suites.get("tests", "0"))
        # Its summary: what was found of each feature, by a line each.
        found = re.findall(
            r"^  (\S[^:\n]*): (\w+)$", (folder / "results.yaml").read_text().partition("\napis:\n")[2], re.M
        )
        self.features = dict(found)

    @property
    def told(self) -> str:
        """All that did not pass, and why."""
        bad = [case for case in self.cases.values() if case.get("status") != "passed"]
        return "\n".join(
            f"{case.get('name')}: {case.get('status')}\n{case.findtext('system-out') or ''}" for case in bad
        )


def conform(start_portolan: StartPortolan, folder: Path, settings: dict[str, str], switches: dict[str, str]) -> Results:
    program = require("conformance")
    service = start_portolan(settings)
    person = service.add_person("conformance")
    own = {key: value for key, value in os.environ.items() if not key.startswith("OCI_")}
    done = subprocess.run(
        [program],
        cwd=folder,
        env=own
        | {
            "OCI_REGISTRY": service.address,
            "OCI_TLS": "disabled",
            "OCI_REPO1": "conformance/first",
            "OCI_REPO2": "conformance/second",
            "OCI_USERNAME": person.name,
            "OCI_PASSWORD": person.password,
            "OCI_RESULTS_DIR": str(folder),
        }
        | switches,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (folder / "junit.xml").exists(), done.stdout + done.stderr
    results = Results(folder)
    assert done.returncode == 0, results.told
    return results


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_all_of_the_specification_is_served(start_portolan: StartPortolan, tmp_path: Path, version: str) -> None:
    results = conform(start_portolan, tmp_path, LENIENT, EVERYTHING | {"OCI_VERSION": version})

    assert results.verdicts.keys() == {"passed"}, results.told
    assert results.number > 950
    assert set(results.features.values()) == {"Pass"}, results.features


def test_nothing_but_what_the_settings_forbid_is_missing_by_default(
    start_portolan: StartPortolan, tmp_path: Path
) -> None:
    results = conform(start_portolan, tmp_path, {}, EVERYTHING | {"OCI_DATA_SPARSE": "false"})

    assert results.verdicts.keys() == {"passed"}, results.told
    assert results.number > 950
    assert {name: verdict for name, verdict in results.features.items() if verdict != "Pass"} == {
        "Sparse Manifests": "Disabled"
    }
