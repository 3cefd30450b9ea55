"""The bundle: nothing but the very bytes that were sealed is ever loaded."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from segue.bundle import CATALOGUE, MANIFEST, MODEL, REPORT, TOKENIZER, Bundle, Manifest, manifest_digest, write_bundle
from segue.errors import BundleError
from tests.support.tiny_bundle import write_tiny_bundle

LINEAGE = {"dataset": "sha256:0", "commit": "", "run": "r", "seed": 0}


def seal(path: Path, work: Path) -> Bundle:
    """Write a bundle of a few bytes a file, so that each of them can be tried."""
    work.mkdir()
    for name in (MODEL, CATALOGUE, TOKENIZER):
        (work / name).write_bytes(f"the bytes of {name}".encode())
    files = {name: work / name for name in (MODEL, CATALOGUE, TOKENIZER)}
    return write_bundle(path, files, model={"tracks": 3}, lineage=LINEAGE, synthetic=True)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return a sealed bundle of a few bytes."""
    return seal(tmp_path / "bundle", tmp_path / "work")


def reseal(bundle: Bundle, change: Callable[[dict[str, Any]], object]) -> None:
    """Write the bundle's manifest anew after a change, as someone could who builds a hostile bundle."""
    value = json.loads(bundle.file(MANIFEST).read_bytes())
    change(value)
    bundle.file(MANIFEST).write_text(json.dumps(value))


def test_a_bundle_opens_as_what_was_sealed(bundle: Bundle) -> None:
    """By its folder alone or by its digest, the same bundle comes back, with what it says of itself."""
    assert Bundle.open(bundle.path) == Bundle.open(bundle.path, bundle.digest) == bundle
    assert bundle.digest == manifest_digest(bundle.file(MANIFEST).read_bytes())
    assert bundle.manifest.synthetic is True
    assert bundle.manifest.lineage == LINEAGE
    assert bundle.file(MODEL).read_bytes() == b"the bytes of model.onnx"


def test_the_same_content_has_the_same_name(tmp_path: Path, bundle: Bundle) -> None:
    """A digest names content: no clock, path or user goes into it."""
    assert seal(tmp_path / "elsewhere" / "b", tmp_path / "w2").digest == bundle.digest


def test_a_bundle_can_be_moved(bundle: Bundle, tmp_path: Path) -> None:
    """It stays what it is wherever it lies."""
    shutil.copytree(bundle.path, tmp_path / "moved")
    assert Bundle.open(tmp_path / "moved", bundle.digest).digest == bundle.digest


@pytest.mark.parametrize("name", [MANIFEST, MODEL, CATALOGUE, TOKENIZER])
def test_every_changed_byte_is_refused(bundle: Bundle, name: str) -> None:
    """Each single bit of each byte of each file matters."""
    file = bundle.file(name)
    data = file.read_bytes()
    for position in range(len(data)):
        for bit in (0x01, 0x20, 0x80):
            file.write_bytes(data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :])
            with pytest.raises(BundleError):
                Bundle.open(bundle.path, bundle.digest)
    file.write_bytes(data)
    assert Bundle.open(bundle.path, bundle.digest) == bundle


def test_a_changed_manifest_is_never_taken_for_the_bundle(bundle: Bundle) -> None:
    """Without a digest to hold it to, a damaged manifest is refused in a sentence or is plainly another bundle."""
    data = bundle.file(MANIFEST).read_bytes()
    for position in range(len(data)):
        bundle.file(MANIFEST).write_bytes(data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :])
        with suppress(BundleError):
            assert Bundle.open(bundle.path).digest != bundle.digest


@pytest.mark.parametrize("name", [MANIFEST, MODEL, CATALOGUE, TOKENIZER])
def test_a_truncated_file_is_refused(bundle: Bundle, name: str) -> None:
    """A download that broke off is not a bundle."""
    data = bundle.file(name).read_bytes()
    for kept in (0, 1, len(data) - 1):
        bundle.file(name).write_bytes(data[:kept])
        with pytest.raises(BundleError):
            Bundle.open(bundle.path, bundle.digest)


@pytest.mark.parametrize("name", [MANIFEST, MODEL, CATALOGUE, TOKENIZER])
def test_a_missing_file_is_refused_by_its_name(bundle: Bundle, name: str) -> None:
    """The sentence says which file is lacking."""
    bundle.file(name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", ["extra.bin", ".hidden", "model.onnx.data"])
def test_an_unlisted_file_is_refused_by_its_name(bundle: Bundle, name: str) -> None:
    """Nothing can travel with a bundle that its digest does not vouch for."""
    bundle.file(name).write_bytes(b"")
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle.path)


