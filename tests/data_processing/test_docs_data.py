import re
import shlex
from pathlib import Path

import pytest

from data_processing.__main__ import main
from data_processing.checks import REASONS
from data_processing.dataset import Dataset
from data_processing.readers.table import ALIASES

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`([^`]+)`\n\n```(?:csv|json)\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
SHELL = re.findall(r"^```sh\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page."""
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", SHELL)
def test_every_command_of_the_page_works(block: str, place: Path) -> None:
    """On the files that the page shows, each ends with a whole dataset in which nothing was rejected."""
    for line in block.splitlines():
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "data_processing"]
        assert main(words[3:]) == 0
    dataset = Dataset.open(place / "dataset")
    assert dataset.counts["entries"] >= 2
    assert '"rejected": {}' in (dataset.path / "validation.json").read_text()


def test_the_python_of_the_page_works(place: Path) -> None:
    """Reading the dataset as the page does."""
    assert main(shlex.split(SHELL[0])[3:]) == 0
    for block in PYTHON:
        exec(compile(block, "docs/data.md", "exec"), {})  # noqa: S102 - the page is ours


def test_the_page_shows_all_that_there_is() -> None:
    """Each format has an example, each reason and each field a row."""
    assert len(FILES) == 8
    assert len(SHELL) == 7
    for reason, meaning in REASONS.items():
        assert f"| `{reason}` | {meaning} |" in PAGE
    for field in ALIASES:
        assert f"| `{field}` |" in PAGE
