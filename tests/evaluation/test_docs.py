"""The documentation of the room's commands."""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"


def _help(*verb: str) -> str:
    command = [sys.executable, "-m", "evaluation", *verb, "--help"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _options(text: str) -> set[str]:
    """Return the options in a text, but for those of commands that other pages explain."""
    return set(re.findall(r"--[a-z][a-z-]+", re.sub(r"segue fetch .*|python -m tests\..*", "", text)))


VERBS = {"gate", "measure", "submission", "verify-submission"}


def test_every_verb_and_option_is_explained_and_none_is_made_up() -> None:
    """An option without a word in docs/evaluation.md fails, and so does a word about an option that is gone."""
    text = DOCS.read_text()
    assert _options(text) == {option for verb in VERBS for option in _options(_help(verb))} - {"--help"}
    assert set(re.findall(r"python -m evaluation ([a-z-]+)", text)) == VERBS
