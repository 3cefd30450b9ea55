"""report.html: one page that says at a glance whether to ship, and then why."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from evaluation import examples, plots
from evaluation.examples import Example
from evaluation.measure import inside, means
from evaluation.outcome import CANDIDATE, Outcome
from evaluation.queries import ALL, SLICES
from evaluation.statistics import Estimate, estimate
from evaluation.verdict import Comparison
from segue.track import track_words

_HEADLINES = {
    "pass": "Pass: ship it",
    "fail": "Fail: do not ship it",
    "inconclusive": "Inconclusive: not proven either way",
}
_SYNTHETIC = """<p class="notice"><strong>Synthetic data.</strong> These playlists were generated, not made by
people: the figures show that the machinery works, not how good the model is on music.</p>"""

_FOREIGN = """<p class="notice"><strong>Another dataset.</strong> The candidate was trained on other playlists
than these come from, and somebody vouched that it has not seen these.</p>"""


def render(outcome: Outcome) -> bytes:
    """Return the page; the same outcome gives the same bytes."""
    word = outcome.verdict.word
    template = Template((files("evaluation") / "page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        word=word,
        colour=plots.VERDICT_COLOURS[word],
        headline=_HEADLINES[word],
        reason=escape(outcome.verdict.reason),
        notices=(_SYNTHETIC if outcome.synthetic else "") + (_FOREIGN if outcome.foreign else ""),
        playlists=len({question.playlist for question in outcome.questions}),
        slices=_slices_table(outcome),
        slices_plot=plots.slices_plot(_estimates(outcome)),
        differences_plot=plots.differences_plot(outcome.verdict.comparisons),
        examples="\n".join(_example(one) for one in examples.draw(outcome)),
        metrics=_metrics_table(outcome),
        comparisons=_comparisons_table(outcome.verdict.comparisons),
        lineage=_lineage(outcome),
    )
    return page.encode()


def _estimates(outcome: Outcome) -> dict[str, dict[str, Estimate]]:
    """Return model to slice to mean NDCG, for the slices that were asked about."""
    owners = np.array([question.playlist for question in outcome.questions])
    rows = {name: inside(outcome.questions, name) for name in (*SLICES, ALL)}
    asked = {name: mine for name, mine in rows.items() if mine.any()}
    return {
        model: {name: estimate(values["ndcg"][mine], owners[mine].tolist()) for name, mine in asked.items()}
        for model, values in outcome.scores.items()
    }


def _slices_table(outcome: Outcome) -> str:
    by_model = _estimates(outcome)
    others = [model for model in by_model if model != CANDIDATE]
    found = {(one.against, one.slice): one for one in outcome.verdict.comparisons}
    lines = [_row("th", ["shown", *by_model, "gain", "playlists"])]
    for name in by_model[CANDIDATE]:
        figures = {model: by_slice[name].mean for model, by_slice in by_model.items()}
        best = max(figures.values())
        cells = [_mark(f"{value:.4f}", "best" if value == best else "") for value in figures.values()]
        rival = found[max(others, key=figures.__getitem__), name]
        lines.append(_row("td", [_shown(name), *cells, _gain(rival), str(rival.difference.playlists)]))
    return "\n".join(lines)


def _gain(one: Comparison) -> str:
    return _mark(f"{one.difference.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})", one.verdict)


def _metrics_table(outcome: Outcome) -> str:
    names = list(outcome.scores[CANDIDATE])
    lines = [_row("th", ["model", "shown", "queries", *names])]
    for model, values in outcome.scores.items():
        for name, row in means(values, outcome.questions, (*SLICES, ALL)).items():
            figures = [_figure(row[metric]) for metric in names]
            lines.append(_row("td", [model, _shown(name), str(row["n"]), *figures]))
    return "\n".join(lines)


def _figure(value: float | int | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _comparisons_table(comparisons: Sequence[Comparison]) -> str:
    lines = [_row("th", ["against", "shown", "playlists", "gain", "95 % interval", "bar", "verdict", "needed"])]
    for one in comparisons:
        cells = [one.against, _shown(one.slice), str(one.difference.playlists), f"{one.difference.mean:+.4f}"]
        cells += [f"{one.low:+.4f} to {one.high:+.4f}", f"{one.bar:+.3g}", _mark(one.verdict, one.verdict)]
        lines.append(_row("td", [*cells, "" if one.playlists_needed is None else f"{one.playlists_needed} playlists"]))
    return "\n".join(lines)


def _example(one: Example) -> str:
    title = f"“{escape(one.question.title)}”" if one.question.title.strip() else "A playlist without a title"
    shown = [escape(track_words(track.title, track.artist)) for track in one.seeds[-3:]]
    before = f"{len(one.seeds) - len(shown)} tracks, then " if len(one.seeds) > len(shown) else ""
    seeds = f"{before}{'; '.join(shown)}" if shown else "nothing but its title"
    items = [
        f"<li>{_mark(escape(track_words(track.title, track.artist)), 'hit' if hit else '')}</li>"
        for track, hit in one.continuation
    ]
    hits = sum(hit for _, hit in one.continuation)
    return (
        f'<div class="example"><h3>{title}</h3><div class="soft">Shown: {seeds}.<br>'
        f"{hits} of the first {len(items)} are among its {len(one.question.relevant)} hidden tracks; "
        f"NDCG {one.ndcg:.3f}.</div><ol>{''.join(items)}</ol></div>"
    )


def _lineage(outcome: Outcome) -> str:
    manifest: Mapping[str, Any] = outcome.candidate.bundle.manifest.lineage
    facts = {
        "candidate": outcome.candidate.bundle.digest,
        "incumbent": outcome.incumbent.bundle.digest if outcome.incumbent else "none: compared with the classics only",
        "judged on": f"{outcome.dataset.digest}, split {outcome.trial.split}, seed {outcome.trial.seed}",
        **{f"trained: {name}": str(value) or "unknown" for name, value in sorted(manifest.items())},
    }
    return "\n".join(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in facts.items())


def _shown(name: str) -> str:
    words = {"title": "title only", ALL: "all queries", "1": "1 seed"}
    return words.get(name, f"{name} seeds")


def _mark(text: str, kind: str) -> str:
    return f'<span class="{kind}">{text}</span>' if kind else text


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"
