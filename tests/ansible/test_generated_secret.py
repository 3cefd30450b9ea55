"""The keys that bootstrap makes: publishing can sign with the one half, and pods trust the other."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

pytest.importorskip("ansible.module_utils.basic", reason="ansible-core is missing; requirements/cluster.txt has it.")

ANSIBLE = Path(__file__).parents[2] / "ansible"
MODULE = ANSIBLE / "plugins/modules/generated_secret.py"
# A cluster of files: kubectl get, create and nothing else, as the module calls them.
_KUBECTL = """#!{python}
import base64, json, sys
from pathlib import Path
cluster, words = Path({cluster!r}), sys.argv[3:]
if words[0] == "create":
    one = json.load(sys.stdin)
    data = {{**one.get("data", {{}}), **{{key: base64.b64encode(text.encode()).decode()
             for key, text in one.get("stringData", {{}}).items()}}}}
    name = one["metadata"].get("namespace", "") + "." + one["metadata"]["name"]
    assert not (cluster / name).exists()
    (cluster / name).write_text(json.dumps({{"data": data}}))
else:
    name = ("" if words[1] == "namespace" else words[words.index("-n") + 1]) + "." + words[2]
    if (cluster / name).exists():
        print((cluster / name).read_text())
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """An empty one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "cluster").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(_KUBECTL.format(python=sys.executable, cluster=str(tmp_path / "cluster")))
    kubectl.chmod(0o755)
    return tmp_path / "cluster"


def make(cluster: Path, name: str) -> bool:
    """Call the module as the role does for the Secret ``name``; return whether it changed anything."""
    defaults = yaml.safe_load((ANSIBLE / "roles/secrets/defaults/main.yml").read_text())
    (wanted,) = [one for one in defaults["secrets_wanted"] if one["name"] == name]
    environment = {**os.environ, "PATH": f"{cluster.parent / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, str(MODULE)], input=json.dumps({"ANSIBLE_MODULE_ARGS": wanted}), env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return bool(json.loads(done.stdout)["changed"])


def data(cluster: Path, namespace: str, name: str) -> dict[str, bytes]:
    found: dict[str, Any] = json.loads((cluster / f"{namespace}.{name}").read_text())["data"]
    return {key: b64decode(value) for key, value in found.items()}


def test_pods_trust_the_key_that_publishing_signs_with(cluster: Path) -> None:
    """In every environment, of a curve that model-signing takes, the public half alone; a second run keeps both."""
    assert [make(cluster, name) for name in ("segue-signing-key", "segue-trusted-keys")] == [True, True]
    made = data(cluster, "workflows", "segue-signing-key")
    private = load_pem_private_key(made["key.pem"], None)
    assert private.curve.name == "secp256r1"  # type: ignore[union-attr]  # another kind has no curve, and fails
    for environment in ("staging", "canary", "production"):
        ((name, public),) = data(cluster, f"segue-{environment}", "segue-trusted-keys").items()
        assert name.endswith(".pem")
        assert load_pem_public_key(public) == private.public_key()
        assert b"PRIVATE" not in public
    assert [make(cluster, name) for name in ("segue-signing-key", "segue-trusted-keys")] == [False, False]
    assert data(cluster, "workflows", "segue-signing-key") == made
