"""The state of tf/kvm in S3, as docs/machines.md sets it up: written, locked, without a secret."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.ground.locks import ROOT
from tests.tf.terraform import copy_tf, needs_providers, needs_terraform, terraform

pytestmark = [needs_terraform, needs_providers]

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "not-a-real-key", "AWS_SECRET_ACCESS_KEY": "not-a-real-secret"}
VALUES = {
    "ssh_public_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"],
    "external_network": "public",
    "image_name": "debian-12",
    "control_plane_flavor": "medium",
    "worker_flavor": "large",
    "admin_cidrs": ["198.51.100.0/24"],
}


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An S3 server on 127.0.0.1 with the bucket of the page's example."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    _s3(url).create_bucket(Bucket="segue-terraform")
    yield url
    server.stop()


def _s3(url: str) -> Any:  # boto3 makes the types of its clients while it runs
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def _backend(url: str) -> str:
    """The two blocks of settings that the page's section on state shows, for the server at `url`."""
    page = (ROOT / "docs" / "machines.md").read_text()
    section = page[page.index("## State") : page.index("## Providers")]
    settings = re.findall(r"^    (\w+ += .+)$", section, re.MULTILINE)
    return "\n".join(settings).replace("https://s3.example.org", url)


def test_the_state_is_kept_in_a_bucket_and_locked_there(endpoint: str, tmp_path: Path) -> None:
    """The page's settings put the state into the bucket alone; while somebody holds its lock, nobody writes."""
    kvm = copy_tf(tmp_path) / "kvm"
    (kvm / "test.s3.tfbackend").write_text(_backend(endpoint))
    (kvm / "test.auto.tfvars.json").write_text(json.dumps(VALUES))
    done = terraform(kvm, "init", "-input=false", "-backend-config=test.s3.tfbackend", **CREDENTIALS)
    assert done.returncode == 0, done.stderr

    # module.nodes asks no cloud; applying it alone writes a state.
    apply = ("apply", "-auto-approve", "-input=false", "-target=module.nodes")
    done = terraform(kvm, *apply, **CREDENTIALS)
    assert done.returncode == 0, done.stderr
    s3 = _s3(endpoint)
    state = s3.get_object(Bucket="segue-terraform", Key="kvm/segue.tfstate")["Body"].read().decode()
    assert json.loads(state)["terraform_version"]
    assert not list(kvm.glob("*.tfstate*"))
    assert not any(secret in state for secret in CREDENTIALS.values())

    s3.put_object(Bucket="segue-terraform", Key="kvm/segue.tfstate.tflock", Body=b'{"ID": "1", "Who": "somebody else"}')
    done = terraform(kvm, *apply, **CREDENTIALS)
    assert done.returncode != 0
    assert "Error acquiring the state lock" in done.stderr
