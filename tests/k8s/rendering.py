"""Renders of k8s/ by the real kustomize, with pins as `segue promote` writes them.

`python -m tests.k8s.rendering` writes tests/k8s/expected/ anew; read its diff as a change of the cluster.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from delivery.pins import Pin, pin_path

ROOT = Path(__file__).parents[2]
EXPECTED = Path(__file__).parent / "expected"
PINS = {
    "staging": Pin(f"sha256:{'c' * 64}", 31, f"sha256:{'3' * 64}"),
    "canary": Pin(f"sha256:{'b' * 64}", 21, f"sha256:{'2' * 64}", weight=10),
    "production": Pin(f"sha256:{'a' * 64}", 11, f"sha256:{'1' * 64}"),
}
MISSING = "There is neither kustomize nor kubectl; one of them brings what renders k8s/."


def command() -> list[str] | None:
    """Return how kustomize is called here, or None where it is missing."""
    if found := shutil.which("kustomize"):
        return [found, "build"]
    return [found, "kustomize"] if (found := shutil.which("kubectl")) else None


def folders(root: Path = ROOT) -> list[str]:
    """Return every folder that is rendered: all kustomizations but components and what only others build on."""
    found = [file.parent.relative_to(root).as_posix() for file in root.glob("k8s/**/kustomization.yaml")]
    return sorted([*(name for name in found if "components/" not in name and name not in _BUILT_UPON), "workflows"])


_BUILT_UPON = ("k8s/base", "k8s/traffic", "k8s/platform/objects/base")


def lay_out(target: Path) -> Path:
    """Copy what is rendered to a folder, with `PINS` in place of what the environments pin today."""
    for name in ("k8s", "workflows"):
        shutil.copytree(ROOT / name, target / name)
    for environment, pin in PINS.items():
        (target / pin_path(environment)).write_bytes(pin.to_yaml(environment))
    return target


def render(folder: Path) -> str:
    """Return what kustomize makes of a folder; its complaint fails the test."""
    done = subprocess.run([*(command() or []), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of a render."""
    return [value for value in yaml.safe_load_all(text) if value]


def expected(folder: str) -> Path:
    """Return the file that holds what a folder renders to."""
    return EXPECTED / f"{folder.replace('/', '-')}.yaml"


def main() -> None:
    """Write every expected render anew."""
    shutil.rmtree(EXPECTED, ignore_errors=True)
    EXPECTED.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        copy = lay_out(Path(folder))
        for name in folders():
            expected(name).write_text(render(copy / name))
            print(expected(name).relative_to(ROOT), file=sys.stderr)


if __name__ == "__main__":
    main()
