"""The steps' scripts do under a real shell what the templates count on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_processing.sample.slices import write_sample
from tests.workflows.commands import ROOT, steps

STUB = """#!/bin/sh
echo "$*" >>"$CALLS"
printf '%s\\n' "$SAYS"
exit "${CODE_OF_COMMAND:-0}"
"""


def run(name: str, folder: Path, real: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script below a folder, with the real rooms or with a stand-in that writes its calls down."""
    script = dict(steps())[name]["container"]["args"][0]
    script = re.sub(r"(?<=[ =>])(/srv/segue|/tmp)(?=[/ ])", lambda found: str(folder) + found[0], script)
    for part in ("srv/segue", "tmp", "bin"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python3"
    if real:
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    else:
        python.write_text(STUB)
        (folder / "bin" / "git").write_text(STUB)
        (folder / "bin" / "git").chmod(0o755)
    python.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "CALLS": str(folder / "calls"), "SAYS": "", **environment}
    return subprocess.run(["sh", "-euc", script], cwd=ROOT, env=given, capture_output=True, text=True)


def said(folder: Path, name: str) -> str:
    return (folder / "tmp" / name).read_text().rstrip("\n")


def calls(folder: Path) -> list[str]:
    return [re.sub(re.escape(str(folder)), "", line) for line in (folder / "calls").read_text().splitlines()]


STAGES = ("text", "lightgcn", "projector", "llara", "export")


def profiles(**settings: str) -> str:
    """Return one profile, `sample`, as JSON."""
    return json.dumps({"sample": dict.fromkeys(STAGES, "") | settings})


def ingest(folder: Path, profile: str = "auto", seed: str = "0", **more: str) -> subprocess.CompletedProcess[str]:
    given = {
        "PLAYLISTS": "",
        "FEATURES": "",
        "LYRICS": "",
        "SAMPLE": "120",
        "SEED": seed,
        "PROFILE": profile,
        "CODE": "0.1.0",
    }
    variables = {one["name"]: one["value"] for one in dict(steps())["train-model/ingest"]["container"]["env"]}
    given |= {"PROFILES": profiles(), "READ": variables["READ"]}
    return run("train-model/ingest", folder, real=True, **{**given, **more})


def keys(folder: Path) -> dict[str, str]:
    return {stage: said(folder, f"key-{stage}") for stage in STAGES}


def test_without_playlists_some_are_made_up(tmp_path: Path) -> None:
    """The profile fits them, and the same again is known by the same keys, a stage by one of its own."""
    for name in ("first", "again"):
        done = ingest(tmp_path / name)
        assert done.returncode == 0, done.stderr
    first, again = tmp_path / "first", tmp_path / "again"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", said(first, "digest"))
    assert said(first, "profile") == "sample"
    assert keys(first) == keys(again)
    assert len(set(keys(first).values())) == len(STAGES)
    assert all(re.fullmatch(r"[0-9a-f]{32}", key) for key in keys(first).values())
    assert (first / "srv/segue/dataset/manifest.json").is_file()


def test_a_stage_is_remembered_by_what_it_is_made_of(tmp_path: Path) -> None:
    """Other settings change its key and those of the stages after it; another seed, dataset or code change all."""
    write_sample(tmp_path / "ours", playlists=120)

    def keys_of(name: str, tracks: str = "ours", **more: str) -> dict[str, str]:
        (tmp_path / name / "srv" / "segue").mkdir(parents=True)
        (tmp_path / name / "srv" / "segue" / "playlists").symlink_to(tmp_path / tracks)
        assert ingest(tmp_path / name, profile="sample", PLAYLISTS="playlists/ours", **more).returncode == 0
        return keys(tmp_path / name)

    first = keys_of("first")
    for stage in STAGES:
        other = keys_of(stage, PROFILES=profiles(**{stage: "epochs=1"}))
        kept = STAGES[: STAGES.index(stage)]
        assert [name for name in STAGES if other[name] == first[name]] == list(kept)
    write_sample(tmp_path / "others", playlists=121)
    changes = {"seed": {"seed": "1"}, "code": {"CODE": "0.2.0"}, "data": {"tracks": "others"}}
    for name, more in changes.items():
        assert not set(keys_of(name, **more).values()) & set(first.values())


