"""Calls of the git command, kept from settings of the environment that would point them elsewhere."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from segue.errors import SegueError


class GitError(SegueError):
    """Git is missing, or refuses."""


class Git:
    """The git command in one repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def try_(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
        """Call git and return its exit code, its output and its complaint in one line."""
        command = ["git", "-C", str(self.path), *arguments]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, env=_environment(self.path, env or {}))  # noqa: S603
        except OSError as error:
            raise GitError(f"The git command cannot be run ({error}); install git.") from error
        return done.returncode, done.stdout, " ".join(done.stderr.decode(errors="replace").split())

    def output(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """Call git and return its output.

        Raises:
            GitError: It ended with an error.
        """
        code, answer, complaint = self.try_(*arguments, stdin=stdin, env=env)
        if code:
            raise GitError(f"git {arguments[0]} failed in {self.path}: {complaint or f'exit code {code}'}.")
        return answer

    def text(self, *arguments: str, stdin: bytes | str = "", env: Mapping[str, str] | None = None) -> str:
        """Call git and return its output as text without the last newline."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        return self.output(*arguments, stdin=given, env=env).decode(errors="replace").rstrip("\n")


def _environment(path: Path, extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    # The ceiling keeps git from finding the repository that the workspace happens to stand in.
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_CEILING_DIRECTORIES": str(path.parent), **extra}


_MISLEADING = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_PREFIX",
}  # fmt: skip
