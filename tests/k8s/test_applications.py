"""Argo CD's applications name what is there, and all of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.pods import Renders, pods
from tests.k8s.rendering import objects, render

OTHERS = "http://git.git.svc/other.git"
RAY = {"k8s/platform/ray/operator", "k8s/platform/ray/cluster"}
# Rendered by no application: the roots are what Ansible's own two point to, SeaweedFS and Ray are components that an
# installation asks for.
BESIDE = {"k8s/roots/platform", "k8s/roots/segue", "k8s/platform/objects/seaweedfs"} | RAY


def of(rendered: Renders, root: str) -> list[dict[str, Any]]:
    return [one for one in rendered[f"k8s/roots/{root}"] if one["kind"] == "Application"]


def sources(rendered: Renders) -> list[str]:
    ours = [
        one for root in ("platform", "segue") for one in of(rendered, root) if "example" in str(one["spec"]["source"])
    ]
    sets = [one["spec"]["template"] for one in rendered["k8s/roots/segue"] if one["kind"] == "ApplicationSet"]
    return [one["spec"]["source"]["path"] for one in [*ours, *sets]]


def test_every_folder_has_its_application(rendered: Renders) -> None:
    """And every application its folder; an environment's is named by the pin that it stands beside."""
    named = {path for path in sources(rendered) if "{{" not in path}
    environments = {f"k8s/environments/{name}" for name in ("staging", "canary", "production")}
    assert named == set(rendered) - BESIDE - environments
    assert "{{ .path.path }}" in sources(rendered)


def test_a_commit_renders_only_what_it_changes(copy: Path, rendered: Renders) -> None:
    """An application names every folder that its render reads: where none has changed, Argo CD keeps the render."""
    found = [one for root in ("platform", "segue") for one in of(rendered, root)]
    found += [one["spec"]["template"] for one in rendered["k8s/roots/segue"] if one["kind"] == "ApplicationSet"]
    ours = [one for one in found if "example" in str(one["spec"]["source"])]
    assert len(ours) == len(sources(rendered))
    for one in ours:
        path = one["spec"]["source"]["path"].replace("{{ .path.path }}", "k8s/environments/canary")
        named = one["metadata"]["annotations"]["argocd.argoproj.io/manifest-generate-paths"].split(";")
        covered = [copy / (path if folder == "." else folder.removeprefix("/")) for folder in named]
        assert all(folder.is_dir() for folder in covered)
        assert [f for f in read_by(copy / path) if not any(f.is_relative_to(c) for c in covered)] == []


def read_by(folder: Path) -> set[Path]:
    """Return the folders that a kustomization reads, its own among them."""
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    others = [folder / name for key in ("resources", "components") for name in said.get(key, [])]
    return {folder}.union(*(read_by(other.resolve()) for other in others if other.is_dir()))


def test_an_environment_comes_to_be_with_its_first_pin(rendered: Renders) -> None:
    """Argo CD makes an application of each pin that names a bundle, and removes nothing when it cannot read them."""
    (one,) = [
        o
        for o in rendered["k8s/roots/segue"]
        if o["kind"] == "ApplicationSet" and o["metadata"]["name"] == "environments"
    ]
    (generator,) = one["spec"]["generators"]
    assert generator["git"]["files"] == [{"path": "k8s/environments/*/bundle.yaml"}]
    assert generator["selector"]["matchExpressions"] == [{"key": "digest", "operator": "NotIn", "values": [""]}]
    assert one["spec"]["syncPolicy"]["preserveResourcesOnDeletion"] is True


