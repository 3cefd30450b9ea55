"""What a serving image is made of: licences that let anybody serve with it, and no version with a known hole."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import pytest

from tests.ground.locks import REQUIREMENTS, read_lock

# Licences that ask for no more than their text to be kept, and weak copyleft, whose files we use and do not change.
_FREE = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "Zlib"}
_WEAK_COPYLEFT = {"MPL-2.0", "LGPL-3.0-only"}
# How packages without a licence expression (PEP 639) say the same.
_SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "mit license": "MIT",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
}


def licences(package: str) -> set[str]:
    """Return the SPDX names of the licences that a package names, as alternatives or together."""
    told: Any = metadata(package)  # its type lacks the methods of the e-mail message that it is
    classifiers = [c.split("::")[-1].strip() for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    text = told.get("License-Expression") or told.get("License") or " AND ".join(classifiers)
    parts = (part.strip(" ()") for part in re.split(r"\s+(?:AND|OR)\s+", text.splitlines()[0] if text else ""))
    return {_SPELLINGS.get(part.lower(), part) for part in parts if part}


@pytest.mark.parametrize("package", sorted(read_lock("serve")))
def test_the_service_may_be_given_away(package: str) -> None:
    """Every package of the serve set has a licence, and one that is on the list; a new one is looked at by a person."""
    try:
        found = licences(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed here; make setup brings it.")
    assert found, f"{package} names no licence."
    assert found <= _FREE | _WEAK_COPYLEFT, f"{package} is under {found - _FREE - _WEAK_COPYLEFT}."


def _audit(requirements: Path) -> "subprocess.CompletedProcess[str]":
    options = ["--disable-pip", "--no-deps", "--progress-spinner", "off", "--timeout", "5"]
    command = [sys.executable, "-m", "pip_audit", "-r", str(requirements), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_no_version_has_a_known_hole(tmp_path: Path) -> None:
    """As the advisories of the Python Packaging Authority know them today."""
    pins = read_lock("serve")
    first = tmp_path / "first.txt"
    first.write_text(f"h11=={pins['h11'].version}\n")
    probe = _audit(first)
    if probe.returncode != 0 or "could not be audited" in probe.stdout:
        pytest.skip("The advisories cannot be read from here; make audit tells more where there is an internet.")
    done = _audit(REQUIREMENTS / "serve.txt")
    assert done.returncode == 0, done.stdout
