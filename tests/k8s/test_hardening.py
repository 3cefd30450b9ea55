"""What holds for every pod of the platform and of every environment."""

import re

import yaml

from tests.k8s.pods import Renders, containers, pods
from tests.k8s.rendering import ROOT

PINNED = re.compile(
    r"^[\w./-]+(:(v?\d+\.\d+[\w.-]*|RELEASE\.\d{4}-\d{2}-\d{2}[\w-]*)|(:[\w.-]+)?@sha256:[0-9a-f]{64})$"
)
# The builder of images is root in its own pod; tests/workflows holds what else it may.
BASELINE = {"workflows"}


def test_there_is_something_to_look_at(rendered: Renders) -> None:
    """A walk that finds no pod would prove nothing."""
    assert len(list(pods(rendered))) >= 14


def test_every_image_is_pinned(rendered: Renders) -> None:
    """To a version or a digest; a name that moves would change the cluster without a commit."""
    for where, container in containers(rendered):
        assert PINNED.match(container["image"]), f"{where}: {container['image']}"


def test_no_pod_is_root(rendered: Renders) -> None:
    """It says so with a number, which Kubernetes can check, and its calls to the kernel are the default ones."""
    for where, _, pod in pods(rendered):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, where
        assert context["runAsUser"] > 0, where
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where


def test_no_container_writes_or_gains_anything(rendered: Renders) -> None:
    """Read-only root, no capabilities, no way to new privileges, nothing of the host's."""
    for where, container in containers(rendered):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, where
        assert context["allowPrivilegeEscalation"] is False, where
        assert context["capabilities"] == {"drop": ["ALL"]}, where
    for where, _, pod in pods(rendered):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), where
        assert not [volume for volume in pod.get("volumes", []) if "hostPath" in volume], where


def test_every_container_has_its_share(rendered: Renders) -> None:
    """Of CPU, memory and disk: what it is given and what it may take at most."""
    for where, container in containers(rendered):
        for part in ("requests", "limits"):
            assert set(container["resources"][part]) == {"cpu", "memory", "ephemeral-storage"}, where
    for where, _, pod in pods(rendered):
        for volume in pod.get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], f"{where} {volume['name']}"


def test_what_runs_for_long_is_watched(rendered: Renders) -> None:
    """It has time to start, and is restarted once it hangs."""
    for where, _, pod in pods(rendered):
        if pod.get("restartPolicy", "Always") == "Always":
            for container in pod["containers"]:
                assert {"startupProbe", "livenessProbe"} <= set(container), where


def test_a_token_is_only_for_who_asks_the_api_server(rendered: Renders) -> None:
    """Who has no rights there gets none."""
    bound = {
        subject["name"]
        for found in rendered.values()
        for one in found
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in one["subjects"]
    }
    for where, _, pod in pods(rendered):
        assert pod.get("automountServiceAccountToken") is False or pod["serviceAccountName"] in bound, where


def test_no_secret_stands_in_git(rendered: Renders) -> None:
    """Secrets are named and never written; the one that is written is an empty form that Kubernetes fills in."""
    for folder, found in rendered.items():
        for one in found:
            if one["kind"] == "Secret":
                assert one["type"] == "kubernetes.io/service-account-token", folder
                assert not {"data", "stringData"} & set(one), folder
    for where, container in containers(rendered):
        for entry in container.get("env", []):
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN|_URI$", entry["name"]):
                assert "secretKeyRef" in entry.get("valueFrom", {}), f"{where} {entry['name']}"


def test_rights_are_named_one_by_one(rendered: Renders) -> None:
    """No role says `*`, none but Traefik reads all Secrets, and nobody is the cluster's administrator."""
    for folder, found in rendered.items():
        for one in found:
            for rule in one.get("rules", []) if one["kind"] in ("Role", "ClusterRole") else []:
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], folder
                if "secrets" in rule["resources"] and set(rule["verbs"]) - {"get"}:
                    assert one["metadata"]["name"] == "traefik", folder
            if one["kind"] == "ClusterRoleBinding":
                assert one["roleRef"]["name"] != "cluster-admin", folder


def test_every_namespace_is_restricted(rendered: Renders) -> None:
    """By Kubernetes' own pod security, and by a network policy over all of its pods."""
    for folder, found in rendered.items():
        for one in found:
            if one["kind"] == "Namespace":
                name = one["metadata"]["name"]
                level = "baseline" if name in BASELINE else "restricted"
                assert one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == level, folder
                if any(where.startswith(f"{folder} ") for where, _, _ in pods(rendered)) and name not in BASELINE:
                    assert any(other["kind"] == "NetworkPolicy" for other in found), folder


def test_what_is_chosen_by_a_label_has_it(rendered: Renders) -> None:
    """A Service or a budget whose selector fits no pod of its render would stand there and do nothing."""
    for folder, found in rendered.items():
        labels = [metadata.get("labels", {}) for where, metadata, _ in pods({folder: found})]
        for one in found:
            selector = (
                one.get("spec", {}).get("selector", {}) if one["kind"] in ("Service", "PodDisruptionBudget") else {}
            )
            wanted = selector.get("matchLabels", selector)
            if wanted:
                assert any(wanted.items() <= pod.items() for pod in labels), f"{folder} {one['metadata']['name']}"


def test_our_images_have_one_version() -> None:
    """Environments, platform and workflows run the code of one commit."""
    tags = set()
    for file in [*ROOT.glob("k8s/**/kustomization.yaml"), ROOT / "workflows" / "kustomization.yaml"]:
        for image in yaml.safe_load(file.read_text()).get("images", []):
            if image["name"].startswith("segue-"):
                tags.add(image["newTag"])
    assert len(tags) == 1
