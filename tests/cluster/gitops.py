"""The repository that the cluster follows, as somebody with the right to push sees it."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.machines import ADDRESSES, ROOT, Machines

URL = f"http://{ADDRESSES['node1']}:30080/segue.git"
_NO_PROXY = {"http_proxy": "", "HTTP_PROXY": "", "no_proxy": "*"}
_WHO = {f"GIT_{who}_{what}": "test@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Repository:
    """A clone with its own files, from which changes are pushed."""

    def __init__(self, machines: Machines, tree: Path) -> None:
        self._machines, self.tree = machines, tree

    def take_over_project(self) -> None:
        """Put this project's files, as they stand in its working tree, in place of what is there."""
        listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listing, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.tree / name)

    def push(self, message: str) -> None:
        """Commit everything that has changed and push it, by the password that the cluster made."""
        self._git("add", "--all", "--force")
        if self._git("status", "--porcelain"):
            self._git("commit", "--quiet", "--message", message)
        self._remote("push", "--quiet", URL, "main")

    def pull(self) -> None:
        """Bring what others have pushed."""
        if not (self.tree / ".git").exists():
            self._git("init", "--quiet", "--initial-branch=main")
        if self._remote("ls-remote", "--heads", URL, "main"):
            self._remote("pull", "--quiet", "--rebase", URL, "main")

    def log(self, form: str, path: str) -> list[str]:
        """Return a line for every commit that changed `path`, the newest first."""
        return self._git("log", f"--format={form}", "--", path).splitlines()

    def show(self, commit: str, path: str) -> str:
        """Return a file as it was at a commit."""
        return self._git("show", f"{commit}:{path}")

    def _remote(self, *arguments: str) -> str:
        user, password = self._machines.secret("git", "git-push", "user", "password")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        header = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader"}
        header |= {"GIT_CONFIG_VALUE_0": f"Authorization: Basic {token}"}
        return self._git(*arguments, prefix=tuple(self._machines.in_network_of("node1")), **header, **_NO_PROXY)

    def _git(self, *arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> str:
        command = [*prefix, "git", "-C", str(self.tree), *arguments]
        settings = {**os.environ, **_WHO, **environment}
        return subprocess.run(command, check=True, env=settings, stdout=subprocess.PIPE, text=True).stdout
