"""The search of settings: what is drawn, how it goes on, and where it stands in MLflow. No Ray is needed here."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

import data_processing.__main__ as data_command
import train.__main__ as train_command
from segue.errors import InputError
from train.__main__ import load_config
from train.lightgcn_training import Trainer
from train.search import Config, Search, figures, make
from train.search_draws import next_trial
from train.search_results import ranked, write_results
from train.search_space import Point, Space, fitted, holds, space_of, words_of
from train.search_tracking import FIGURE, SearchRun, search_run
from train.search_trials import Trial, Trials

RATE = "rate=tag(log, interval(0.0005, 0.05))"
SMALL = 'settings=["dimension=8","epochs=4","batch=64","start=xavier","neighbours=0"]'


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a small dataset, as working folder."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        sizes = ["--playlists", "200", "--tracks", "500", "--seed", "3"]
        assert data_command.main(["sample", "--output", "data", *sizes]) == 0
        assert data_command.main(["ingest", "data", "--output", "dataset", "--validation", "0.2"]) == 0
        yield folder


def config(*words: str, output: str = "found") -> Config:
    loaded: Config = load_config("search", ["dataset=dataset", f"output={output}", *words])
    return loaded


def space(*words: str, layers: int = 2) -> tuple[Space, Point]:
    """Return a space of ``rate`` and ``layers``, and the defaults in it."""
    first: Point = {"rate": 0.002, "layers": layers}
    return fitted(space_of(words or (RATE, "layers=interval(1, 4)")), first), first


def peak(point: Point) -> float:
    """Return a figure that is highest at a rate of 0.01 and three layers."""
    rate, layers = point["rate"], point["layers"]
    assert isinstance(rate, float)
    assert isinstance(layers, int)
    return 1 - math.log10(rate / 0.01) ** 2 - 0.1 * abs(layers - 3)


def searched(
    trials: int, known: list[Trial], figure: Callable[[Point], float] = peak, seed: int = 0, at_random: int = 5
) -> list[Trial]:
    """Return what a search comes to that makes one trial at a time."""
    drawn, first = space()
    known = list(known)
    while len(known) < trials and (trial := next_trial(drawn, first, known, seed, at_random)):
        known.append(Trial(trial.number, trial.settings, figure(trial.settings)))
    return known


def test_the_first_trial_has_the_defaults_and_all_are_in_the_space() -> None:
    """So nothing worse than the defaults is ever found; no two are alike."""
    drawn, first = space()
    trials = searched(15, [])
    assert trials[0].settings == first
    assert [trial.number for trial in trials] == list(range(1, 16))
    assert all(holds(drawn, trial.settings) for trial in trials)
    assert len({json.dumps(trial.settings) for trial in trials}) == 15


def test_a_search_that_was_stopped_draws_what_it_would_have_drawn() -> None:
    """After any number of trials; another seed, or other figures, lead elsewhere."""
    whole = searched(14, [])
    for stopped in (1, 4, 9):
        assert searched(14, whole[:stopped]) == whole
    assert searched(14, [], seed=1)[1:] != whole[1:]
    assert searched(14, [], lambda point: -peak(point))[-1].settings != whole[-1].settings


def test_what_is_known_of_trials_is_told_to_tpe() -> None:
    """Its draws are better than random ones, on the mean of four seeds."""
    by_tpe = [searched(22, [], seed=seed)[10:] for seed in range(4)]
    by_lot = [searched(22, [], seed=seed, at_random=100)[10:] for seed in range(4)]
    assert _mean(by_tpe) > _mean(by_lot) + 0.1


def _mean(searches: list[list[Trial]]) -> float:
    values = [trial.ndcg or 0.0 for trials in searches for trial in trials]
    return sum(values) / len(values)


def test_a_trial_that_was_cut_off_comes_first() -> None:
    """Unless it is being made, or the space no longer holds it, which is the way around one that kills its process."""
    drawn, first = space()
    known = [Trial(1, dict(first), 0.5), Trial(2, {"rate": 0.01, "layers": 4})]
    assert next_trial(drawn, first, known, 0, 5) == known[1]
    beside = next_trial(drawn, first, known, 0, 5, busy={2})
    assert beside
    assert beside.number == 3
    narrower, _ = space(RATE, "layers=interval(1, 3)")
    other = next_trial(narrower, first, known, 0, 5)
    assert other
    assert other.number == 3
    assert holds(narrower, other.settings)


def test_the_defaults_are_tried_where_the_space_lacks_them() -> None:
    """TPE learns from what the space holds."""
    drawn, first = space(RATE, "layers=interval(1, 3)", layers=7)
    known = [Trial(1, {"rate": 0.01, "layers": 3}, 0.7)]
    trial = next_trial(drawn, first, known, 0, 5)
    assert trial == Trial(2, {"rate": 0.002, "layers": 7})
    after = next_trial(drawn, first, [*known, Trial(2, dict(first), 0.9)], 0, at_random=1)
    assert after
    assert holds(drawn, after.settings)


def test_a_space_that_was_tried_wholly_ends_the_search() -> None:
    """Each of its points once."""
    first: Point = {"a": 1, "b": "x"}
    drawn = fitted(space_of(["a=choice(1, 2, 3)", "b=choice(x, 'y z')"]), first)
    known: list[Trial] = []
    while trial := next_trial(drawn, first, known, 0, 2):
        known.append(Trial(trial.number, trial.settings, 0.1))
    assert len(known) == 6
    assert len({json.dumps(trial.settings) for trial in known}) == 6


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["space=[]"], "There is nothing to search: the space is empty"),
        (['space=["rate=0.1"]'], "'rate=0.1' leaves nothing to search; write name=choice(a, b)"),
        (['space=["rate=choice(0.1)"]'], "leaves nothing to search; offer at least two different values."),
        (['space=["rate=choice([1,2],[3,4])"]'], "a search chooses between numbers, words, true and false."),
        (['space=["rate=interval(2, 1)"]'], "the low end has to be below the high one"),
        (['space=["rate=tag(log, interval(0, 1))"]'], "begins at 0.0, which has no logarithm; begin above 0"),
        (['space=["rate=tag(logarithm, interval(1, 2))"]'], "a search knows the tag log alone."),
        (['space=["rate=interval(1, 2"]'], "The search cannot read 'rate=interval(1, 2'"),
        (['space=["+rate=choice(1, 2)"]'], "leaves nothing to search"),
        (['space=["rate=choice(1, 2)","rate=choice(3, 4)"]'], "names rate twice; leave one of them out."),
        (['space=["rat=choice(1, 2)"]'], "Stage lightgcn has no setting 'rat' to search; train/conf/lightgcn.yaml"),
        (['space=["seed=choice(1, 2)"]'], "seed is set for all trials alike, and cannot be searched too"),
        (['settings=["rate=0.1"]'], "rate is set for all trials alike, and cannot be searched too"),
        (['settings=["threads=3"]'], "The search sets threads of a trial itself; leave 'threads=3' out of settings=."),
        (['settings=["rat=3"]'], "The settings of python -m train lightgcn are wrong"),
        (['space=["layers=choice(1, many)"]'], "The settings of python -m train lightgcn are wrong"),
        (
            ['space=["layers=interval(1, 2.5)"]'],
            "layers is a whole number, and the space of the search has it",
        ),
        (['space=["start=interval(1, 2)"]'], "start is no number, and has no interval; offer its values"),
        (['space=["rate=interval(-1, 2)"]'], "LightGCN's rate must be above 0, and not -1.0."),
        (["stage=text"], "The settings of 'text' cannot be searched; set stage=lightgcn or stage=llara."),
        (["stage=llara", 'space=["skeleton=choice(1, 2)"]'], "hand them on by settings=. python -m train llara needs"),
        (["trials=0"], "A search's trials is 1 or more, and not 0; set trials=."),
        (["seed=-1"], "A search's seed is 0 or more, and not -1; set seed=."),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_sentence(
    road: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    assert train_command.main(["search", "dataset=dataset", "output=never", *words]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not Path("never").exists()


def test_settings_of_groups_are_searched_by_their_whole_name(road: Path) -> None:
    """LLaRA's phases are groups; a group is none."""
    shared = 'settings=["lightgcn=a","text=b","projector=c"]'
    search = Search.of(config("stage=llara", shared, 'space=["skeleton.epochs=interval(2, 9)"]'))
    assert search.first == {"skeleton.epochs": 10}
    with pytest.raises(InputError, match="no setting 'skeleton' to search"):
        Search.of(config("stage=llara", shared, 'space=["skeleton=choice(1, 2)"]'))