def test_an_unlisted_folder_is_refused(bundle: Bundle) -> None:
    """A folder is something that the manifest cannot vouch for."""
    bundle.file("folder").mkdir()
    with pytest.raises(BundleError, match="folder"):
        Bundle.open(bundle.path)


def test_a_report_may_join_later(bundle: Bundle) -> None:
    """The one file beside the manifest that is written after sealing: how the bundle was judged."""
    bundle.file(REPORT).write_text("{}")
    assert Bundle.open(bundle.path, bundle.digest) == bundle


@pytest.mark.parametrize("name", [MODEL, CATALOGUE, TOKENIZER])
def test_a_symbolic_link_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    """A link to the same bytes could lead to others after the check."""
    bundle.file(name).rename(tmp_path / name)
    bundle.file(name).symlink_to(tmp_path / name)
    with pytest.raises(BundleError, match=name):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "folder/file", "..", ".", "", "./model.onnx"])
def test_a_name_that_leads_out_of_the_folder_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    """A manifest cannot make the reader open a file elsewhere, even one with the right bytes."""
    (tmp_path / "outside").write_bytes(b"the bytes of model.onnx")
    reseal(bundle, lambda value: value["files"].update({name: value["files"][MODEL]}))
    with pytest.raises(BundleError):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", [MODEL, CATALOGUE, TOKENIZER])
def test_a_manifest_without_a_needed_file_is_refused(bundle: Bundle, name: str) -> None:
    """A bundle can always be served: model, catalogue and tokenizer are in it."""
    reseal(bundle, lambda value: value["files"].pop(name))
    with pytest.raises(BundleError, match=f"does not list {name}"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_is_refused_by_its_version(bundle: Bundle, version: object) -> None:
    """The sentence names both versions, so that a person knows which side to renew."""
    reseal(bundle, lambda value: value.update(schema_version=version))
    with pytest.raises(BundleError, match=f"schema version {version}, and this Segue reads version 1"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "null",
        "[]",
        "1",
        '"text"',
        "{}",
        "{",
        '{"schema_version": 1}',
        '{"schema_version": 1, "files": [], "model": {}, "lineage": {}, "synthetic": true}',
        '{"schema_version": 1, "files": {"a": 1}, "model": {}, "lineage": {}, "synthetic": true}',
        '{"schema_version": 1, "files": {"a": {}}, "model": {}, "lineage": {}, "synthetic": true}',
        '{"schema_version": 1, "files": {}, "model": {}, "lineage": {}, "synthetic": "false"}',
        '{"schema_version": 1, "files": {}, "model": [], "lineage": {}, "synthetic": true}',
        "[" * 200_000,
        "\ufeff{}",
    ],
)
def test_a_manifest_of_the_wrong_shape_is_refused(bundle: Bundle, manifest: str) -> None:
    """Whatever JSON or not stands there, it ends in one sentence that names the file."""
    bundle.file(MANIFEST).write_text(manifest)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(bundle.path)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    """Neither an empty folder nor a path that does not exist."""
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match="No bundle can be read"):
            Bundle.open(path)


def test_a_manifest_reads_back_as_written(bundle: Bundle) -> None:
    """Writing and reading a manifest gives the same bytes, so digests are stable."""
    data = bundle.file(MANIFEST).read_bytes()
    assert Manifest.from_bytes(data, "here").to_bytes() == data


def test_a_bundle_that_lacks_a_file_is_never_written(bundle: Bundle, tmp_path: Path) -> None:
    """An export without a tokenizer fails and leaves the earlier bundle in its place."""
    files = {name: tmp_path / "work" / name for name in (MODEL, CATALOGUE)}
    with pytest.raises(BundleError, match=TOKENIZER):
        write_bundle(bundle.path, files, model={}, lineage={}, synthetic=False)
    assert Bundle.open(bundle.path, bundle.digest) == bundle


def test_a_real_bundle_is_sealed_the_same_way(tmp_path: Path) -> None:
    """With a real graph, catalogue and tokenizer: reproducible, and another seed is another bundle."""
    digests = [
        write_tiny_bundle(tmp_path / f"b{i}", tmp_path / f"w{i}", seed=s).digest for i, s in enumerate((0, 0, 1))
    ]
    assert digests[0] == digests[1] != digests[2]
