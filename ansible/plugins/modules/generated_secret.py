#!/usr/bin/python
"""Keep a Kubernetes Secret whose values nobody has to know: made once, at random, and never changed again."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: generated_secret
short_description: A Kubernetes Secret with random values
description:
  - Makes the Secret in every namespace that lacks it, and the namespaces too.
  - The first namespace that has it gives the values to the others; values that exist are never changed.
options:
  name: {description: Name of the Secret., type: str, required: true}
  namespaces: {description: Where it has to stand., type: list, elements: str, required: true}
  random: {description: Keys whose values are made at random., type: list, elements: str, default: []}
  signing_key:
    description: A key whose value is a new private key in PEM, of the curve P-256; its public half is `public-key`.
    type: str
    default: ""
  fixed: {description: Keys and values that are no secret, such as a user's name., type: dict, default: {}}
  source: {description: "Another Secret, as NAMESPACE/NAME, whose values `formats` may name.", type: str, default: ""}
  formats: {description: "Keys and texts with {KEY} where a value of `source` goes.", type: dict, default: {}}
  kubeconfig: {description: How to reach the cluster., type: path, default: /etc/kubernetes/admin.conf}
"""


class Cluster:
    """kubectl, for namespaces and Secrets."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return the Secret's data in base64, or None if there is none."""
        found = self._kubectl("get", "secret", name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(found)["data"] if found.strip() else None

    def create(self, manifest: dict[str, Any]) -> None:
        """Create one object."""
        self._kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    def has_namespace(self, name: str) -> bool:
        """Return whether there is such a namespace."""
        return bool(self._kubectl("get", "namespace", name, "-o", "name", "--ignore-not-found").strip())

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = ["kubectl", "--kubeconfig", self._module.params["kubeconfig"], *arguments]
        status, output, error = self._module.run_command(command, data=stdin)
        if status:
            self._module.fail_json(msg=f"kubectl {arguments[0]} failed: {error.strip()}")
        return str(output)


def main() -> None:
    """Make what is missing."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "namespaces": {"type": "list", "elements": "str", "required": True},
            "random": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "signing_key": {"type": "str", "default": "", "no_log": False},
            "fixed": {"type": "dict", "default": {}},
            "source": {"type": "str", "default": ""},
            "formats": {"type": "dict", "default": {}},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        }
    )
    cluster, wanted = Cluster(module), module.params
    found = {namespace: cluster.secret(namespace, wanted["name"]) for namespace in wanted["namespaces"]}
    missing = [namespace for namespace, data in found.items() if data is None]
    if missing:
        kept = next((data for data in found.values() if data is not None), None)
        values = {"data": kept} if kept is not None else {"stringData": _values(module, cluster)}
        for namespace in missing:
            _create(cluster, namespace, wanted["name"], values)
    module.exit_json(changed=bool(missing), namespaces=missing)


def _create(cluster: Cluster, namespace: str, name: str, values: dict[str, Any]) -> None:
    if not cluster.has_namespace(namespace):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    metadata = {"name": name, "namespace": namespace}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **values})


def _values(module: AnsibleModule, cluster: Cluster) -> dict[str, str]:
    values: dict[str, str] = {key: secrets.token_urlsafe(32) for key in module.params["random"]}
    values |= module.params["fixed"]
    if module.params["source"]:
        namespace, _, name = module.params["source"].partition("/")
        data = cluster.secret(namespace, name)
        if data is None:
            module.fail_json(
                msg=f"The Secret {name} is missing in {namespace}; list it before {module.params['name']}."
            )
        known = {key: base64.b64decode(value).decode() for key, value in data.items()}
        values |= {key: text.format_map(known) for key, text in module.params["formats"].items()}
    if key := module.params["signing_key"]:
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        values[key] = module.run_command(["openssl", "genpkey", *curve], check_rc=True)[1]
        values["public-key"] = module.run_command(["openssl", "pkey", "-pubout"], data=values[key], check_rc=True)[1]
    return values


if __name__ == "__main__":
    main()
