"""Write many images that share layers as one OCI image layout in a tar, the same bytes each time.

https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEDIA = "application/vnd.oci.image"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """Files of an image: a whole tree, or single files, links and folders.

    Attributes:
        tree: A folder whose content is the layer.
        files: Path in the image → source and mode.
        links: Path in the image → what it points to.
        folders: Path in the image → mode, user id, group id.
    """

    tree: Path | None = None
    files: dict[str, tuple[Path, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """One image: its name, the names of its layers from the bottom up, and its OCI configuration (`User`, `Cmd` …)."""

    name: str
    layers: list[str]
    config: dict[str, Any]


def write(path: Path, layers: dict[str, Layer], images: Iterable[Image]) -> dict[str, str]:
    """Write the tar and return each image's name and digest."""
    with tarfile.open(path, "w") as layout:
        _add_bytes(layout, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        blobs = _Blobs(layout, path.with_suffix(".layer"))
        known = {name: blobs.add_layer(layer) for name, layer in layers.items()}
        manifests = [_manifest(image, known, blobs) for image in images]
        index = {"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json", "manifests": manifests}
        _add_bytes(layout, "index.json", _json(index))
    return {manifest["annotations"]["io.containerd.image.name"]: manifest["digest"] for manifest in manifests}


class _Blobs:
    """Adds each content to the layout once."""

    def __init__(self, layout: tarfile.TarFile, scratch: Path) -> None:
        self._layout, self._scratch, self._added = layout, scratch, set[str]()

    def add_layer(self, layer: Layer) -> tuple[str, dict[str, Any]]:
        """Pack a layer beside the layout first, since a blob's name is the digest of all of it.

        Returns:
            The digest of what it unpacks to, and its descriptor.
        """
        packed = self._scratch.with_suffix(".zst")
        with tarfile.open(self._scratch, "w", format=tarfile.PAX_FORMAT) as tar:
            _pack(tar, layer)
        unpacked, _ = _digest(self._scratch)
        # The same bytes whatever the number of threads, and less than half as many.
        subprocess.run(["zstd", "-q", "-f", "-3", "-T0", "--rm", str(self._scratch), "-o", str(packed)], check=True)
        digest, size = _digest(packed)
        with packed.open("rb") as content:
            self._add(digest, size, lambda entry: self._layout.addfile(entry, content))
        packed.unlink()
        descriptor = {"mediaType": f"{MEDIA}.layer.v1.tar+zstd", "digest": f"sha256:{digest}", "size": size}
        return f"sha256:{unpacked}", descriptor

    def add_json(self, kind: str, value: dict[str, Any]) -> dict[str, Any]:
        content = _json(value)
        digest = hashlib.sha256(content).hexdigest()
        self._add(digest, len(content), lambda entry: self._layout.addfile(entry, io.BytesIO(content)))
        return {"mediaType": f"{MEDIA}.{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(content)}

    def _add(self, digest: str, size: int, add: Callable[[tarfile.TarInfo], None]) -> None:
        if digest not in self._added:
            self._added.add(digest)
            entry = tarfile.TarInfo(f"blobs/sha256/{digest}")
            entry.size = size
            add(entry)


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest(), path.stat().st_size


def _manifest(image: Image, layers: dict[str, tuple[str, dict[str, Any]]], blobs: _Blobs) -> dict[str, Any]:
    own = [layers[name] for name in image.layers]
    platform: dict[str, Any] = {"architecture": "amd64", "os": "linux"}
    config: dict[str, Any] = {
        **platform,
        "created": "1970-01-01T00:00:00Z",
        "config": {**image.config, "Env": _environment(image)},
        "rootfs": {"type": "layers", "diff_ids": [unpacked for unpacked, _ in own]},
        "history": [{"created_by": name} for name in image.layers],
    }
    manifest = blobs.add_json(
        "manifest",
        {
            "schemaVersion": 2,
            "mediaType": f"{MEDIA}.manifest.v1+json",
            "config": blobs.add_json("config", config),
            "layers": [descriptor for _, descriptor in own],
        },
    )
    names = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name.rsplit(":", 1)[1]}
    return {**manifest, "platform": platform, "annotations": names}


def _environment(image: Image) -> list[str]:
    own: list[str] = image.config.get("Env", [])
    return own if any(variable.startswith("PATH=") for variable in own) else [PATH, *own]


def _pack(tar: tarfile.TarFile, layer: Layer) -> None:
    if layer.tree:
        for path in sorted(layer.tree.rglob("*")):
            tar.add(path, path.relative_to(layer.tree).as_posix(), recursive=False, filter=_timeless)
    folders = {Path(path).relative_to("/"): owner for path, owner in layer.folders.items()}
    named = [Path(path).relative_to("/") for path in (*layer.files, *layer.links)]
    parents = {parent for path in (*named, *folders) for parent in path.parents} - {Path()}
    for folder in sorted(parents | set(folders)):
        _add_folder(tar, folder, *folders.get(folder, (0o755, 0, 0)))
    for target, (source, mode) in sorted(layer.files.items()):
        entry = tarfile.TarInfo(target.lstrip("/"))
        entry.size, entry.mode = source.stat().st_size, mode
        with source.open("rb") as content:
            tar.addfile(entry, content)
    for target, to in sorted(layer.links.items()):
        entry = tarfile.TarInfo(target.lstrip("/"))
        entry.type, entry.linkname = tarfile.SYMTYPE, to
        tar.addfile(entry)


def _add_folder(tar: tarfile.TarFile, path: Path, mode: int, user: int, group: int) -> None:
    entry = tarfile.TarInfo(path.as_posix())
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, user, group
    tar.addfile(entry)


def _timeless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uname, entry.gname = 0, "", ""
    return entry


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
