"""Terraform as the tests call it: on a copy of tf/, with the mirror's providers and nothing of the caller's cloud.

The two marks say which tests need what, and what to do where it is missing.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ground.locks import ROOT

MIRROR = ROOT / "build" / "terraform-providers" / "terraformrc"

needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None,
    reason="Terraform is not installed; docs/machines.md says which version to take.",
)
needs_providers = pytest.mark.skipif(
    not MIRROR.exists(), reason="The Terraform providers are not built; `make tf-providers` builds them."
)

Message = dict[str, Any]


def copy_tf(to: Path) -> Path:
    """Copy tf/ to `to`, so that locks, caches and states of a test stay out of the working tree."""
    left = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "*.tfbackend")
    return Path(shutil.copytree(ROOT / "tf", to / "tf", ignore=left))


def terraform(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `terraform ARGUMENTS` in `folder`, without colours, questions or calls to anybody."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "AWS_", "TF_"))}
    settings = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_CLI_ARGS": "-no-color"}
    config = {"TF_CLI_CONFIG_FILE": str(MIRROR if MIRROR.exists() else os.devnull)}
    return subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        env=inherited | settings | config | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def messages(done: subprocess.CompletedProcess[str]) -> Iterator[Message]:
    """Give the messages of a command that ran with -json."""
    for line in done.stdout.splitlines():
        yield json.loads(line)


def refusals(done: subprocess.CompletedProcess[str]) -> str:
    """Give what a command that ran with -json said in its errors, as one text."""
    return "\n".join(
        said["diagnostic"]["detail"]
        for said in messages(done)
        if said["type"] == "diagnostic" and said["diagnostic"]["severity"] == "error"
    )
