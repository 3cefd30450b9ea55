"""Git repositories that stand in for upstream's, with the one commit that Argo CD follows."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# The same content is the same commit on every machine.
_NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "airgap", "EMAIL": "airgap@localhost", "DATE": "1970-01-01T00:00:00Z"}.items()
}


def mirror(tree: Path, folders: list[str], tag: str, target: Path, within: str = "") -> None:
    """Write a bare repository to `target` whose one commit, at `tag`, has `folders` of `tree`.

    They stand in the folder `within`, for a module that is a folder of upstream's repository.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for folder in folders:
            shutil.copytree(tree / folder, work / within / folder, copy_function=shutil.copyfile)
        subprocess.run(["chmod", "-R", "u=rwX,go=rX", name], check=True)  # the module cache is read-only
        _git(work, "init", "--quiet", "--initial-branch=main")
        _git(work, "add", "--all", "--force")
        _git(work, "commit", "--quiet", "--message", f"Take over upstream's files at {tag}")
        _git(work, "tag", tag)
        shutil.rmtree(target, ignore_errors=True)
        _git(work, "clone", "--quiet", "--bare", "--no-hardlinks", ".", str(target.absolute()))
    _git(target, "repack", "-a", "-d", "--quiet")
    for unneeded in ("hooks", "description", "info/exclude"):
        path = target / unneeded
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    _git(target, "remote", "remove", "origin")


def _git(folder: Path, *arguments: str) -> None:
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TEMPLATE_DIR": ""}
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, env={**os.environ, **_NOBODY, **settings})