def test_what_others_stand_on_comes_first(rendered: Renders) -> None:
    """Definitions, then store and database, then what uses them."""
    wave = {
        one["metadata"]["name"]: int(one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for one in of(rendered, "platform")
    }
    assert wave["gateway-api"] < wave["traefik"]
    assert wave["traefik-definitions"] < wave["traefik"]
    assert wave["argo-workflows-definitions"] < wave["argo-workflows"]
    assert max(wave["objects"], wave["postgres"]) < min(wave["mlflow"], wave["argo-workflows"])


def test_ray_comes_to_who_asks_for_it(copy: Path, rendered: Renders) -> None:
    """By two components: the operator with the platform, the cluster with the steps whose volume it shares."""
    found: dict[str, dict[str, Any]] = {}
    for root, component in (("platform", "ray"), ("segue", "ray-cluster")):
        assert not [one for one in of(rendered, root) if "ray" in one["metadata"]["name"]]
        folder = copy / "k8s" / "roots" / root
        file = folder / "kustomization.yaml"
        mirror = [{"op": "replace", "path": "/data/kuberay", "value": OTHERS}]
        patches = [{"target": {"kind": "ConfigMap", "name": "source"}, "patch": yaml.safe_dump(mirror)}]
        asked = {"components": [f"../components/{component}"]} | ({"patches": patches} if component == "ray" else {})
        file.write_text(file.read_text() + yaml.safe_dump(asked))
        found |= {one["metadata"]["name"]: one for one in objects(render(folder)) if one["kind"] == "Application"}
    new = {name: one["spec"]["source"] for name, one in found.items() if "ray" in name}
    assert {source["path"] for source in new.values()} == RAY | {"ray-operator/config/crd"}
    assert new["kuberay-definitions"]["repoURL"] == OTHERS
    assert new["ray"]["repoURL"] == new["kuberay"]["repoURL"] == found["mlflow"]["spec"]["source"]["repoURL"]
    waves = ("kuberay-definitions", "kuberay")
    first, then = (int(found[name]["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for name in waves)
    assert first < then


def test_seaweedfs_takes_minios_place_where_it_is_asked_for(copy: Path, rendered: Renders) -> None:
    """One component: the application of the object store, and nothing else, has another folder."""
    file = copy / "k8s/roots/platform/kustomization.yaml"
    file.write_text(file.read_text() + yaml.safe_dump({"components": ["../components/seaweedfs"]}))
    before, after = rendered["k8s/roots/platform"], objects(render(file.parent))
    changed = [(was, now) for was, now in zip(before, after, strict=True) if was != now]
    ((minio, seaweedfs),) = changed
    assert minio["metadata"]["name"] == "objects"
    assert seaweedfs["spec"]["source"].pop("path") == "k8s/platform/objects/seaweedfs"
    assert minio["spec"]["source"].pop("path") == "k8s/platform/objects/minio"
    assert minio == seaweedfs


def test_prometheus_may_ask_where_pods_say(rendered: Renders) -> None:
    """A policy of its namespace lets Prometheus in at the port that a pod of the object store names for its metrics."""
    for folder in ("k8s/platform/objects/minio", "k8s/platform/objects/seaweedfs"):
        (metadata,) = (m for where, m, _ in pods({folder: rendered[folder]}) if " StatefulSet " in where)
        policies = [one["spec"]["ingress"] for one in rendered[folder] if one["kind"] == "NetworkPolicy"]
        open_to_it = [
            str(port["port"]) for (rule,) in policies if "monitoring" in str(rule["from"]) for port in rule["ports"]
        ]
        assert metadata["annotations"]["prometheus.io/port"] in open_to_it


@pytest.mark.parametrize("root", ["platform", "segue"])
def test_git_is_the_truth(root: str, rendered: Renders) -> None:
    """What somebody changes by hand is put back, and an application that fails is tried again."""
    for one in of(rendered, root):
        assert one["spec"]["syncPolicy"]["automated"]["selfHeal"] is True
        assert one["spec"]["syncPolicy"]["retry"]["limit"] == -1
        assert one["spec"]["project"] == root


def test_definitions_are_never_removed(rendered: Renders) -> None:
    """What they define would go with them."""
    upstream = [
        one for one in of(rendered, "platform") if one["spec"]["source"]["repoURL"].startswith("https://github.com/")
    ]
    assert len(upstream) == 3
    for one in upstream:
        assert one["spec"]["syncPolicy"]["automated"]["prune"] is False
        assert "finalizers" not in one["metadata"]
        assert one["spec"]["source"]["targetRevision"].startswith("v")


@pytest.mark.parametrize("root", ["platform", "segue"])
def test_one_patch_says_where_the_repositories_are(root: str, copy: Path) -> None:
    """As the root application of an installation says it; nothing of the default is left."""
    file = copy / "k8s" / "roots" / root / "kustomization.yaml"
    names = yaml.safe_load((file.parent / "source.yaml").read_text())["data"]
    steps = [{"op": "replace", "path": f"/data/{name}", "value": OTHERS} for name in names if name != "revision"]
    patch = {"patches": [{"target": {"kind": "ConfigMap", "name": "source"}, "patch": yaml.safe_dump(steps)}]}
    file.write_text(file.read_text() + yaml.safe_dump(patch))
    text = render(file.parent)
    assert "example.com" not in text
    assert "github.com" not in text
    assert {one["spec"]["source"]["repoURL"] for one in objects(text) if one["kind"] == "Application"} == {OTHERS}
