"""A bundle has a second, smaller one in it: the next version of Kubernetes, for a cluster to be taken to."""

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from airgap import bundle
from airgap.components import GoComponent, read

COMPONENTS = read()
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is missing and layers are packed with it.")
PROGRAMS = ("kubeadm", "kubelet", "kubectl", "kube-scheduler")
IMAGES = [
    {
        "name": "registry.k8s.io/kube-scheduler:{kubernetes}",
        "files": {"/usr/local/bin/kube-scheduler": "go:kubernetes/kube-scheduler"},
    },
    {"name": "registry.k8s.io/etcd:3.6.8-0", "files": {"/usr/local/bin/etcd": "go:etcd/etcd"}},
    {"name": "example.org/tool:{tool}", "on": "pods", "files": {"/tool": "go:tool/tool"}},
]


def _parts(folder: Path) -> bundle.Ingredients:
    versions = {"kubernetes": "v1.2.3", "kubernetes-next": "v1.2.4"}
    for name, version in versions.items():
        (folder / name).mkdir()
        for program in PROGRAMS:
            (folder / name / program).write_text(f"{program} {version}")
    go = {name: GoComponent(name, "k8s.io/kubernetes", version, commands={}) for name, version in versions.items()}
    built = {name: folder / name for name in versions}
    return bundle.Ingredients(
        go=go,
        built=built,
        wheels={},
        layers={},
        rootfs=folder,
        packages=folder,
        compiled={},
        versions=versions,
    )


@needs_zstd
def test_it_has_what_an_upgrade_changes_and_nothing_else(tmp_path: Path) -> None:
    """Programs, images and the bill are of the next version; etcd, CoreDNS and what pods run are not in it."""
    bundle.upgrade(IMAGES, _parts(tmp_path), tmp_path / "next")
    programs = {path.name: path.read_text() for path in (tmp_path / "next/bin").iterdir()}
    assert programs == {name: f"{name} v1.2.4" for name in ("kubeadm", "kubelet", "kubectl")}
    bill = json.loads((tmp_path / "next/bill.json").read_text())
    assert bill["modules"] == {"kubernetes": "k8s.io/kubernetes@v1.2.4"}
    assert [*bill["archives"]] == ["cluster"]
    assert [*bill["archives"]["cluster"]["images"]] == ["registry.k8s.io/kube-scheduler:v1.2.4"]
    with tarfile.open(tmp_path / "next/images-cluster.tar") as layout:
        index = layout.extractfile("index.json")
        assert index is not None
        names = [entry["annotations"]["io.containerd.image.name"] for entry in json.load(index)["manifests"]]
    assert names == ["registry.k8s.io/kube-scheduler:v1.2.4"]


@needs_zstd
def test_an_archive_is_written_again_only_when_something_in_it_has_changed(tmp_path: Path) -> None:
    """A node loads an archive that has changed, gigabytes of it, so the version of what is not in it has no say."""
    parts, archive = _parts(tmp_path), tmp_path / "next/images-cluster.tar"
    bundle.upgrade(IMAGES, parts, tmp_path / "next")
    written = archive.stat().st_mtime_ns
    bundle.upgrade(IMAGES, replace(parts, versions=parts.versions | {"tool": "v2"}), tmp_path / "next")
    assert archive.stat().st_mtime_ns == written
    bundle.upgrade(IMAGES, replace(parts, versions=parts.versions | {"kubernetes-next": "v1.2.5"}), tmp_path / "next")
    assert archive.stat().st_mtime_ns > written


def test_the_next_version_is_one_that_an_upgrade_may_go_to() -> None:
    """It is the same module, a patch release later, made of the same programs."""
    now, after = COMPONENTS["kubernetes"], COMPONENTS["kubernetes-next"]
    assert (after.module, after.commands) == (now.module, now.commands)
    (*minor, patch), (*minor_after, patch_after) = now.version.split("."), after.version.split(".")
    assert minor == minor_after
    assert int(patch_after) > int(patch)


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes-next"])
def test_kubernetes_says_the_version_that_it_is(name: str) -> None:
    """Nodes are asked for it, and kubeadm names its images by it."""
    component = COMPONENTS[name]
    said = {value for stamp, value in component.stamps.items() if stamp.endswith("gitVersion")}
    assert said == {component.version}
    assert component.staging.removeprefix("v0") == component.version.removeprefix("v1")