def test_tables_are_joined_where_they_are_named(tmp_path: Path) -> None:
    """Whatever stands where they would come, only what was asked for is read; and a table that did not come is said."""
    folder = tmp_path / "srv" / "segue"
    (folder / "playlists").mkdir(parents=True)
    (folder / "playlists" / "plays.csv").write_text("playlist,track,artist\nMix,One,A\nMix,Two,B\n")
    (folder / "features").write_text("artist,genres\na,rock\n")
    (folder / "lyrics").write_text("track,artist,text\nOne,A,la\nTwo,B,oh\n")
    done = ingest(tmp_path, PLAYLISTS="playlists/ours", FEATURES="tables/artists.csv")
    assert "joined: features of 1 of 2 tracks" in done.stdout, done.stderr
    assert "lyrics" not in done.stdout
    done = ingest(tmp_path, PLAYLISTS="playlists/ours", FEATURES="tables/artists.csv", LYRICS="tables/lyrics.csv")
    assert "joined: lyrics of 2 of 2 tracks" in done.stdout, done.stderr
    (folder / "features").unlink()
    done = ingest(tmp_path, PLAYLISTS="playlists/ours", FEATURES="tables/none.csv")
    assert 0 < done.returncode < 128
    assert "srv/segue/features" in done.stderr


def test_a_profile_that_is_not_there_ends_the_step(tmp_path: Path) -> None:
    """Before anything is trained by settings that nobody wrote."""
    assert ingest(tmp_path, profile="full").returncode != 0


def test_a_bad_dataset_ends_the_step_with_its_sentence(tmp_path: Path) -> None:
    """With the command's own exit code, which is not one that is tried again."""
    folder = tmp_path / "srv" / "segue" / "playlists"
    folder.mkdir(parents=True)
    (folder / "mpd.slice.0-999.json").write_text('{"playlists": [{"name": ')
    done = ingest(tmp_path, PLAYLISTS="playlists/ours")
    assert 0 < done.returncode < 128
    assert "mpd.slice.0-999.json" in done.stderr
    assert not list((tmp_path / "tmp").glob("key-*"))


