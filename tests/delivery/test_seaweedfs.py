"""The object store that stands beside MinIO, run as its component says, and asked by our own code."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml

from delivery.objects import StoreError, open_objects
from delivery.store import BundleStore
from inference.__main__ import main
from segue.bundle import Bundle

COMPONENT = Path(__file__).parents[2] / "k8s/platform/objects/seaweedfs/seaweedfs.yaml"
BUCKET = COMPONENT.with_name("bucket.py")
IDENTITIES = "/var/run/segue/identities/s3.json"


def free_ports(count: int) -> list[int]:
    """Return free ports whose number plus 10000, where SeaweedFS speaks gRPC, is a port as well."""
    sockets, found = [], list[int]()
    while len(found) < count:
        one = socket.create_server(("127.0.0.1", 0))
        sockets.append(one)
        if (port := one.getsockname()[1]) < 55_000:
            found.append(port)
    for one in sockets:
        one.close()
    return found


def pod() -> dict[str, Any]:
    """Return the component's pod."""
    specification: dict[str, Any] = yaml.safe_load(COMPONENT.read_text())["spec"]["template"]["spec"]
    return specification


def write_identities(target: Path) -> None:
    """Write the accounts as the component's own script does."""
    (script,) = pod()["initContainers"]
    keys = {f"{who}_{what}_KEY": f"{secret}{who.lower()}" for who in ("READER", "WRITER") for what, secret in _KEYS}
    assert [one["name"] for one in script["env"]] == list(keys)
    (text,) = script["args"]
    subprocess.run([*script["command"], text.replace(IDENTITIES, str(target))], env={**os.environ, **keys}, check=True)


_KEYS = (("ACCESS", ""), ("SECRET", "secret-of-"))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SeaweedFS with the component's own arguments, but for folders and ports."""
    weed = shutil.which("weed")
    if weed is None:
        pytest.skip("There is no SeaweedFS here; make airgap builds it (build/airgap/tools/weed).")
    folder = tmp_path_factory.mktemp("seaweedfs")
    (folder / "data").mkdir()
    write_identities(folder / "s3.json")
    (container,) = pod()["containers"]
    mounted = {IDENTITIES: folder / "s3.json", "/data": folder / "data"}
    arguments = [one for one in container["args"] if not one.startswith(("-s3.port", "-metricsPort"))]
    for place, ours in mounted.items():
        arguments = [one.replace(f"={place}", f"={ours}") for one in arguments]
    names = ("master.port", "volume.port", "filer.port", "s3.port", "metricsPort")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    arguments += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([weed, *arguments], cwd=folder, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        wait_until_ready(process, f"{address}{container['readinessProbe']['httpGet']['path']}", folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def test_its_accounts_have_the_keys_that_bootstrap_made(tmp_path: Path) -> None:
    """The reader reads bundles and nothing else; the writer has the whole bucket, and no other."""
    write_identities(tmp_path / "s3.json")
    reader, writer = json.loads((tmp_path / "s3.json").read_text())["identities"]
    assert reader["credentials"] == [{"accessKey": "reader", "secretKey": "secret-of-reader"}]
    assert reader["actions"] == ["Read:segue/store/bundles/*"]
    assert writer["credentials"] == [{"accessKey": "writer", "secretKey": "secret-of-writer"}]
    assert writer["actions"] == ["Admin:segue"]


@pytest.fixture(autouse=True)
def as_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, "writer")


def become(monkeypatch: pytest.MonkeyPatch, name: str, secret: str = "") -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret or f"secret-of-{name}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps whom it was first


def test_a_bundle_is_published_and_fetched_as_a_pod_does(
    endpoint: str, bundles: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's first write makes the bucket; the reader, who signs without an SDK, gets every byte."""
    store = BundleStore(open_objects("s3://segue/store", endpoint))
    assert [store.put(bundles[0]), store.put(bundles[0])] == [True, False]
    report = store.put_report(bundles[0].digest, b'{"verdict": "pass"}')
    become(monkeypatch, "reader")
    monkeypatch.setenv("SEGUE_STORE", "s3://segue/store")
    monkeypatch.setenv("SEGUE_S3_ENDPOINT", endpoint)
    target = tmp_path / "pinned"
    assert main(["fetch", "--digest", bundles[0].digest, "--report", report, "--output", str(target)]) == 0
    back = Bundle.open(target, bundles[0].digest)
    for name in ("manifest.json", *bundles[0].manifest.files):
        assert back.file(name).read_bytes() == bundles[0].file(name).read_bytes()


def test_the_bucket_is_made_before_anybody_writes(endpoint: str) -> None:
    """By the component's own script, and as often as the component is synced."""
    for _ in range(2):
        subprocess.run([sys.executable, BUCKET], env={**os.environ, "S3_ENDPOINT": endpoint}, check=True)
    assert open_objects("s3://segue", endpoint).read("begun") == b""


def test_a_large_object_comes_in_parts(endpoint: str, tmp_path: Path) -> None:
    """As a model of many megabytes does; what stood there before is replaced as a whole."""
    objects = open_objects("s3://segue/store", endpoint)
    for content in (os.urandom(20 << 20), os.urandom(9 << 20)):
        (tmp_path / "large").write_bytes(content)
        objects.put("large", tmp_path / "large")
        assert objects.read("large") == content


def test_what_is_missing_is_missing_and_no_error(endpoint: str, tmp_path: Path) -> None:
    """As with every other store."""
    objects = open_objects("s3://segue/store", endpoint)
    objects.write("there", b"x")
    assert (objects.read("nothing"), objects.fetch("nothing", tmp_path / "nothing")) == (None, False)


@pytest.mark.parametrize("name, secret", [("reader", ""), ("writer", "a wrong secret"), ("nobody", "")])
def test_only_the_writer_may_write(endpoint: str, name: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither who may only read, nor who does not know the writer's secret."""
    become(monkeypatch, name, secret)
    with pytest.raises(StoreError, match=r"AccessDenied|SignatureDoesNotMatch|InvalidAccessKeyId"):
        open_objects("s3://segue/store", endpoint).write("bundles/theirs", b"x")


def test_the_reader_sees_bundles_alone(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts of training, and MLflow's files, are in the same bucket and none of a pod's business."""
    open_objects("s3://segue/other", endpoint).write("secret", b"x")
    become(monkeypatch, "reader")
    with pytest.raises(StoreError, match="AccessDenied"):
        open_objects("s3://segue/other", endpoint).read("secret")
