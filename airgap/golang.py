"""Compile a component's programs, once for each content of what decides them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

from airgap.cache import Cache, digest_of
from airgap.components import GoComponent
from airgap.pin import download, environment, import_path


def build(component: GoComponent, cache: Cache) -> Path:
    """Return a folder that holds the component's programs, compiled if they are not there yet.

    Raises:
        SystemExit: If the compiler fails; the sentence names the log.
    """
    return cache.make(component.name, _digest(component), lambda folder: _compile(component, folder))


def tree(component: GoComponent) -> Path:
    """Return the folder of the module's sources, as the module proxy publishes them."""
    return Path(download(component)["Dir"])


def _digest(component: GoComponent) -> str:
    version = subprocess.run(["go", "env", "GOVERSION"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return digest_of(version, asdict(component), *(component.folder / name for name in ("go.mod", "go.sum")))


def _compile(component: GoComponent, folder: Path) -> None:
    workshop = folder / "workshop"
    workshop.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(component.folder / name, workshop)
    if component.patched:
        _patch(component, workshop)
    for command, package in component.commands.items():
        _go_build(component, workshop, folder / command, import_path(component, package))
    shutil.rmtree(workshop)


def _patch(component: GoComponent, workshop: Path) -> None:
    copy = workshop / "tree"
    shutil.copytree(tree(component), copy, copy_function=shutil.copyfile)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only
    for target, source in component.copy.items():
        shutil.copyfile(copy / source, copy / target)
    for target, text in component.write.items():
        (copy / target).parent.mkdir(parents=True, exist_ok=True)
        (copy / target).write_text(text)
    with (workshop / "go.mod").open("a") as lines:
        lines.write(f"replace {component.module} => ./tree\n")


def _go_build(component: GoComponent, workshop: Path, output: Path, package: str) -> None:
    flags = ["-s", "-w", *(f"-X={name}={value}" for name, value in component.stamps.items())]
    command = ["go", "build", "-mod=readonly", "-tags", ",".join(component.tags), "-ldflags", " ".join(flags)]
    log = workshop.parent.with_suffix(".log")
    with log.open("w") as lines:
        done = subprocess.run(
            [*command, "-o", str(output.absolute()), package],
            cwd=workshop,
            env=environment(),
            stdout=lines,
            stderr=lines,
        )
    if done.returncode:
        raise SystemExit(f"{package} does not compile; {log} says why:\n{log.read_text()[-2000:]}")
    log.unlink()
