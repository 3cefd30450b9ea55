"""One store of bundles on two kinds of objects: a folder, and S3 as a real server on this machine speaks it."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from delivery.objects import FolderObjects, Objects, S3Objects, StoreError, open_objects
from delivery.store import BundleStore
from segue.bundle import Bundle, Manifest
from segue.errors import BundleError, InputError
from segue.files import sha256_bytes

UNKNOWN = f"sha256:{'f' * 64}"


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    if request.param == "folder":
        return open_objects(str(tmp_path / "store"))
    endpoint = request.getfixturevalue("s3_endpoint")
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = f"models-{sha256_bytes(str(tmp_path).encode())[:12]}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return open_objects(f"s3://{bucket}/team/segue/", endpoint)


@pytest.fixture
def store(objects: Objects) -> BundleStore:
    return BundleStore(objects)


def key(bundle: Bundle, name: str) -> str:
    return f"bundles/sha256/{bundle.digest[7:]}/{name}"


def test_a_bundle_comes_back_as_it_went_in(store: BundleStore, bundles: list[Bundle], tmp_path: Path) -> None:
    """Every byte, under the address that the registry names."""
    assert store.put(bundles[0])
    back = store.fetch(bundles[0].digest, tmp_path / "back")
    assert back.digest == bundles[0].digest
    for name in ("manifest.json", *bundles[0].manifest.files):
        assert back.file(name).read_bytes() == bundles[0].file(name).read_bytes()
    assert store.address(bundles[0].digest).endswith(f"/bundles/sha256/{bundles[0].digest[7:]}")


def test_two_who_put_the_same_file_do_not_meet(tmp_path: Path) -> None:
    """Each writes a file of its own, and the last one to end is read."""
    objects, slow, quick = FolderObjects(tmp_path / "store"), tmp_path / "slow", tmp_path / "quick"
    os.mkfifo(slow)
    quick.write_bytes(b"quick")
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(objects.put, "model", slow)
        with slow.open("wb") as stream:  # opens when the other end is read
            stream.write(b"slo")
            objects.put("model", quick)
            assert objects.read("model") == b"quick"
            stream.write(b"w")
        begun.result(timeout=60)
    assert objects.read("model") == b"slow"
    assert [file.name for file in (tmp_path / "store").iterdir()] == ["model"]


def test_putting_again_changes_nothing(store: BundleStore, bundles: list[Bundle]) -> None:
    """It says so by False."""
    assert [store.put(bundles[0]), store.put(bundles[0])] == [True, False]


def test_half_an_upload_is_no_bundle(
    store: BundleStore, objects: Objects, bundles: list[Bundle], tmp_path: Path
) -> None:
    """Killed before the manifest, there is nothing to fetch; called again, there is."""
    objects.put(key(bundles[0], "model.onnx"), bundles[0].file("model.onnx"))
    with pytest.raises(StoreError, match="does not hold the bundle"):
        store.fetch(bundles[0].digest, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert store.put(bundles[0])
    assert store.verify(bundles[0].digest) == bundles[0].manifest


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_damaged_bundle_is_not_fetched_and_is_healed_by_putting_it_again(
    store: BundleStore, objects: Objects, bundles: list[Bundle], tmp_path: Path, name: str
) -> None:
    """What stood at the target stays."""
    store.put(bundles[0])
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "old").write_text("old")
    objects.write(key(bundles[0], name), b"{}")
    with pytest.raises(BundleError, match=r"damaged|changed"):
        store.fetch(bundles[0].digest, tmp_path / "back")
    assert [file.name for file in (tmp_path / "back").iterdir()] == ["old"]
    assert store.put(bundles[0])
    assert store.verify(bundles[0].digest) == bundles[0].manifest


def test_a_manifest_cannot_name_files_elsewhere(store: BundleStore, objects: Objects, tmp_path: Path) -> None:
    """Whoever can write to the store must not be able to write to this machine."""
    data = Manifest({"../escaped": {"sha256": "0" * 64, "bytes": 1}}, {}, {}, True).to_bytes()
    digest = f"sha256:{sha256_bytes(data)}"
    objects.write(f"bundles/sha256/{digest[7:]}/manifest.json", data)
    objects.write("bundles/sha256/escaped", b"x")
    with pytest.raises(BundleError, match=r"lacks its file '\.\./escaped'"):
        store.fetch(digest, tmp_path / "a" / "back")
    assert not list(tmp_path.glob("a/escaped"))


def test_each_judgement_is_kept_and_the_newest_stands_beside_the_bundle(
    store: BundleStore, objects: Objects, bundles: list[Bundle]
) -> None:
    """A pin names a report by its digest, also after the bundle was judged again."""
    digest = bundles[0].digest
    first, second = store.put_report(digest, b"one"), store.put_report(digest, b"two")
    assert (store.report(digest, first), store.newest_report(digest, second)) == (b"one", b"two")
    assert objects.read(key(bundles[0], "report.json")) == b"two"
    with pytest.raises(StoreError, match="not the one that was published"):
        store.newest_report(digest, first)


def test_what_is_not_there_is_said_in_a_sentence(store: BundleStore, bundles: list[Bundle], tmp_path: Path) -> None:
    """For a bundle and for a report."""
    with pytest.raises(StoreError, match=f"does not hold the bundle {UNKNOWN}"):
        store.fetch(UNKNOWN, tmp_path / "back")
    with pytest.raises(StoreError, match="lacks the report"):
        store.report(bundles[0].digest, UNKNOWN)
    with pytest.raises(StoreError, match=r"lacks the report\.json"):
        store.newest_report(bundles[0].digest, UNKNOWN)


@pytest.mark.parametrize("digest", ["", "sha256:../../etc", f"sha256:{'A' * 64}", f"sha256:{'a' * 64}\n", "a" * 64])
def test_only_a_digest_becomes_a_path(tmp_path: Path, digest: str) -> None:
    """It may come from a pin that anybody wrote."""
    with pytest.raises(InputError, match="is not a digest"):
        BundleStore(FolderObjects(tmp_path)).verify(digest)


@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://", "s3:///prefix"])
def test_an_address_of_no_kind_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="neither a folder nor s3://bucket/prefix"):
        open_objects(address)


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path, bundles: list[Bundle]) -> None:
    """A file stands where the folder should."""
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        BundleStore(FolderObjects(tmp_path / "store")).put(bundles[0])


def test_an_s3_service_that_is_away_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the settings to check."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(StoreError, match=r"does not answer as it should .*SEGUE_S3_ENDPOINT"):
        BundleStore(S3Objects("models", "", "http://127.0.0.1:9")).verify(UNKNOWN)


def test_a_bucket_that_is_not_there_is_no_missing_object(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody mistyped the bucket: that is another cure than to publish again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(StoreError, match="NoSuchBucket"):
        S3Objects("mistyped", "", s3_endpoint).read("x")
