"""A bundle: one folder that holds a model and everything needed to serve it, named by the sha256 of its manifest.

``manifest.json`` lists the sha256 of every other file, so the digest of the manifest vouches for every byte.
Two files beside the manifest are not listed, since they are written after it: ``report.json`` (how the bundle was
judged) names the bundle's digest, and an environment's pin names the report's own sha256; ``model.sig`` signs them all
but the report.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segue.errors import AlteredBundleError, BundleError
from segue.files import canonical_json, sha256_bytes, sha256_file, whole_directory

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model.onnx"
QUERY_MODEL = "query.onnx"
"""Optional: the part of `MODEL` that ends before the catalogue, for a service that scans it by itself."""
CATALOGUE = "catalogue.sqlite"
TOKENIZER = "tokenizer.json"
PROMPT_TOKENIZER = "prompt_tokenizer.json"
"""Optional: of a language model that spells the prompt in its own way."""
SPELLING = "spelling.json"
"""Optional: the words by which titles with typos are read (`segue.spelling`)."""
REPORT = "report.json"
SIGNATURE = "model.sig"
"""Optional: as OpenSSF's model-signing writes it, under the name that its tools expect."""
_UNLISTED = frozenset({MANIFEST, REPORT, SIGNATURE})
_REQUIRED = (MODEL, CATALOGUE, TOKENIZER)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        files: File name to ``{"sha256": hex, "bytes": n}``, for every file but the manifest, the report and the
            signature.
        model: ``inputs`` and ``outputs`` (name, shape, dtype), ``encoding`` (`segue.query.Encoding`), ``tracks``.
        lineage: ``dataset`` (its digest), ``commit`` (of the code, "" when unknown), ``run`` (of the training) and
            ``seed``.
        synthetic: Whether the playlists it learned from were generated; shown wherever the model is.
    """

    files: Mapping[str, Mapping[str, Any]]
    model: Mapping[str, Any]
    lineage: Mapping[str, Any]
    synthetic: bool

    def to_bytes(self) -> bytes:
        """Return the manifest file's bytes; their sha256 is the bundle's name."""
        return canonical_json(
            {
                "schema_version": SCHEMA_VERSION,
                "files": {name: dict(entry) for name, entry in self.files.items()},
                "model": dict(self.model),
                "lineage": dict(self.lineage),
                "synthetic": self.synthetic,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> "Manifest":
        """Return the manifest in ``data``; ``where`` names it in errors.

        Raises:
            BundleError: The bytes are no manifest of this schema.
        """
        try:
            value = json.loads(data)
            version = value["schema_version"]
            if version != SCHEMA_VERSION:
                raise BundleError(
                    f"The manifest {where} has schema version {version}, and this Segue reads version "
                    f"{SCHEMA_VERSION}; export the bundle again or use the Segue that wrote it."
                )
            _check_types(value)
            return cls(value["files"], value["model"], value["lineage"], value["synthetic"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise AlteredBundleError(f"The manifest {where} is damaged ({error!r}); fetch the bundle again.") from error


def _check_types(value: Mapping[str, Any]) -> None:
    """Raise a TypeError or KeyError unless a manifest's parts have the types that `Manifest` promises."""
    mappings = [value["files"], value["model"], value["lineage"], *value["files"].values()]
    sizes = [entry["bytes"] for entry in value["files"].values()]
    digests = [entry["sha256"] for entry in value["files"].values()]
    for kind, parts in ((dict, mappings), (int, sizes), (str, digests), (bool, [value["synthetic"]])):
        if wrong := [part for part in parts if not isinstance(part, kind)]:
            raise TypeError(f"{wrong[0]!r} stands where a {kind.__name__} belongs")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle on disk. Only `Bundle.open` makes one, so holding one means that its bytes were checked."""

    path: Path
    digest: str
    manifest: Manifest

    @classmethod
    def open(cls, path: Path, digest: str | None = None) -> "Bundle":
        """Verify every byte of the bundle at ``path`` and return it; nothing of it is interpreted before that.

        Args:
            path: The bundle's folder.
            digest: The digest asked for, ``sha256:…``; without it the folder is only checked against itself.

        Raises:
            BundleError: The bundle is missing, damaged, incomplete, holds unlisted files or is another one.
        """
        manifest_path = path / MANIFEST
        try:
            data = manifest_path.read_bytes()
        except OSError as error:
            raise BundleError(f"No bundle can be read at {path} ({error}); name a folder with a {MANIFEST}.") from error
        actual = manifest_digest(data)
        if digest is not None and digest != actual:
            raise AlteredBundleError(
                f"The bundle at {path} is {actual}, not {digest} as asked; fetch the bundle again."
            )
        manifest = Manifest.from_bytes(data, str(manifest_path))
        try:
            _verify_files(path, manifest)
        except OSError as error:
            raise BundleError(f"The bundle at {path} cannot be read ({error}); fetch the bundle again.") from error
        return cls(path, actual, manifest)

    def file(self, name: str) -> Path:
        """Return the path of one of the bundle's files, for example `MODEL`."""
        return self.path / name


def manifest_digest(data: bytes) -> str:
    """Return the digest of a bundle from its manifest's bytes: ``sha256:`` and 64 hex digits."""
    return f"sha256:{sha256_bytes(data)}"


def _verify_files(path: Path, manifest: Manifest) -> None:
    missing = [name for name in _REQUIRED if name not in manifest.files]
    if missing:
        raise BundleError(f"The manifest of the bundle at {path} does not list {missing[0]}; export it again.")
    present = {file.name for file in path.iterdir()} - _UNLISTED
    unlisted = sorted(present - set(manifest.files))
    if unlisted:
        raise AlteredBundleError(
            f"The bundle at {path} holds {unlisted[0]!r}, which its manifest does not list; remove it."
        )
    for name, entry in manifest.files.items():
        file = path / name
        if Path(name).name != name or file.is_symlink() or not file.is_file():
            raise AlteredBundleError(f"The bundle at {path} lacks its file {name!r}; fetch the bundle again.")
        if file.stat().st_size != entry["bytes"] or sha256_file(file) != entry["sha256"]:
            raise AlteredBundleError(f"The file {name} of the bundle at {path} is damaged; fetch the bundle again.")


def write_bundle(
    path: Path,
    files: Mapping[str, Path],
    model: Mapping[str, Any],
    lineage: Mapping[str, Any],
    synthetic: bool,
) -> Bundle:
    """Copy ``files`` (name to source path) into a new bundle at ``path``, seal it by its manifest and return it.

    The folder appears whole or not at all; an earlier bundle at ``path`` is replaced.
    """
    with whole_directory(path) as staging:
        listed = {}
        for name, source in files.items():
            shutil.copyfile(source, staging / name)
            listed[name] = {"sha256": sha256_file(staging / name), "bytes": (staging / name).stat().st_size}
        (staging / MANIFEST).write_bytes(Manifest(listed, model, lineage, synthetic).to_bytes())
        _verify_files(staging, Manifest(listed, model, lineage, synthetic))
    return Bundle.open(path)
