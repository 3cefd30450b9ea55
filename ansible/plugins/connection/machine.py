"""Reach a machine that `ansible/local/machine` made, in place of SSH."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: machine
short_description: Run tasks in a machine made of namespaces
description:
  - Enters the namespaces of a machine that C(ansible/local/machine) made on this host, as root.
options:
  command:
    description: The program that makes and enters machines.
    type: path
    required: true
    vars:
      - name: machine_command
"""


class Connection(ConnectionBase):  # type: ignore[misc]  # Ansible has no types
    """One machine; a command is a process in its namespaces, and a file is piped through one."""

    transport = "machine"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def close(self) -> None:
        """There is nothing to close."""
        self._connected = False

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Return the exit status, standard output and standard error of a shell command."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._enter(["sh", "-c", cmd], in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this host into the machine."""
        super().put_file(in_path, out_path)
        with Path(in_path).open("rb") as content:
            done = subprocess.run(
                [*self._command(), "sh", "-c", f"cat >{shlex.quote(out_path)}"], stdin=content, stderr=subprocess.PIPE
            )
        if done.returncode:
            raise AnsibleError(f"{in_path} could not be copied to {out_path}: {done.stderr.decode()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the machine to this host."""
        super().fetch_file(in_path, out_path)
        status, content, error = self._enter(["cat", in_path], None)
        if status:
            raise AnsibleError(f"{in_path} could not be read: {error.decode()}")
        Path(out_path).write_bytes(content)

    def _enter(self, command: list[str], content: bytes | None) -> tuple[int, bytes, bytes]:
        try:
            done = subprocess.run([*self._command(), *command], input=content or b"", capture_output=True)
        except OSError as error:
            raise AnsibleConnectionFailure(f"{self._command()[0]} could not be called: {error}") from error
        return done.returncode, done.stdout, done.stderr

    def _command(self) -> list[str]:
        return [self.get_option("command"), "enter", self._play_context.remote_addr]
