"""Images are written as one OCI layout, whose bytes depend on nothing but what is in them."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from airgap import oci

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is missing and layers are packed with it.")

NAME = "registry.example/tool:v1"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF of a kind")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/sh").write_text("#!")
    (root / "bin").symlink_to("usr/bin")
    return root


def _write(path: Path, tree: Path, program: Path) -> dict[str, str]:
    layers = {
        "base": oci.Layer(tree=tree),
        "own": oci.Layer(
            files={"/usr/local/bin/tool": (program, 0o755)},
            links={"/usr/local/bin/t": "tool"},
            folders={"/home/tool": (0o700, 999, 999)},
        ),
    }
    images = [
        oci.Image(NAME, ["base", "own"], {"Entrypoint": ["tool"], "User": "999", "Env": ["HOME=/home/tool"]}),
        oci.Image("registry.example/base:v1", ["base"], {}),
    ]
    return oci.write(path, layers, images)


def _blob(layout: Path, digest: str) -> bytes:
    with tarfile.open(layout) as tar:
        content = tar.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        assert content is not None
        return content.read()


def _unpacked(layout: Path, digest: str) -> io.BytesIO:
    packed = _blob(layout, digest)
    return io.BytesIO(subprocess.run(["zstd", "-dc"], input=packed, check=True, stdout=subprocess.PIPE).stdout)


def _manifest(layout: Path, digest: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(_blob(layout, digest))
    return manifest


def test_the_same_files_give_the_same_bytes(tmp_path: Path, tree: Path, program: Path) -> None:
    """When the files were written, and by whom, is no part of an image."""
    _write(tmp_path / "one.tar", tree, program)
    os.utime(tree / "usr/bin/sh", (1, 1))
    _write(tmp_path / "two.tar", tree, program)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_every_blob_is_named_by_its_digest(tmp_path: Path, tree: Path, program: Path) -> None:
    """A runtime checks each blob against its name."""
    _write(tmp_path / "images.tar", tree, program)
    with tarfile.open(tmp_path / "images.tar") as tar:
        blobs = [member for member in tar.getmembers() if member.name.startswith("blobs/")]
        for blob in blobs:
            content = tar.extractfile(blob)
            assert content is not None
            assert hashlib.sha256(content.read()).hexdigest() == Path(blob.name).name
    assert len(blobs) == len({blob.name for blob in blobs}) == 6  # two layers, two configurations, two manifests


def test_images_share_a_layer(tmp_path: Path, tree: Path, program: Path) -> None:
    """What stands in two images is stored once."""
    digests = _write(tmp_path / "images.tar", tree, program)
    one, two = (_manifest(tmp_path / "images.tar", digest)["layers"] for digest in digests.values())
    assert one[0] == two[0]
    assert (len(one), len(two)) == (2, 1)


def test_an_image_starts_as_it_is_told(tmp_path: Path, tree: Path, program: Path) -> None:
    """Entrypoint, user and environment come from the description, and a search path is always set."""
    digests = _write(tmp_path / "images.tar", tree, program)
    config = json.loads(
        _blob(tmp_path / "images.tar", _manifest(tmp_path / "images.tar", digests[NAME])["config"]["digest"])
    )
    assert config["config"]["Entrypoint"] == ["tool"]
    assert config["config"]["User"] == "999"
    assert config["config"]["Env"] == [oci.PATH, "HOME=/home/tool"]


def test_a_layer_holds_files_links_and_folders_with_their_owners(tmp_path: Path, tree: Path, program: Path) -> None:
    """Folders on the way to a file are there before it, and what is given to a user belongs to that user."""
    digests = _write(tmp_path / "images.tar", tree, program)
    layer = _manifest(tmp_path / "images.tar", digests[NAME])["layers"][1]["digest"]
    with tarfile.open(fileobj=_unpacked(tmp_path / "images.tar", layer)) as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert list(members) == [
        "home",
        "home/tool",
        "usr",
        "usr/local",
        "usr/local/bin",
        "usr/local/bin/tool",
        "usr/local/bin/t",
    ]
    assert members["usr/local/bin/tool"].mode == 0o755
    assert members["usr/local/bin/t"].linkname == "tool"
    assert (members["home/tool"].mode, members["home/tool"].uid) == (0o700, 999)


def test_a_tree_keeps_its_links(tmp_path: Path, tree: Path, program: Path) -> None:
    """A link to a folder stays a link; as a folder it would hide what it points to."""
    digests = _write(tmp_path / "images.tar", tree, program)
    layer = _manifest(tmp_path / "images.tar", digests[NAME])["layers"][0]["digest"]
    with tarfile.open(fileobj=_unpacked(tmp_path / "images.tar", layer)) as tar:
        assert tar.getmember("bin").issym()


def test_a_layer_is_known_by_what_it_unpacks_to(tmp_path: Path, tree: Path, program: Path) -> None:
    """The configuration names the bytes before packing, the manifest those after."""
    layout, digests = tmp_path / "images.tar", _write(tmp_path / "images.tar", tree, program)
    manifest = _manifest(layout, digests[NAME])
    config = json.loads(_blob(layout, manifest["config"]["digest"]))
    for layer, unpacked in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        content = _unpacked(layout, layer["digest"]).read()
        assert unpacked == f"sha256:{hashlib.sha256(content).hexdigest()}"
