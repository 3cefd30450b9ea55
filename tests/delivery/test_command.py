"""The command segue as a person types it: help, exit codes, sentences, JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.__main__ import main
from segue.bundle import Bundle
from segue.errors import InputError
from tests.delivery.reports import write_report

ROOT = Path(__file__).parents[2]
VERBS = ("run", "serve", "stop", "publish", "promote", "advance", "approve", "rollback", "sign", "status", "audit")


def segue(workspace: Path, verb: str, *arguments: str | Path) -> int:
    return main([verb, "--workspace", str(workspace), *map(str, arguments)])


def in_a_process(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-X", "importtime", "-m", "delivery", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_road_by_hand(
    workspace: Path, tmp_path: Path, bundles: list[Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    """Publish, promote thrice, roll back, refuse: each with MLflow's registry and real Git behind it."""
    for bundle in bundles[:2]:
        report = write_report(tmp_path / "report.json", bundle.digest)
        assert segue(workspace, "publish", "--bundle", bundle.path, "--report", report) == 0
        for environment in ("staging", "canary", "production"):
            assert segue(workspace, "promote", "--to", environment) == 0
    assert segue(workspace, "publish", "--bundle", bundles[1].path, "--report", report) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"version 1\n{bundles[0].digest}\npublished with the verdict pass")
    assert f"production has version 2 {bundles[1].digest}" in printed
    assert "was published already" in printed
    rollback = ("rollback", "--environment", "production", "--reason", "bad", "--request", " one  word ")
    assert segue(workspace, *rollback) == 0
    assert f"production is back to version 1 {bundles[0].digest}" in capsys.readouterr().out
    assert segue(workspace, *rollback) == 0
    assert f"production has already version 1 {bundles[0].digest}" in capsys.readouterr().out
    assert segue(workspace, "promote", "--to", "production") == 1
    assert "segue promote: The bundle" in capsys.readouterr().err
    assert segue(workspace, "audit", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["reason"] == "bad"
    _check_status(workspace, bundles[0], capsys)
    _check_fetch(workspace, tmp_path, bundles[0], capsys)


def _check_fetch(workspace: Path, tmp_path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    """An earlier bundle is replaced, and nothing else is."""
    place, work = tmp_path / "incumbent", tmp_path / "work"
    fetch = ("fetch", "--version", "1", "--output")
    for _ in range(2):
        assert segue(workspace, *fetch, place) == 0
        assert Bundle.open(place).digest == bundle.digest
    work.mkdir()
    (work / "thesis.txt").write_text("years")
    (work / "manifest.json").write_bytes((place / "manifest.json").read_bytes())
    for taken in (work, work / "thesis.txt"):
        assert segue(workspace, *fetch, taken) == 1
        assert f"{taken} holds something else than a bundle" in capsys.readouterr().err
    assert segue(workspace, *fetch, work / "thesis.txt" / "x") == 1
    assert capsys.readouterr().err == f"segue fetch: {work / 'thesis.txt'} cannot be used (File exists).\n"
    assert (work / "thesis.txt").read_text() == "years"


def _check_status(workspace: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert segue(workspace, "status", "--environment", "production", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"environment", "digest", "version", "verdict", "path", "weight", "commit", "synthetic"}
    assert (found["digest"], found["version"], found["verdict"]) == (bundle.digest, 1, "pass")
    assert (found["environment"], found["weight"], found["synthetic"]) == ("production", 100, True)
    assert Bundle.open(Path(found["path"]), bundle.digest).digest == bundle.digest
    assert segue(workspace, "status", "--format", "json") == 0
    assert [one["environment"] for one in json.loads(capsys.readouterr().out)] == ["staging", "canary", "production"]


def test_help_and_status_do_not_wait_for_mlflow(tmp_path: Path) -> None:
    """MLflow, boto3 and DVC take seconds to import; what needs none of them imports none."""
    for arguments in (["--help"], ["status", "--workspace", tmp_path], ["stop", "--workspace", tmp_path]):
        done = in_a_process(*arguments, cwd=tmp_path)
        assert done.returncode == 0
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
        assert not imported & {"mlflow", "boto3", "botocore", "dvc", "torch", "pandas"}
    assert list(tmp_path.iterdir()) == []


def test_help_comes_at_once(tmp_path: Path) -> None:
    """Half a second of processor time, however busy the machine is."""
    before = os.times()
    in_a_process("--help", cwd=tmp_path)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With an example to copy."""
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "example" in printed
    assert f"segue {verb}" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["promote"],
        ["promote", "--to", "moon"],
        ["promote", "--to", "staging", "--digest", "x", "--version", "1"],
        ["run", "--port", "0"],
        ["run", "--port", "http"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse does it."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: segue" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["publish", "--bundle", "none", "--report", "none"], "No bundle can be read at none"),
        (["rollback", "--environment", "production"], "There is no Git repository at"),
        (["rollback", "--environment", "production", "--digest", "sha256:7"], "The digest 'sha256:7' is not sha256:"),
        (["serve"], "Nothing is pinned in production; make run trains"),
        (["run", "--playlists", "nowhere"], "There is nothing at nowhere"),
        (["status", "--store", "ftp://x", "--workspace", "w"], "neither a folder nor s3://bucket/prefix"),
    ],
)
def test_what_cannot_be_done_ends_with_1_and_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """And with nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"segue {arguments[0]}: ")
    assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By its variable. An empty one counts as unset."""
    from delivery.settings import read_settings

    monkeypatch.setenv("SEGUE_STORE", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    settings = read_settings(workspace=Path("w"))
    assert settings.store_address == str(Path("w/store").absolute())
    assert (settings.tracking, settings.artifacts) == ("http://tracking", "")
    for wrong in ("http://{namespace}", "segue-{environment}", "http://{environment", "ftp://{environment}"):
        with pytest.raises(InputError, match="SEGUE_SERVICES"):
            read_settings(services=wrong)


def test_the_docs_name_every_setting_and_every_verb() -> None:
    """What can be set and called is written down."""
    from delivery.settings import Settings, variable

    docs = "".join((ROOT / "docs" / name).read_text() for name in ("delivery.md", "promotion.md", "running.md"))
    missing = [name for name in map(variable, Settings.model_fields) if f"`{name}`" not in docs]
    assert missing + [verb for verb in VERBS if f"segue {verb}" not in docs] == []
