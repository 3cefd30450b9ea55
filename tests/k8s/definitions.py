"""Upstream's own definitions of every kind that we write, out of the archives of their Go modules.

A definition refuses what it does not name: a field that is misspelled is found here, and not by a pod that lacks it.
"""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

KUBERNETES = "k8s.io/kubernetes@v1.36.3"
_SWAGGER = "api/openapi-spec/swagger.json"
_ARGO = "github.com/argoproj/argo-workflows/v3@v3.7.3", "manifests/base/crds/full/argoproj.io_{}.yaml"
_ARGO_CD = "github.com/argoproj/argo-cd/v3@v3.5.7", "manifests/crds/{}-crd.yaml"
_GATEWAY = "sigs.k8s.io/gateway-api@v1.6.1", "config/crd/standard/gateway.networking.k8s.io_{}.yaml"
_TRAEFIK = "github.com/traefik/traefik/v3@v3.7.13", "docs/content/reference/dynamic-configuration/traefik.io_{}.yaml"
_RAY = "github.com/ray-project/kuberay/ray-operator@v1.4.2", "config/crd/bases/ray.io_{}.yaml"
_CUSTOM = {
    "WorkflowTemplate": (*_ARGO, "workflowtemplates"),
    "CronWorkflow": (*_ARGO, "cronworkflows"),
    "Application": (*_ARGO_CD, "application"),
    "ApplicationSet": (*_ARGO_CD, "applicationset"),
    "AppProject": (*_ARGO_CD, "appproject"),
    "Gateway": (*_GATEWAY, "gateways"),
    "GatewayClass": (*_GATEWAY, "gatewayclasses"),
    "HTTPRoute": (*_GATEWAY, "httproutes"),
    "RayCluster": (*_RAY, "rayclusters"),
    "Middleware": (*_TRAEFIK, "middlewares"),
    "TraefikService": (*_TRAEFIK, "traefikservices"),
}


def problems(one: dict[str, Any]) -> list[str]:
    """Return what upstream's definition of an object's kind finds wrong with it.

    Skips the test that asks where the definition is not at hand.
    """
    group, _, version = one["apiVersion"].rpartition("/")
    found = definition(one["kind"]) if one["kind"] in _CUSTOM else built_in(group, version, one["kind"])
    return [f"{'.'.join(map(str, problem.path))}: {problem.message}" for problem in found.iter_errors(one)]


@cache
def definition(kind: str) -> Draft202012Validator:
    """Return what a custom kind has to be; some of these are a megabyte of YAML."""
    module, path, name = _CUSTOM[kind]
    found = yaml.load((_archive(module) / path.format(name)).read_text(), Loader=yaml.CSafeLoader)
    schema = next(one for one in found["spec"]["versions"] if one["storage"])["schema"]["openAPIV3Schema"]
    return Draft202012Validator(closed(schema))


@cache
def built_in(group: str, version: str, kind: str) -> Draft202012Validator:
    """Return what a kind of Kubernetes' own has to be."""
    wanted = {"group": group, "version": version, "kind": kind}
    every = _kubernetes()
    name = next(name for name, one in every.items() if wanted in one.get("x-kubernetes-group-version-kind", []))
    return Draft202012Validator({"$ref": f"#/definitions/{name}", "definitions": every})


@cache
def _kubernetes() -> dict[str, Any]:
    found = json.loads((_archive(KUBERNETES) / _SWAGGER).read_text())["definitions"]
    return {name: closed(one) | _group(one) for name, one in found.items()}


def _group(one: dict[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("x-kubernetes-group-version-kind",) if name in one}


def _archive(module: str) -> Path:
    if shutil.which("go") is None:
        pytest.skip("There is no go command, by which upstream's definitions come.")
    done = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip()) / module
    if not folder.is_dir():
        pytest.skip(f"Upstream's definitions are not at hand; go mod download {module} brings them.")
    return folder


def closed(schema: Any) -> Any:
    """Return a schema that refuses fields that it does not name, in JSON Schema's words."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string" or _quantity(schema):
        return {"type": ["integer", "number", "string"]}
    plain = {
        name: closed(value) for name, value in schema.items() if name not in ("description", "format", "properties")
    }
    if "properties" in schema:
        plain["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            plain.setdefault("additionalProperties", False)
    return plain


def _quantity(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and "fixed-point representation" in str(schema.get("description"))