def test_what_a_search_found_is_taken_by_its_name() -> None:
    """And changes nothing that was not searched."""
    words = ["dataset=dataset", "output=vectors"]
    plain, found = load_config("lightgcn", words), load_config("lightgcn", ["+found=small", *words])
    changed = {name for name in vars(plain) if getattr(plain, name) != getattr(found, name)}
    assert changed == {"dimension", "rate", "temperature", "batch"}


def test_words_are_those_that_a_command_takes() -> None:
    """What ``best.txt`` holds is read back as the same settings."""
    point: Point = {"a": 'y "z"', "b": True, "c": None, "d": 1e-05, "e": "word", "f": 3}
    assert words_of(point) == ['a="y \\"z\\""', "b=true", "c=null", "d=1e-05", "e=word", "f=3"]


def test_trials_of_another_search_are_not_taken(tmp_path: Path) -> None:
    """The same folder, another seed; a file that cannot be read is named."""
    one, other = Trials(tmp_path, ("digest", 0)), Trials(tmp_path, ("digest", 1))
    one.keep(Trial(1, {"rate": 0.1}, 0.5))
    assert one.known() == [Trial(1, {"rate": 0.1}, 0.5)]
    assert other.known() == []
    (tmp_path / "half.json").write_text('{"number"')
    with pytest.raises(InputError, match=r"cannot be read from .*half\.json .*; remove the file"):
        one.known()


