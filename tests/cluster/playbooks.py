"""Ansible, as a test calls it."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.cluster.machines import PLATFORM

ANSIBLE = Path(__file__).parents[2] / "ansible"
LOG = Path(__file__).parents[2] / "build/cluster/ansible.log"


def play(playbook: str, **variables: str) -> int:
    """Run a playbook against the local machines and return how many tasks changed something.

    Raises:
        AssertionError: If a task fails; the message is the end of what Ansible said.
    """
    asked = json.dumps({**PLATFORM, **variables})
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    command = ["ansible-playbook", "--inventory", "inventory/local", playbook, "--extra-vars", asked]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("a+") as log:  # a file, so that a person can follow it
        began = log.tell()
        done = subprocess.run(command, cwd=ANSIBLE, env=environment, stdout=log, stderr=subprocess.STDOUT)
        log.seek(began)
        said = log.read()
    assert done.returncode == 0, f"{playbook} failed; {LOG} has all of it:\n{said[-4000:]}"
    counts = re.findall(r"changed=(\d+)", said)
    assert counts, f"{playbook} reached no machine."
    return sum(map(int, counts))