def gate(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    given = {"SEED": "0", "MARGIN": "0", "MLFLOW": "http://mlflow.segue.internal", "EXPERIMENT": "1", "REPOSITORY": ""}
    return run("train-model/gate", folder, False, **{**given, **more})


@pytest.mark.parametrize("verdict,code", [("pass", "0"), ("fail", "1"), ("inconclusive", "2")])
def test_a_verdict_is_an_output_and_no_failure(verdict: str, code: str, tmp_path: Path) -> None:
    """Whatever it is, the step succeeds and hands on the word and the sentence."""
    sentence = f"{verdict}: Not proven: about 30 held-out playlists would settle it.\nreport: report.html"
    done = gate(tmp_path, SAYS=sentence, CODE_OF_COMMAND=code)
    assert done.returncode == 0, done.stderr
    assert said(tmp_path, "verdict") == verdict
    assert said(tmp_path, "reason") == "Not proven: about 30 held-out playlists would settle it."
    assert "--incumbent" not in calls(tmp_path)[0]


def test_a_gate_that_could_not_measure_fails_the_step(tmp_path: Path) -> None:
    """No data is never a pass."""
    assert gate(tmp_path, CODE_OF_COMMAND="3").returncode != 0


def test_an_incumbent_is_judged_against_where_there_is_one(tmp_path: Path) -> None:
    """The folder that the step before brought."""
    (tmp_path / "srv" / "segue" / "incumbent").mkdir(parents=True)
    gate(tmp_path, SAYS="pass: Better.")
    assert "--incumbent /srv/segue/incumbent" in calls(tmp_path)[0]


def test_the_gate_is_told_what_may_be_lost_and_where_its_report_leads(tmp_path: Path) -> None:
    """The margin that was asked for, MLflow's runs, and the commit where somebody said what shows it."""
    gate(tmp_path, SAYS="pass: Better.", MARGIN="0.01", EXPERIMENT="7", REPOSITORY="https://git.example/segue")
    words = calls(tmp_path)[0]
    runs = "http://mlflow.segue.internal/#/experiments/7/runs?searchFilter="
    assert "--margin 0.01" in words
    assert f"--link dataset={runs}tags.dataset='{{}}' --link run={runs}params.trained_by='{{}}'" in words
    assert words.endswith("--link commit=https://git.example/segue/commit/{}")
    (tmp_path / "calls").unlink()
    gate(tmp_path, SAYS="pass: Better.")
    assert "commit=" not in calls(tmp_path)[0]


@pytest.mark.parametrize("version,which", [("0", "--environment production"), ("7", "--version 7")])
def test_the_incumbent_is_the_version_asked_for(version: str, which: str, tmp_path: Path) -> None:
    """0 is what stands in production."""
    done = run("train-model/incumbent", tmp_path, VERSION=version, SEGUE_REPOSITORY="http://git/segue.git")
    assert done.returncode == 0, done.stderr
    assert calls(tmp_path)[-1] == f"-m delivery fetch {which} --output /srv/segue/incumbent"


def test_who_asks_for_no_incumbent_gets_none(tmp_path: Path) -> None:
    """And nobody is asked for one: what stands in production may be what no newer Segue can load."""
    done = run("train-model/incumbent", tmp_path, VERSION="none", SEGUE_REPOSITORY="http://git/segue.git")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The new model is judged against no incumbent, since model-version is none.\n"
    assert not (tmp_path / "calls").exists()
    assert not (tmp_path / "srv" / "segue" / "incumbent").exists()


def test_publishing_hands_on_version_and_digest(tmp_path: Path) -> None:
    """And where the report can be read."""
    lines = f"version 12\nsha256:{'a' * 64}\npublished with the verdict pass: Better."
    done = run("train-model/publish", tmp_path, SAYS=lines, MLFLOW="http://mlflow.segue.internal")
    assert done.returncode == 0, done.stderr
    assert said(tmp_path, "version") == "12"
    assert said(tmp_path, "digest") == f"sha256:{'a' * 64}"
    assert said(tmp_path, "report-address") == "http://mlflow.segue.internal/#/models/segue/versions/12"


@pytest.mark.parametrize(
    "version,weight,words",
    [("", "", ""), ("3", "", " --version 3"), ("", "25", " --weight 25")],
)
def test_a_promotion_says_what_was_asked(version: str, weight: str, words: str, tmp_path: Path) -> None:
    """What was left empty is the command's own to choose."""
    done = run(
        "promote-model/promote", tmp_path, ENVIRONMENT="canary", VERSION=version, WEIGHT=weight, SEGUE_REPOSITORY="x",
        ASKED_BY="workflow x",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert calls(tmp_path)[-1] == f"-m delivery promote --to canary --by workflow x{words}"


@pytest.mark.parametrize("version, first", [("", []), ("3", ["-m delivery promote --to staging --version 3 --by me"])])
def test_without_an_environment_a_promotion_goes_all_the_way(version: str, first: list[str], tmp_path: Path) -> None:
    """Staged where a version was named, and then one step after another."""
    done = run(
        "promote-model/promote",
        tmp_path,
        ENVIRONMENT="",
        VERSION=version,
        WEIGHT="",
        ASKED_BY="me",
        SEGUE_REPOSITORY="x",
    )
    assert done.returncode == 0, done.stderr
    assert calls(tmp_path)[1:] == [*first, "-m delivery advance --follow --by me"]


def test_a_reason_stays_one_word_to_the_shell(tmp_path: Path) -> None:
    """Whatever somebody writes into it."""
    reason = 'too loud"; touch /srv/segue/harm; echo "'
    given = ("production", reason, "7c1e", "me", "x")
    names = ("ENVIRONMENT", "REASON", "REQUEST", "ASKED_BY", "SEGUE_REPOSITORY")
    done = run("rollback-model/roll-back", tmp_path, False, **dict(zip(names, given, strict=True)))
    assert done.returncode == 0, done.stderr
    called = f"-m delivery rollback --environment production --reason {reason} --request 7c1e --by me"
    assert calls(tmp_path)[-1] == called
