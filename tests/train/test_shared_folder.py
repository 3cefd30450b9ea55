"""What a stage reads is brought to where all workers see it, and what it writes is brought back."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from train.shared_folder import shared


@dataclass(frozen=True)
class Settings:
    dataset: str
    output: str
    encoder: str = ""
    seed: int = 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "dataset" / "part").mkdir(parents=True)
    (tmp_path / "dataset" / "part" / "file").write_text("playlists")
    return Settings(str(tmp_path / "dataset"), str(tmp_path / "output"))


def train(settings: Settings) -> None:
    """Write what was read, as a stage would."""
    Path(settings.output).mkdir()
    Path(settings.output, "model").write_text(Path(settings.dataset, "part", "file").read_text())


def test_without_a_shared_folder_settings_stay(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one machine all workers see the same files anyway."""
    monkeypatch.delenv("SEGUE_SHARED", raising=False)
    with shared(settings) as there:
        assert there is settings


def test_files_go_there_and_come_back(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage sees only folders below the shared one, and nothing stays there."""
    monkeypatch.setenv("SEGUE_SHARED", str(tmp_path / "shared"))
    with shared(settings) as there:
        assert Path(there.dataset).is_relative_to(tmp_path / "shared")
        assert Path(there.output).is_relative_to(tmp_path / "shared")
        assert there.encoder == ""
        train(there)
    assert Path(settings.output, "model").read_text() == "playlists"
    assert list((tmp_path / "shared").iterdir()) == []


def test_settings_that_are_kept_name_the_steps_own_folders(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later stage reads there which folders an earlier one has read."""
    monkeypatch.setenv("SEGUE_SHARED", str(tmp_path / "shared"))
    with shared(settings) as there:
        Path(there.output).mkdir()
        Path(there.output, "config.json").write_text(json.dumps(asdict(there)))
    assert json.loads(Path(settings.output, "config.json").read_text()) == asdict(settings)


def test_a_step_that_was_cut_off_finds_its_place(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same work has the same place, with its checkpoint; other settings or other files have another."""
    monkeypatch.setenv("SEGUE_SHARED", str(tmp_path / "shared"))
    with pytest.raises(KeyboardInterrupt), shared(settings) as there:
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), shared(settings) as again:
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), shared(Settings(settings.dataset, settings.output, seed=1)) as seeded:
        raise KeyboardInterrupt
    (tmp_path / "dataset" / "part" / "file").write_text("others")
    with pytest.raises(KeyboardInterrupt), shared(settings) as other:
        raise KeyboardInterrupt
    assert there.output == again.output
    assert len({there.output, seeded.output, other.output}) == 3
