"""A pinned bundle comes from a real S3 server, signed as Amazon's library signs, whole or not at all."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from inference import waiting
from inference.__main__ import main
from inference.store import Key, Store, StoreError, signed_headers
from inference.waiting import fetch_in_the_end
from segue.bundle import Bundle
from segue.errors import BundleError, InputError
from segue.files import sha256_bytes
from tests.support.broken_server import BROKEN_OFF, ECHO, broken_server
from tests.support.tiny_bundle import write_tiny_bundle

URL = "http://objects:9000/segue/store/bundles/sha256/a%20b/model.onnx"


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    work = tmp_path_factory.mktemp("bundle")
    return write_tiny_bundle(work / "bundle", work / "scratch")


@pytest.fixture
def store(s3_endpoint: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A bucket that holds the bundle as `segue publish` leaves it; the environment says where."""
    bucket = f"segue-{sha256_bytes(str(tmp_path).encode())[:12]}"
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "reader"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_DEFAULT_REGION", "us-east-1"),
        ("SEGUE_S3_ENDPOINT", s3_endpoint), ("SEGUE_STORE", f"s3://{bucket}/store"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    report = json.dumps({"verdict": "pass", "bundle": bundle.digest, "reason": "It is better."}).encode()
    for name in ("manifest.json", *bundle.manifest.files):
        _put(bucket, s3_endpoint, _key(bundle, name), bundle.file(name).read_bytes())
    _put(bucket, s3_endpoint, _key(bundle, f"reports/{sha256_bytes(report)}.json"), report)
    return {"bucket": bucket, "endpoint": s3_endpoint, "report": f"sha256:{sha256_bytes(report)}"}


def _key(bundle: Bundle, name: str) -> str:
    return f"store/bundles/sha256/{bundle.digest[7:]}/{name}"


def _put(bucket: str, endpoint: str, name: str, data: bytes) -> None:
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key=name, Body=data)


def _fetch(bundle: Bundle, target: Path, *more: str) -> int:
    return main(["fetch", "--digest", bundle.digest, "--output", str(target), *more])


def test_a_bundle_comes_back_as_it_was_published(store: dict[str, str], bundle: Bundle, tmp_path: Path) -> None:
    """Every byte, with the judgement that the pin names beside it."""
    assert _fetch(bundle, tmp_path / "pinned", "--report", store["report"]) == 0
    back = Bundle.open(tmp_path / "pinned", bundle.digest)
    for name in ("manifest.json", *bundle.manifest.files):
        assert back.file(name).read_bytes() == bundle.file(name).read_bytes()
    assert json.loads(back.file("report.json").read_bytes())["verdict"] == "pass"