def test_a_training_that_came_to_nothing_counts_as_nothing() -> None:
    """A figure that is no number would end the search."""
    assert figures({"ndcg": math.nan, "seconds": 2.0}) == (0.0, 2.0)
    assert figures([{"ndcg_0": 0.1}, {"ndcg_0": 0.25, "ndcg_5": 0.5, "loss": 9.0}]) == (0.375, 0.0)


def test_a_search_stands_in_mlflow_once_however_often_it_is_stopped(
    road: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run for the search, one below it for each trial, the best marked; a trial that is killed goes on in its run."""
    search = Search.of(config(SMALL, f'space=["{RATE}","layers=interval(1, 4)"]'))
    output = Path("found")
    with search_run(output, search.config, "digest") as book:
        make(search, _next(search), book)
        second = _next(search)
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_train_epoch", _until_epoch(3))
            with pytest.raises(KeyboardInterrupt):
                make(search, second, book)
        assert [trial.ndcg is None for trial in search.known()] == [False, True]
        assert list(Path("found/trials").glob("*.checkpoints/*.pt"))
    for _ in range(2):  # again, when nothing is left to do
        with search_run(output, search.config, "digest") as book:
            while len(ranked(search.known())) < 3:
                make(search, _next(search), book)
            _finish(search, book)
    parent, *below = mlflow.search_runs(experiment_names=["segue"], output_format="list", order_by=["start_time"])
    assert [run.info.run_name for run in [parent, *below]] == ["search lightgcn", "trial 1", "trial 2", "trial 3"]
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *below]} == {"FINISHED"}
    client = mlflow.MlflowClient()
    steps = [metric.step for metric in client.get_metric_history(below[1].info.run_id, "ndcg")]
    assert steps == [0, 2, 4]  # not a look was taken twice
    known = search.known()
    assert [run.data.metrics[FIGURE] for run in below] == [trial.ndcg for trial in known]
    assert [float(run.data.params["rate"]) for run in below] == [trial.settings["rate"] for trial in known]
    best = ranked(known)[0]
    assert [run.info.run_name for run in below if "best" in run.data.tags] == [f"trial {best.number}"]
    assert parent.data.tags["best_trial"] == str(best.number)
    assert parent.data.metrics[f"best_{FIGURE}"] == best.ndcg
    assert [metric.step for metric in client.get_metric_history(parent.info.run_id, FIGURE)] == [1, 2, 3]
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"trials.csv", "search.png", "best.txt"}


def test_what_a_killed_trial_comes_to_is_what_it_would_have_come_to(road: Path) -> None:
    """The first two trials of the test above, made again without a kill."""
    search = Search.of(config(SMALL, f'space=["{RATE}","layers=interval(1, 4)"]', output="calm"))
    with search_run(Path("calm"), search.config, "digest") as book:
        for _ in range(2):
            make(search, _next(search), book)
    killed = Trials(Path("found/trials").absolute(), search.trials.identity).known()
    calm = search.known()
    assert [(t.number, t.settings, t.ndcg) for t in killed[:2]] == [(t.number, t.settings, t.ndcg) for t in calm]


def _next(search: Search) -> Trial:
    trial = search.next([])
    assert trial
    return trial


def _finish(search: Search, book: SearchRun) -> None:
    best_first = ranked(search.known())
    write_results(Path("found"), best_first, search.space)
    book.results([(search.trials.name(t.settings), t) for t in best_first], Path("found"))


def _until_epoch(last: int) -> Callable[[Trainer], float]:
    train_epoch = Trainer._train_epoch

    def stopped(trainer: Trainer) -> float:
        if trainer.progress.epoch == last:
            raise KeyboardInterrupt
        return train_epoch(trainer)

    return stopped
