"""From publishing to a pod: what nobody trusted signed leaves the pod unready, and says why in its log and metrics."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from delivery.__main__ import main
from delivery.objects import FolderObjects, S3Objects
from delivery.publication import publish
from delivery.road import Road
from delivery.signing import Signer
from delivery.status import fetch_to
from delivery.store import BundleStore
from segue.bundle import MANIFEST, MODEL, SIGNATURE, Bundle
from segue.errors import AlteredBundleError, InputError
from segue.files import sha256_bytes
from tests.delivery.conftest import Publish
from tests.delivery.memory_registry import MemoryRegistry
from tests.delivery.reports import write_report
from tests.support.running_service import Running, running, running_until
from tests.support.signing_keys import new_key, trust

ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0
Spoil = Callable[["Cluster"], None]


class Cluster:
    """A bucket with a published bundle, and pods that fetch from it."""

    def __init__(self, endpoint: str, home: Path, road: Road, bundle: Bundle) -> None:
        self.endpoint, self.home, self.bundle = endpoint, home, bundle
        self.bucket = f"segue-{sha256_bytes(str(home).encode())[:12]}"
        self.client = boto3.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=self.bucket)
        self.store = BundleStore(S3Objects(self.bucket, "store", endpoint))
        self.road = Road(self.store, road.registry, road.repository, road.cache)
        self.key = new_key(home / "key.pem")
        self.trusted = trust(home / "trusted", self.key)

    def publish(self, key: Path | None) -> None:
        publish(self.road, self.bundle.path, write_report(self.home / "report.json", self.bundle.digest), key)

    def name(self, file: str) -> str:
        return f"store/bundles/sha256/{self.bundle.digest[7:]}/{file}"

    def read(self, file: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=self.name(file))["Body"].read()
        return data

    def write(self, file: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self.name(file), Body=data)

    def flip(self, file: str, place: int) -> None:
        data = bytearray(self.read(file))
        data[place] ^= 1
        self.write(file, bytes(data))

    def pod(self) -> "Pod":
        return Pod(self)


class Pod:
    """The container `fetch` of a pod, as k8s/base starts it."""

    def __init__(self, cluster: Cluster) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url, self.target = f"http://127.0.0.1:{port}", cluster.home / "pinned"
        self.log = cluster.home / "log"
        own = {
            "SEGUE_STORE": f"s3://{cluster.bucket}/store", "SEGUE_S3_ENDPOINT": cluster.endpoint, "PORT": str(port),
            "SEGUE_BUNDLE_DIGEST": cluster.bundle.digest, "SEGUE_TRUSTED_KEYS": str(cluster.trusted),
        }  # fmt: skip
        command = [sys.executable, "-m", "inference", "fetch", "--output", str(self.target), "--wait"]
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, stderr=stream, stdout=stream)

    def refused(self) -> str:
        """Wait until it says that it refuses; return the reason in its log."""
        deadline = time.monotonic() + _PATIENCE
        while not (text := self.log.read_text()).endswith("\n"):
            assert self.process.poll() is None, f"It ended: {text}"
            assert time.monotonic() < deadline, "It says nothing."
            time.sleep(0.05)
        (line,) = [json.loads(line) for line in text.splitlines()]
        assert (line["event"], line["level"]) == ("the wanted bundle is not served", "error")
        return str(line["reason"])

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30)


def refusals(metrics: str) -> set[str]:
    """Return the reasons that a pod gives now."""
    lines = [line for line in metrics.splitlines() if line.startswith("segue_bundle_refused{")]
    assert len(lines) == 4
    return {line.split('"')[1] for line in lines if line.endswith(" 1.0")}


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cluster(
    s3_endpoint: str, tmp_path: Path, road: Road, bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> Cluster:
    for name, value in (("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
                        ("AWS_DEFAULT_REGION", "us-east-1")):  # fmt: skip
        monkeypatch.setenv(name, value)
    return Cluster(s3_endpoint, tmp_path, road, bundles[0])


def test_what_is_published_signed_becomes_ready(cluster: Cluster) -> None:
    """Its signature comes with it, and the service that asks for it again serves."""
    cluster.publish(cluster.key)
    pod = cluster.pod()
    assert pod.process.wait(_PATIENCE) == 0, pod.log.read_text()
    assert (pod.target / SIGNATURE).read_bytes() == cluster.read(SIGNATURE)
    with running(pod.target, cluster.home / "serve.log", SEGUE_TRUSTED_KEYS=str(cluster.trusted)) as service:
        assert refusals(httpx.get(f"{service.url}/metrics").text) == set()


def _unsigned(cluster: Cluster) -> None:
    cluster.client.delete_object(Bucket=cluster.bucket, Key=cluster.name(SIGNATURE))


def _by_another(cluster: Cluster) -> None:
    other = new_key(cluster.home / "other.pem")
    cluster.write(SIGNATURE, Signer(other).sign(cluster.bundle))


def _of_another(cluster: Cluster) -> None:
    other = Bundle.open(cluster.bundle.path.with_name("1"))
    cluster.write(SIGNATURE, Signer(cluster.key).sign(other))


@pytest.mark.parametrize(
    "spoil,reason,sentence",
    [
        (_unsigned, "unsigned", "is not signed; publish it with SEGUE_SIGNING_KEY set"),
        (lambda cluster: cluster.flip(MODEL, 1000), "altered", f"The file {MODEL} of the bundle"),
        (lambda cluster: cluster.flip(MANIFEST, 100), "altered", "The manifest of sha256:"),
        (lambda cluster: cluster.flip(SIGNATURE, 400), "altered", "The signature of sha256:"),
        (lambda cluster: cluster.write(SIGNATURE, b""), "altered", "The signature of sha256:"),
        (_by_another, "unknown_signer", "which is not trusted here"),
        (_of_another, "altered", "vouches for another bundle"),
    ],
    ids=["unsigned", "model", "manifest", "signature", "empty", "signer", "other"],
)
def test_a_refused_bundle_leaves_the_pod_unready(cluster: Cluster, spoil: Spoil, reason: str, sentence: str) -> None:
    """It lives, is not ready, and gives one reason, in words and as a metric; nothing is left that could be loaded."""
    cluster.publish(cluster.key)
    spoil(cluster)
    pod = cluster.pod()
    try:
        assert sentence in pod.refused()
        assert (pod.get("/health").status_code, pod.get("/ready").status_code) == (200, 503)
        metrics = pod.get("/metrics").text
        assert refusals(metrics) == {reason}
        assert "segue_ready 0.0" in metrics
        assert not pod.target.exists()
    finally:
        pod.process.send_signal(signal.SIGTERM)
        assert pod.process.wait(_PATIENCE) == 128 + signal.SIGTERM


def test_a_pod_goes_on_once_the_store_is_mended(cluster: Cluster) -> None:
    """By itself: publishing again signs what was not signed, as the same bundle."""
    cluster.publish(None)
    pod = cluster.pod()
    assert "is not signed" in pod.refused()
    cluster.publish(cluster.key)
    assert pod.process.wait(_PATIENCE) == 0
    assert Bundle.open(pod.target, cluster.bundle.digest).digest == cluster.bundle.digest


def test_a_pod_that_trusts_nobody_starts_nothing(cluster: Cluster) -> None:
    """An empty file of a key is a mistake, and not a reason to trust less or more: the sentence names it."""
    cluster.publish(cluster.key)
    (cluster.trusted / "key.pem").write_bytes(b"")
    pod = cluster.pod()
    assert pod.process.wait(_PATIENCE) == 1
    assert (
        pod.log.read_text()
        == f"The file {cluster.trusted}/key.pem holds no public key in PEM; see SEGUE_TRUSTED_KEYS.\n"
    )


def _complained(service: Running) -> bool:
    return '"the wanted bundle is not served"' in service.log.read_text()


def test_the_service_itself_stays_unready(bundles: list[Bundle], tmp_path: Path) -> None:
    """Where keys are trusted, a refused bundle does not end the service: who watches it can read why."""
    trusted = trust(tmp_path / "trusted", new_key(tmp_path / "key.pem"))
    with running_until(_complained, bundles[0].path, tmp_path / "log", SEGUE_TRUSTED_KEYS=str(trusted)) as service:
        assert (service.status("/ready"), service.status("/health")) == (503, 200)
        assert httpx.post(f"{service.url}/predict", json={"name": "rock"}).status_code == 503
        assert refusals(httpx.get(f"{service.url}/metrics").text) == {"unsigned"}


def test_a_running_service_keeps_what_it_has(bundles: list[Bundle], tmp_path: Path, road: Road) -> None:
    """Told to go over to an unsigned bundle it stays with the old one and says so; signed, the bundle takes over."""
    key = new_key(tmp_path / "key.pem")
    first, second = (_put(road, bundle, tmp_path / str(place)) for place, bundle in enumerate(bundles[:2]))
    (first.path / SIGNATURE).write_bytes(Signer(key).sign(first))
    pointer = tmp_path / "wanted.json"
    _point(pointer, first)
    given = {"SEGUE_FOLLOW": str(pointer), "SEGUE_FOLLOW_SECONDS": "0.05"}
    trusted = str(trust(tmp_path / "trusted", key))
    with running(tmp_path, tmp_path / "log", SEGUE_TRUSTED_KEYS=trusted, **given) as service:
        _point(pointer, second)
        _until(lambda: _complained(service))
        metrics = httpx.get(f"{service.url}/metrics").text
        assert refusals(metrics) == {"unsigned"}
        assert 'segue_swaps_total{outcome="refused"} 1.0' in metrics
        assert (service.status("/ready"), _digest(service)) == (200, first.digest)
        _point(pointer, first)
        _until(lambda: refusals(httpx.get(f"{service.url}/metrics").text) == set())
        (second.path / SIGNATURE).write_bytes(Signer(key).sign(second))
        _point(pointer, second)
        _until(lambda: _digest(service) == second.digest)


def _put(road: Road, bundle: Bundle, target: Path) -> Bundle:
    road.store.put(bundle)
    return road.store.fetch(bundle.digest, target)


def _point(pointer: Path, bundle: Bundle) -> None:
    half = pointer.with_suffix(".half")
    half.write_text(json.dumps({"bundle": str(bundle.path), "digest": bundle.digest, "version": bundle.path.name}))
    half.replace(pointer)


def _digest(service: Running) -> str:
    return str(httpx.get(f"{service.url}/model").json()["digest"])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "It never came to this."
        time.sleep(0.05)


def test_publishing_again_signs_once(road: Road, bundles: list[Bundle], tmp_path: Path) -> None:
    """The signature that is there is kept where it holds and is by this key; after a rotation the new key signs."""
    report = write_report(tmp_path / "report.json", bundles[0].digest)
    old, new = new_key(tmp_path / "old.pem"), new_key(tmp_path / "new.pem")
    made = []
    for key in (old, old, new):
        done = publish(road, bundles[0].path, report, key)
        assert done.signer == Signer(key).fingerprint
        made.append(road.store.signature(bundles[0].digest))
    assert made[0] == made[1] != made[2]
    assert Signer(new).signed(bundles[0], made[2])


def test_without_a_key_nothing_is_signed(
    road: Road, bundles: list[Bundle], publish_bundle: Publish, tmp_path: Path
) -> None:
    """On a laptop, say; an earlier signature stays."""
    assert publish_bundle(bundles[0]).signer == ""
    assert road.store.signature(bundles[0].digest) is None
    fetch_to(road, None, 1, tmp_path / "out")
    assert not (tmp_path / "out" / SIGNATURE).exists()


def test_what_was_changed_since_it_was_verified_is_not_signed(bundles: list[Bundle], tmp_path: Path) -> None:
    """The library hashes the folder anew; what it found has to be the bundle that was asked for."""
    bundle = Bundle.open(Path(shutil.copytree(bundles[0].path, tmp_path / "bundle")))
    bundle.file(MODEL).write_bytes(b"another model")
    with pytest.raises(AlteredBundleError, match="vouches for another bundle"):
        Signer(new_key(tmp_path / "key.pem")).sign(bundle)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none_publishes_nothing(
    road: Road, bundles: list[Bundle], tmp_path: Path, registry: MemoryRegistry, content: bytes | None
) -> None:
    """Before anything reaches the store, in a sentence that holds nothing of the file."""
    key = tmp_path / "key.pem"
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(InputError, match=r"The signing key .*key\.pem cannot be read .* see SEGUE_SIGNING_KEY"):
        publish(road, bundles[0].path, write_report(tmp_path / "report.json", bundles[0].digest), key)
    assert not (tmp_path / "store").exists()
    assert registry.versions == []


@pytest.mark.parametrize("kind", [["ED25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]])
def test_a_key_of_another_kind_is_refused(tmp_path: Path, kind: list[str]) -> None:
    """The sentence says how to make one."""
    subprocess.run(["openssl", "genpkey", "-algorithm", *kind, "-out", tmp_path / "key.pem"], check=True)
    with pytest.raises(InputError, match=r"make one with: openssl genpkey -algorithm EC"):
        Signer(tmp_path / "key.pem")


def test_the_command_says_who_signed(
    workspace: Path, tmp_path: Path, bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Or that nobody did; `segue sign` makes up for it, and again once the key is another one."""
    home = ["--workspace", str(workspace)]
    report = write_report(tmp_path / "report.json", bundles[0].digest)
    assert main(["publish", *home, "--bundle", str(bundles[0].path), "--report", str(report)]) == 0
    assert capsys.readouterr().out.endswith("not signed: SEGUE_SIGNING_KEY is not set\n")
    assert main(["sign", *home, "--version", "1"]) == 1
    assert "name its file with SEGUE_SIGNING_KEY" in capsys.readouterr().err
    for name in ("first", "second"):
        key = new_key(tmp_path / name)
        monkeypatch.setenv("SEGUE_SIGNING_KEY", str(key))
        assert main(["sign", *home, "--version", "1"]) == 0
        assert capsys.readouterr().out == f"{bundles[0].digest}\nsigned by the key {Signer(key).fingerprint}\n"
        store = BundleStore(FolderObjects(workspace / "store"))
        assert Signer(key).signed(bundles[0], store.signature(bundles[0].digest))
