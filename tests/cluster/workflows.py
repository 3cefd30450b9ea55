"""Workflows, as whoever submits them sees them."""

import json
from typing import Any

from tests.cluster.machines import Machines, wait

ENDED = ("Succeeded", "Failed", "Error")


class Workflow:
    """One run of a template."""

    def __init__(self, machines: Machines, name: str) -> None:
        self.name, self._machines = name, machines

    def read(self) -> dict[str, Any]:
        """Return the object as it stands."""
        found = self._machines.kubectl("get", "workflow", self.name, "-n", "workflows", "-o", "json")
        read: dict[str, Any] = json.loads(found)
        return read

    @property
    def phase(self) -> str:
        """Return how far it is: "", Pending, Running, or one of ENDED."""
        return str(self.read().get("status", {}).get("phase", ""))

    def steps(self, template: str) -> list[dict[str, Any]]:
        """Return the pods that a template's step has had, the first one first."""
        nodes = self.read().get("status", {}).get("nodes", {}).values()
        pods = [node for node in nodes if node["type"] == "Pod" and node.get("templateName") == template]
        return sorted(pods, key=lambda node: str(node.get("startedAt", "")))

    def outputs(self) -> dict[str, str]:
        """Return what it gave out at its end."""
        status = self.read()["status"]
        return {p["name"]: p["value"] for p in status.get("outputs", {}).get("parameters", [])} or {
            p["name"]: p["value"] for p in status["nodes"][self.name].get("outputs", {}).get("parameters", [])
        }

    def end(self, seconds: float) -> str:
        """Wait for its end and return its phase."""
        wait(lambda: self.phase in ENDED, seconds, 3)
        return self.phase

    def reaches(self, template: str, seconds: float) -> bool:
        """Wait until a template's step has succeeded or the run has ended, and return whether the step has."""

        def succeeded() -> bool:
            return any(pod["phase"] == "Succeeded" for pod in self.steps(template))

        wait(lambda: succeeded() or self.phase in ENDED, seconds, 3)
        return succeeded()

    def log(self) -> str:
        """Return what its steps have printed."""
        return self._machines.argo("logs", self.name, "--no-color")

    def pods(self, template: str) -> list[str]:
        """Return the names of a template's pods that run."""
        chosen = f"workflows.argoproj.io/workflow={self.name}"
        listed = self._machines.items("pods", "-n", "workflows", "-l", chosen, "--field-selector=status.phase=Running")
        named = [pod["metadata"]["name"] for pod in listed]
        return [name for name in named if f"-{template}-" in name]


def submit(machines: Machines, template: str, **parameters: str) -> Workflow:
    """Submit a template as the README says, with parameters whose names have hyphens for underscores."""
    words = [word for name, value in parameters.items() for word in ("-p", f"{name.replace('_', '-')}={value}")]
    return Workflow(
        machines, machines.argo("submit", "--from", f"workflowtemplate/{template}", *words, "-o", "name").strip()
    )
