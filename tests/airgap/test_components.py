"""What the bundle is made of is said once, and everything else agrees with it."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from airgap import mirrors, rooms
from airgap.components import HERE, read

ROOT = Path(__file__).parents[2]
COMPONENTS = read()


def _defaults(role: str) -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load((ROOT / "ansible/roles" / role / "defaults/main.yml").read_text())
    return defaults


@pytest.mark.parametrize("name", [*COMPONENTS])
def test_a_component_is_pinned_at_its_version(name: str) -> None:
    """go.mod asks for the version that components.toml names, and go.sum knows its content."""
    component = COMPONENTS[name]
    assert f"\t{component.module} {component.version}\n" in (component.folder / "go.mod").read_text()
    assert f"{component.module} {component.version} h1:" in (component.folder / "go.sum").read_text()


@pytest.mark.parametrize("name", [*COMPONENTS])
def test_no_component_is_taken_from_a_folder(name: str) -> None:
    """A replacement by a path would compile what no proxy has published."""
    assert "=> ." not in (COMPONENTS[name].folder / "go.mod").read_text()


def test_every_pinned_module_is_a_component() -> None:
    """Nothing that is pinned is forgotten."""
    assert {folder.name for folder in (HERE / "modules").iterdir()} == set(COMPONENTS)


def test_the_playbook_asks_for_the_versions_of_the_bundle() -> None:
    """With and without internet a node gets the same versions."""
    everywhere = yaml.safe_load((ROOT / "ansible/group_vars/all.yml").read_text())
    machine = _defaults("machine")
    assert everywhere["kubernetes_version"] == COMPONENTS["kubernetes"].version.removeprefix("v")
    assert machine["machine_containerd_version"] == COMPONENTS["containerd"].version.removeprefix("v")
    assert machine["machine_cni_version"] == COMPONENTS["cni"].version.removeprefix("v")
    assert _defaults("argo_cd")["argo_cd_version"] == COMPONENTS["argo-cd"].version.removeprefix("v")


def test_the_bundle_has_the_packages_of_the_playbook() -> None:
    """A node that installs from the bundle finds every package there."""
    table = tomllib.loads((HERE / "components.toml").read_text())["debian"]
    assert table["packages"] == _defaults("machine")["machine_packages"]


def test_images_are_made_of_what_there_is() -> None:
    """Every program that an image names is one that a component makes, and every version is known."""
    tables = tomllib.loads((HERE / "components.toml").read_text())
    versions = {name: component.version for name, component in COMPONENTS.items()}
    versions |= {"segue": rooms.version()} | {name: wheel["version"] for name, wheel in tables["wheel"].items()}
    for image in tomllib.loads((HERE / "images.toml").read_text())["image"]:
        assert "{" not in image["name"].format_map(versions)
        assert set(image.get("layers", [])) <= {"debian", *tables["debian"]["layers"], *tables["python"]}
        assert all((ROOT / room / "__init__.py").is_file() for room in image.get("rooms", []))
        for source in image.get("files", {}).values():
            kind, _, path = source.partition(":")
            component, _, inside = path.partition("/")
            assert kind in {"go", "tree", "c", "wheel", "own"}
            assert kind != "go" or inside in COMPONENTS[component].commands
            assert kind != "own" or (HERE / "files" / path).is_file()


def test_the_bundle_has_every_image_that_the_platform_asks_for() -> None:
    """By the same name and tag; Grafana's cannot be built, and the bundle's cluster goes without it."""
    tables = tomllib.loads((HERE / "images.toml").read_text())["image"]
    wheels = tomllib.loads((HERE / "components.toml").read_text())["wheel"]
    versions = {name: component.version for name, component in COMPONENTS.items()}
    versions |= {"segue": rooms.version()} | {name: f"v{wheel['version']}" for name, wheel in wheels.items()}
    built = {image["name"].format_map(versions).removeprefix("docker.io/library/") for image in tables}
    asked = {
        image.removeprefix("docker.io/library/")
        for render in (ROOT / "tests/k8s/expected").glob("*.yaml")
        for image in re.findall(r"(?m)^\s*(?:- )?image: (\S+)$", render.read_text())
    }
    without = ("docker.io/grafana/", "quay.io/buildah/")
    assert {image for image in asked if not image.startswith(without)} <= built


def test_a_mirror_is_the_same_commit_each_time(tmp_path: Path) -> None:
    """Its one commit has the folders that are asked for and no other, at the tag."""
    (tmp_path / "tree/config/crd").mkdir(parents=True)
    (tmp_path / "tree/config/crd/kind.yaml").write_text("kind: Kind\n")
    (tmp_path / "tree/other.yaml").write_text("left: out\n")
    heads = []
    for name in ("a.git", "b.git"):
        mirrors.mirror(tmp_path / "tree", ["config/crd"], "v1.2.3", tmp_path / name)
        git = ["git", "-C", str(tmp_path / name)]
        listed = subprocess.run([*git, "ls-tree", "-r", "--name-only", "v1.2.3"], stdout=subprocess.PIPE, text=True)
        assert listed.stdout.split() == ["config/crd/kind.yaml"]
        heads.append(subprocess.run([*git, "rev-parse", "v1.2.3"], stdout=subprocess.PIPE, text=True).stdout)
    assert heads[0] == heads[1]


def test_a_mirror_has_a_module_where_upstreams_repository_has_it(tmp_path: Path) -> None:
    """A module can be a folder of its repository, and Argo CD asks for upstream's paths."""
    (tmp_path / "tree/config/crd").mkdir(parents=True)
    (tmp_path / "tree/config/crd/kind.yaml").write_text("kind: Kind\n")
    mirrors.mirror(tmp_path / "tree", ["config/crd"], "v1.2.3", tmp_path / "a.git", "operator")
    listing = ["git", "-C", str(tmp_path / "a.git"), "ls-tree", "-r", "--name-only", "v1.2.3"]
    listed = subprocess.run(listing, stdout=subprocess.PIPE, text=True)
    assert listed.stdout.split() == ["operator/config/crd/kind.yaml"]
