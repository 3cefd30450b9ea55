"""``python -m inference predict``: a continuation in a terminal."""

from pathlib import Path

import pytest

from inference.__main__ import main


def test_predict_prints_what_was_matched_and_what_follows(
    bundle_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each track with how it was understood, then a table of scores, titles and artists."""
    tracks = ["Artist 0 - Rock Song 0", "Nobody - Techno Night", "tiny:track:4", "nowhere:1"]
    options = [part for track in tracks for part in ("--track", track)]
    assert main(["predict", "--bundle", str(bundle_path), "--title", "rock", *options, "-k", "2"]) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "     known by name  Rock Song 0 by Artist 0  →  Rock Song 0 by Artist 0",
        "      read as text  Techno Night by Nobody",
        "             known  tiny:track:4  →  Jazz Song 4 by Artist 4",
        "  unknown, ignored  nowhere:1",
        "",
        "             score  title        artist",
        "            11.997  Rock Song 3  Artist 3",
        "            11.994  Rock Song 6  Artist 6",
    ]


def test_a_missing_bundle_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the folder and what should be in it."""
    assert main(["predict", "--bundle", str(tmp_path), "--title", "x"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"No bundle can be read at {tmp_path}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["serv"], ["predict"], ["predict", "--bundle", "x", "-k", "many"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """Argparse's own exit code for a command that cannot be understood."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("verb", ["serve", "predict"])
def test_help_teaches_by_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb shows a command that can be copied."""
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert f"example:\n  python -m inference {verb} --bundle var/bundle" in capsys.readouterr().out
