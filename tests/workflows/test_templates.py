"""The templates hold what docs/platform.md promises of them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflows.commands import WORKFLOWS, steps, templates

LEARNED = ("lightgcn", "text", "projector", "llara", "export")


def step(name: str) -> dict[str, Any]:
    return dict(steps())[name]


def files() -> list[Path]:
    """Return the files that hold something of Argo's."""
    return [*sorted(WORKFLOWS.glob("*-*.yaml")), WORKFLOWS / "retrain.yaml"]


def test_the_readme_command_needs_nothing_more() -> None:
    """`argo submit --from workflowtemplate/train-model -p model-version=0`: every other parameter has a value."""
    parameters = templates()["train-model"]["spec"]["arguments"]["parameters"]
    assert parameters[0]["name"] == "model-version"
    assert all("value" in parameter for parameter in parameters)


def test_no_step_that_is_tried_again_remembers() -> None:
    """Argo 3.7.3 loses sight of what follows such a step once it is remembered, and the run never ends."""
    every = [one for template in templates().values() for one in template["spec"]["templates"]]
    assert any("memoize" in one for one in every)
    assert not [one["name"] for one in every if "memoize" in one and "retryStrategy" in one]


@pytest.mark.parametrize("name", LEARNED)
def test_what_was_learned_before_is_not_learned_again(name: str) -> None:
    """A stage is remembered by the key that the first step worked out for it (test_scripts.py tells of what)."""
    made = {one["name"]: one for one in templates()["train-model"]["spec"]["templates"]}
    assert made[f"remembered-{name}"]["memoize"]["key"] == f"{name}-{{{{inputs.parameters.key}}}}"
    assert [one["template"] for one in made[f"remembered-{name}"]["dag"]["tasks"]] == [name]
    task = next(one for one in made["train"]["dag"]["tasks"] if one["name"] == name)
    assert task["template"] == f"remembered-{name}"
    given = {one["name"]: one["value"] for one in task["arguments"]["parameters"]}
    assert given["key"] == f"{{{{tasks.ingest.outputs.parameters.key-{name}}}}}"


@pytest.mark.parametrize("name", ["lightgcn", "llara"])
def test_a_killed_stage_finds_its_checkpoint(name: str) -> None:
    """It stands on a volume that outlives the pod, where the stage looks: beside its output."""
    container = step(f"train-model/{name}")["container"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "checkpoints" and "subPath" in one]
    assert mount["mountPath"] == f"/srv/segue/{name}.checkpoints"
    assert f"output=/srv/segue/{name}" in container["args"][0]


