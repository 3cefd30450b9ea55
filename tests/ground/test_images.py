"""What the image and compose files promise; docs/images.md tells how they were built and run."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ground.locks import ROOT

DOCKERFILES = [ROOT / room / "Dockerfile" for room in ("inference", "train")]
COMPOSE = [ROOT / "inference" / "docker-compose-inference.yml", ROOT / "train" / "docker-compose-training.yml"]
_PINNED = re.compile(r"^[\w./-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}$")


def _services(path: Path) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["services"]
    return services


def _instructions(path: Path) -> list[tuple[str, str]]:
    joined = path.read_text().replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if re.match(r"[A-Z]+ ", line)]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_is_built_in_stages_on_a_pinned_base_and_is_not_root(path: Path) -> None:
    """The base is one argument with a digest for every stage, and the last user is a number other than 0."""
    instructions = _instructions(path)
    bases = [value for name, value in instructions if name == "ARG" and value.startswith("PYTHON=")]
    assert len(bases) == 1
    assert _PINNED.match(bases[0].removeprefix("PYTHON="))
    stages = [value.split()[0] for name, value in instructions if name == "FROM"]
    assert stages == ["${PYTHON}"] * 3  # packages, the scan, and what is shipped
    last_user = [value for name, value in instructions if name == "USER"][-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last_user)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_installs_locked_packages_only(path: Path) -> None:
    """Every package is held to its hash, and nothing is resolved while an image is built."""
    installs = [value for name, value in _instructions(path) if name == "RUN" and " pip " in value]
    assert installs
    assert all("--require-hashes" in value and "--no-deps" in value for value in installs)


def test_the_serving_image_holds_two_rooms() -> None:
    """What is not needed to serve is not there to be attacked."""
    instructions = _instructions(DOCKERFILES[0])
    last = max(place for place, (name, _) in enumerate(instructions) if name == "FROM")
    copied = [value.split()[-2:] for name, value in instructions[last:] if name == "COPY"]
    assert copied == [
        ["/opt/segue", "/opt/segue"],
        ["segue", "/app/segue"],
        ["inference", "/app/inference"],
        ["/tmp/_scan.so", "/app/inference/_scan.so"],
    ]


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_every_service_of_ours_can_write_nowhere_and_gain_nothing(path: Path) -> None:
    """Read-only root, no capabilities, no new privileges, a user that is not root, and ports on this machine alone."""
    for service in _services(path).values():
        assert "no-new-privileges:true" in service["security_opt"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        if service["image"].startswith("segue-"):
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
        else:
            assert _PINNED.match(service["image"])


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_what_people_bring_is_mounted_read_only(path: Path) -> None:
    """Bundles and playlists cannot be changed from inside, and a wrong path is not made up as an empty folder."""
    mounts = [m for service in _services(path).values() for m in service.get("volumes", []) if isinstance(m, dict)]
    assert mounts
    assert all(mount["read_only"] and not mount["bind"]["create_host_path"] for mount in mounts)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_no_password_stands_in_a_compose_file(path: Path) -> None:
    """Names and passwords come from the environment, and have no default."""
    for service in _services(path).values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"KEY|PASSWORD|SECRET|USER", name):
                assert re.match(r"^\$\{\w+:\?", value), f"{name} has the value {value!r}."


def test_the_serving_container_is_ready_when_it_says_so() -> None:
    """Its health is the service's own readiness."""
    assert "/ready" in " ".join(_services(COMPOSE[0])["inference"]["healthcheck"]["test"])
