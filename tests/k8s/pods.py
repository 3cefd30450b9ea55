"""Every pod that a render makes, whatever makes it."""

from collections.abc import Iterator, Mapping
from typing import Any

Renders = Mapping[str, list[dict[str, Any]]]


def pods(rendered: Renders) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield where a pod comes from (folder, kind and name), its metadata and its spec."""
    for folder, found in rendered.items():
        for one in found:
            for template in _templates(one):
                yield (
                    f"{folder} {one['kind']} {one['metadata']['name']}",
                    template.get("metadata", {}),
                    template["spec"],
                )


def _templates(one: dict[str, Any]) -> list[dict[str, Any]]:
    if one["kind"] == "RayCluster":
        return [group["template"] for group in (one["spec"]["headGroupSpec"], *one["spec"]["workerGroupSpecs"])]
    return [one["spec"]["template"]] if one["kind"] in _MAKERS else []


def containers(rendered: Renders) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every container with where it comes from."""
    for where, _, pod in pods(rendered):
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{where} {container['name']}", container


_MAKERS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