@pytest.mark.parametrize("name", ["lightgcn", "llara"])
def test_workers_train_on_the_ray_cluster(name: str) -> None:
    """By default nothing of it is asked. With more, step and workers have one image, token and folder of files."""
    parameters = templates()["train-model"]["spec"]["arguments"]["parameters"]
    assert {"workers": "1"}.items() <= {one["name"]: one["value"] for one in parameters}.items()
    template = step(f"train-model/{name}")
    assert "workers == '1' ? '{}'" in template["podSpecPatch"]
    variables = {one["name"]: one for one in template["container"]["env"]}
    shared = {"name": "checkpoints", "mountPath": variables["SEGUE_SHARED"]["value"]}
    assert shared in template["container"]["volumeMounts"]
    ray = next(yaml.safe_load_all((WORKFLOWS.parent / "k8s/platform/ray/cluster/cluster.yaml").read_text()))
    assert variables["RAY_ADDRESS"]["value"].startswith(f"ray://{ray['metadata']['name']}-head-svc.workflows.svc:")
    for group in (ray["spec"]["headGroupSpec"], *ray["spec"]["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] in template["podSpecPatch"]
        assert shared in container["volumeMounts"]
        (token,) = [one for one in container["env"] if one["name"] == "RAY_AUTH_TOKEN"]
        secret = token["valueFrom"]["secretKeyRef"]
        assert {**secret, "optional": True} == variables["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]


@pytest.mark.parametrize("name", ["ingest", *LEARNED, "gate"])
def test_what_cannot_pass_is_not_tried_again(name: str) -> None:
    """A dataset or a setting that is refused stays refused: only a pod that was killed or lost is started again."""
    expression = step(f"train-model/{name}")["retryStrategy"]["expression"]
    assert 'lastRetry.status == "Error"' in expression
    assert ">= 128" in expression


TRIED_AGAIN = ["train-model/incumbent", "train-model/publish", "promote-model/promote", "rollback-model/roll-back"]


@pytest.mark.parametrize("name", TRIED_AGAIN)
def test_what_may_pass_is_tried_again_with_growing_pauses(name: str) -> None:
    """The store, the registry and Git can be away for a while."""
    strategy = step(name)["retryStrategy"]
    assert strategy["retryPolicy"] == "Always"
    # what a promotion took back stays back
    assert ("expression" in strategy) == (name == "promote-model/promote")
    assert int(strategy["backoff"]["factor"]) >= 2


def test_a_rollback_that_is_tried_again_is_the_same_request() -> None:
    """Told by what no other workflow has, whatever its submitter calls it."""
    variables = step("rollback-model/roll-back")["container"]["env"]
    assert {"name": "REQUEST", "value": "{{workflow.uid}}"} in variables


def test_nothing_is_staged_without_a_pass() -> None:
    """The workflow asks the verdict, and the command that it then calls asks the report again."""
    train = next(one for one in templates()["train-model"]["spec"]["templates"] if one["name"] == "train")
    staging = next(task for task in train["dag"]["tasks"] if task["name"] == "staging")
    assert staging["when"] == "{{tasks.gate.outputs.parameters.verdict}} == pass"
    outputs = {parameter["name"] for parameter in train["outputs"]["parameters"]}
    assert {"verdict", "reason", "report", "version", "digest"} <= outputs


def test_only_the_step_that_publishes_can_sign() -> None:
    """The private key is mounted there alone, in no workflow's common volumes, and is not optional."""
    for workflow in templates().values():
        assert "segue-signing-key" not in str(workflow["spec"].get("volumes", []))
    holders = {name: template for name, template in steps() if "segue-signing-key" in str(template)}
    assert set(holders) == {"train-model/publish"}
    publish = holders["train-model/publish"]
    (volume,) = publish["volumes"]
    assert "optional" not in volume["secret"]
    (mount,) = publish["container"]["volumeMounts"]
    key = next(one["value"] for one in publish["container"]["env"] if one["name"] == "SEGUE_SIGNING_KEY")
    assert key == f"{mount['mountPath']}/{volume['secret']['items'][0]['path']}"


@pytest.mark.parametrize("name,template", steps(), ids=[name for name, _ in steps()])
def test_a_step_can_write_nowhere_else_and_gain_nothing(name: str, template: dict[str, Any]) -> None:
    """Read-only root, no capabilities but an image builder's, limits, no token, and no root but that builder."""
    workflow = templates()[name.split("/")[0]]["spec"]
    container, pod = template["container"], workflow["securityContext"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert workflow["automountServiceAccountToken"] is False
    assert workflow["executor"] == {"serviceAccountName": "executor"}
    if name != "build-images/image":
        assert (pod["runAsNonRoot"], "add" in container["securityContext"]["capabilities"]) == (True, False)


@pytest.mark.parametrize("name,template", steps(), ids=[name for name, _ in steps()])
def test_no_text_of_a_submitter_becomes_part_of_a_script(name: str, template: dict[str, Any]) -> None:
    """Parameters come in by variables; in a script their text would be a command."""
    assert "{{" not in "".join(template["container"]["args"])


def test_accounts_can_only_tell_what_came_of_a_step() -> None:
    """Of all that the accounts may, one thing: create and change task results."""
    found = [one for one in yaml.safe_load_all((WORKFLOWS / "accounts.yaml").read_text()) if one]
    bound = {one["roleRef"]["name"] for one in found if one["kind"] == "RoleBinding"}
    (role,) = [one for one in found if one["kind"] == "Role" and one["metadata"]["name"] in bound]
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]


def test_argo_finds_nothing_to_complain_about() -> None:
    """Argo's own linter, which also resolves what the templates refer to."""
    if shutil.which("argo") is None:
        pytest.skip("There is no argo command; make airgap builds it.")
    done = subprocess.run(["argo", "lint", "--offline", *map(str, files())], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
