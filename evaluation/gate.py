"""The gate: a bundle against the classics and what runs today, on playlists that none of them has seen."""

from evaluation import classics
from evaluation.breadth import Facts
from evaluation.classics import Classics
from evaluation.dataset import Dataset
from evaluation.figures import describe
from evaluation.measure import K, score
from evaluation.memory import ease_rows
from evaluation.models import BundleModel, Model
from evaluation.outcome import CANDIDATE, Outcome, Trial
from evaluation.queries import Question, ask, sample_playlists
from evaluation.verdict import INCUMBENT, judge
from inference.ranker import Ranker
from segue.errors import InputError


def run(trial: Trial) -> Outcome:
    """Judge a bundle; nothing is written.

    Raises:
        BundleError: A bundle does not verify.
        DatasetError: The dataset does not verify.
        InputError: There is nothing to ask, or the candidate may have trained on what would be asked.
    """
    dataset = Dataset.open(trial.dataset)
    candidate = Ranker.open(trial.bundle)
    incumbent = Ranker.open(trial.incumbent) if trial.incumbent else None
    _check_lineage(candidate, dataset, trial)
    questions = _questions(dataset, trial)
    tracks = dataset.tracks(range(dataset.track_count))
    bundles = {CANDIDATE: candidate} | ({INCUMBENT: incumbent} if incumbent else {})
    baselines = _baselines(dataset, trial)
    models: dict[str, Model] = {name: BundleModel(ranker, tracks, name) for name, ranker in bundles.items()}
    ranked = {name: model.rank(questions, K) for name, model in {**models, **baselines.models}.items()}
    scores = {name: score(lists, questions) for name, lists in ranked.items()}
    facts = Facts.of(dataset)
    figures = {name: describe(lists, scores[name], questions, facts) for name, lists in ranked.items()}
    ndcg = {name: values["ndcg"] for name, values in scores.items()}
    verdict = judge(ndcg, CANDIDATE, questions, trial.margins)
    settings = baselines.settings
    return Outcome(trial, dataset, tracks, questions, candidate, incumbent, settings, ranked, ndcg, figures, verdict)


def _questions(dataset: Dataset, trial: Trial) -> list[Question]:
    questions = ask(sample_playlists(dataset.playlists(trial.split), trial.playlists, trial.seed))
    if not questions:
        raise InputError(
            f"The dataset {trial.dataset} has no playlist in its {trial.split} split that is long enough to ask about; "
            "ingest more playlists."
        )
    return questions


def _baselines(dataset: Dataset, trial: Trial) -> Classics:
    if not dataset.matrix("train").nnz:
        raise InputError(f"The dataset {trial.dataset} has no training playlists for the baselines to learn from.")
    return classics.fit(dataset, trial.seed, trial.ease_rows or ease_rows())


def _check_lineage(candidate: Ranker, dataset: Dataset, trial: Trial) -> None:
    trained_on = candidate.bundle.manifest.lineage.get("dataset")
    if trial.split == "train":
        raise InputError("The split train is what the candidate learned from; judge it on test or validation.")
    if trained_on != dataset.digest and not trial.foreign_dataset:
        raise InputError(
            f"The bundle {trial.bundle} was trained on the dataset {trained_on}, and {trial.dataset} is "
            f"{dataset.digest}: it may have learned from the playlists that would judge it. Name its own dataset, or "
            "add --foreign-dataset if you know that they share no playlists."
        )
