"""The folder that a step of a workflow and the workers of a Ray cluster both see.

A step's own files come and go with its pod. Where SEGUE_SHARED names a folder that every worker has at the same path (a
volume, a network file system), what a stage reads is copied there, the stage trains there, and what it wrote is copied
back. The place is named for what is trained, so a step that is started again finds its checkpoint.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from segue.files import canonical_json, sha256_bytes, sha256_file, whole_directory, write_whole
from train.settings import CONFIG


@contextmanager
def shared(config: Any) -> Iterator[Any]:
    """Yield the settings of a stage with folders that all workers see; without SEGUE_SHARED, as they are.

    Args:
        config: A stage's settings; those whose value is a folder are its inputs, and ``output`` is what it writes.
    """
    root = os.environ.get("SEGUE_SHARED", "")
    if not root:
        yield config
        return
    inputs = _inputs(config)
    place = Path(root) / _name(config, inputs)
    for name, folder in inputs.items():
        if not (place / name).exists():  # brought by the step that was cut off
            with whole_directory(place / name) as copy:
                shutil.copytree(folder, copy, dirs_exist_ok=True)
    there = replace(config, output=str(place / "output"), **{name: str(place / name) for name in inputs})
    yield there
    with whole_directory(Path(config.output)) as folder:
        shutil.copytree(place / "output", folder, dirs_exist_ok=True)
        _name_own_folders(folder / CONFIG, config)
    shutil.rmtree(place, ignore_errors=True)


def _name_own_folders(file: Path, config: Any) -> None:
    """Put the step's folders in place of the shared ones into the settings that a stage has kept with its output."""
    if file.exists():
        told, own = json.loads(file.read_text()), asdict(config)
        folders = {name: own[name] for name in (*_inputs(config), "output") if name in told}
        write_whole(file, canonical_json(told | folders))


def _inputs(config: Any) -> dict[str, Path]:
    found = {name: Path(value) for name, value in asdict(config).items() if isinstance(value, str) and value}
    return {name: path for name, path in found.items() if name != "output" and path.is_dir()}


def _name(config: Any, inputs: dict[str, Path]) -> str:
    """Return a short digest of settings and files: the same work comes to the same place, and no other does."""
    files = {
        f"{name}/{file.relative_to(folder).as_posix()}": sha256_file(file)
        for name, folder in inputs.items()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    told = {**asdict(config), **dict.fromkeys(inputs, ""), "output": ""}
    return f"{type(config).__module__.rpartition('.')[2]}-{sha256_bytes(canonical_json([told, files]))[:16]}"