def test_a_changed_byte_is_refused(
    store: dict[str, str], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is left behind that could be served."""
    damaged = bytearray(bundle.file("model.onnx").read_bytes())
    damaged[-1] ^= 1
    _put(store["bucket"], store["endpoint"], _key(bundle, "model.onnx"), bytes(damaged))
    assert _fetch(bundle, tmp_path / "pinned") == 1
    assert "model.onnx" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_report_than_the_pin_names_is_refused(
    store: dict[str, str], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A judgement that was changed in the store judges nothing."""
    name = _key(bundle, f"reports/{store['report'][7:]}.json")
    _put(store["bucket"], store["endpoint"], name, b'{"verdict": "pass"}')
    assert _fetch(bundle, tmp_path / "pinned", "--report", store["report"]) == 1
    assert "was changed" in capsys.readouterr().err


@pytest.mark.usefixtures("store")
def test_what_was_never_published_is_said(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names what is missing and how it gets there."""
    assert main(["fetch", "--digest", f"sha256:{'f' * 64}", "--output", str(tmp_path / "pinned")]) == 1
    assert "publish the bundle with: segue publish --help" in capsys.readouterr().err


def test_a_store_that_is_away_is_said(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its address, and the setting to look at."""
    monkeypatch.setenv("SEGUE_S3_ENDPOINT", "http://127.0.0.1:1")
    assert _fetch(bundle, tmp_path / "pinned", "--store", "s3://segue/store") == 1
    with pytest.raises(StoreError, match=r"at http://127\.0\.0\.1:1 cannot be reached .* check SEGUE_S3_ENDPOINT"):
        Store("s3://segue/store", "http://127.0.0.1:1", Key("a", "b")).read("x")


@pytest.mark.parametrize("answer", [ECHO, BROKEN_OFF], ids=["echo", "broken off"])
def test_a_store_that_gives_no_whole_answer_is_said(answer: bytes, tmp_path: Path) -> None:
    """It is not taken for a changed bundle: that would send its owner after the wrong thing."""
    with broken_server(answer) as endpoint:
        store = Store("s3://segue/store", endpoint, Key("a", "b"))
        with pytest.raises(StoreError, match="cannot be reached or breaks off"):
            store.read("x")
        with pytest.raises(StoreError, match="cannot be reached or breaks off"):
            store.fetch("x", tmp_path / "x")


@pytest.mark.parametrize("status,found", [(200, b"x"), (404, None), (403, None)])
def test_what_may_be_missing_is_missing(status: int, found: bytes | None) -> None:
    """Amazon answers 403 to who may read and not list, which is all that a pod may."""
    with _answering(status, b"x") as endpoint:
        assert Store("s3://segue/store", endpoint, Key("a", "b")).find("model.sig") == found


def test_a_store_that_fails_does_not_lack_anything() -> None:
    """What cannot be known is not taken for an unsigned bundle."""
    with _answering(500, b"") as endpoint, pytest.raises(StoreError, match="status 500"):
        Store("s3://segue/store", endpoint, Key("a", "b")).find("model.sig")


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """Yield the address of a server that always answers so."""

    class Always(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Always) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("address,endpoint", [("segue/store", ""), ("s3:///store", ""), ("s3://segue", "objects:9000")])
def test_what_is_no_store_is_refused(address: str, endpoint: str) -> None:
    """Before anything is asked."""
    with pytest.raises(InputError, match="set SEGUE_"):
        Store(address, endpoint, Key("a", "b"))


@pytest.mark.parametrize("digest", ["", "sha256:12", f"sha1:{'a' * 64}", f"sha256:{'g' * 64}", f"sha256:{'../' * 21}."])
def test_what_is_no_digest_is_refused(digest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would otherwise become part of an address."""
    assert main(["fetch", "--store", "s3://segue", "--digest", digest, "--output", str(tmp_path / "pinned")]) == 1
    assert "is not a digest" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["", "a-session"])
def test_a_request_is_signed_as_amazons_library_signs_it(token: str) -> None:
    """The same key, address and second give the same signature."""
    ours = signed_headers(URL, Key("reader", "secret", token, "eu-west-3"), datetime.now(UTC))
    request = AWSRequest("GET", URL)
    request.context["timestamp"] = ours["x-amz-date"]
    auth = S3SigV4Auth(Credentials("reader", "secret", token or None), "s3", "eu-west-3")
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    string = auth.string_to_sign(request, auth.canonical_request(request))
    assert ours["Authorization"].endswith(f"Signature={auth.signature(string, request)}")


def test_a_key_never_shows_its_secrets() -> None:
    """Not even where an error prints it."""
    assert "secret" not in repr(Key("reader", "secret", "a-secret"))


@pytest.mark.usefixtures("store")
def test_a_folder_that_cannot_be_written_is_said(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence, as for a full disk or without the right to write."""
    (tmp_path / "file").touch()
    assert _fetch(bundle, tmp_path / "file" / "pinned") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"The folder {tmp_path}/file/pinned cannot be written (")
    assert error.count("\n") == 1


def test_a_port_to_wait_at_is_a_number(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the service listens."""
    monkeypatch.setenv("PORT", "abc")
    assert _fetch(bundle, tmp_path / "pinned", "--store", "s3://segue/store", "--wait") == 1
    assert capsys.readouterr().err.startswith("The setting PORT is 'abc', which cannot be used: ")


def test_a_taken_port_to_wait_at_is_named() -> None:
    """A pod whose refusal nobody could see ends with a sentence."""

    def attempt() -> Bundle:
        raise BundleError("It is damaged.")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"listen on 127\.0\.0\.1 port {port} .* choose another with PORT"):
            fetch_in_the_end(attempt, "127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_refusal_is_in_sight(host: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where pods have addresses of IPv6: the port answers until the bundle is good."""
    monkeypatch.setattr(waiting, "configure_logs", lambda level: None)
    refused, seen = [BundleError("It is damaged.")], []
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("This machine has no IPv6.")

    def attempt() -> Bundle:
        if refused:
            raise refused.pop()
        return bundle

    def look(_: float) -> None:
        address = f"[{host}]" if ":" in host else host
        seen.append([httpx.get(f"http://{address}:{port}/{path}", timeout=30).status_code for path in ("health", "")])

    assert fetch_in_the_end(attempt, host, port, look) is bundle
    assert seen == [[200, 503]]
