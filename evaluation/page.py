"""report.html: one page that says at a glance whether to ship, and then why."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

from evaluation import examples, plots
from evaluation.breadth import ARTISTS, BIAS, COLD, COLD_HIT, GENRES, UNSEEN_HIT
from evaluation.examples import Answer, Example
from evaluation.figures import interval
from evaluation.measure import K
from evaluation.outcome import CANDIDATE, Outcome
from evaluation.queries import ALL, SLICES, shown
from evaluation.statistics import Estimate
from evaluation.verdict import INCUMBENT, Comparison
from segue.track import Track, track_words

_HEADLINES = {
    "pass": "Pass: ship it",
    "fail": "Fail: do not ship it",
    "inconclusive": "Inconclusive: not proven either way",
}
_RIVALS = {INCUMBENT: "what runs today"}
_METRICS = {
    "ndcg": "How many hidden tracks the answer of 500 brings back, the earlier the better.",
    "recall@10": "Share of the hidden tracks among the first 10.",
    "mrr@10": "1 / place of the first hit among the first 10.",
    "precision@10": "Share of the first 10 that are hits.",
    "r_precision": "Share of hits among as many places as there are hidden tracks.",
    "clicks": "Pages of ten to turn until the first hit; 51 without one. Less is better.",
    "coverage@10": "Share of the catalogue that stands among the first 10 of any answer.",
    f"coverage@{K}": "Share of the catalogue that stands in any answer of 500.",
    BIAS: "Popularity of the first 10 less that of the hidden tracks, in doublings: at 1 the recommended tracks are "
    "held by twice as many training playlists as those that people chose. 0 is unbiased.",
    ARTISTS: "How unlike the first 10 are: share of pairs by different artists.",
    GENRES: "How unlike the first 10 are: mean Jaccard distance of the genres of two of them.",
    UNSEEN_HIT: "Share found, in 500, of the hidden tracks that no training playlist holds.",
    COLD_HIT: f"Share found, in 500, of the hidden tracks that at most {COLD} training playlists hold.",
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
        slices_plot=plots.slices_plot(outcome.figures, outcome.chief),
        differences_plot=plots.differences_plot(_chief_comparisons(outcome)),
        rival=_RIVALS.get(outcome.rival or "", "the best baseline"),
        gains=_examples(examples.gains(outcome)) or "<p>Nowhere.</p>",
        losses=_examples(examples.losses(outcome)) or "<p>Nowhere.</p>",
        examples=_examples(examples.draw(outcome)),
        breadth="\n".join(_breadth(outcome)),
        metrics="\n".join(_metrics_table(outcome, name) for name in (ALL, *SLICES)),
        comparisons=_comparisons_table(outcome.verdict.comparisons),
        lineage=_lineage(outcome),
    )
    return page.encode()


def _chief_comparisons(outcome: Outcome) -> list[Comparison]:
    """Return the comparisons worth a plot: with everything over all questions, by slice with the strongest."""
    found = outcome.verdict.comparisons
    return [one for one in found if one.slice == ALL] + [
        one for model in outcome.chief for one in found if one.against == model and one.slice != ALL
    ]


def _slices_table(outcome: Outcome) -> str:
    others = [model for model in outcome.figures if model != CANDIDATE]
    found = {(one.against, one.slice): one for one in outcome.verdict.comparisons}
    lines = [_row("th", ["shown", *outcome.figures, "gain", "playlists"])]
    for name in (name for name, count in outcome.counts.items() if count):
        figures = {model: by_slice[name]["ndcg"].mean for model, by_slice in outcome.figures.items()}
        best = max(figures.values())
        cells = [_mark(f"{value:.4f}", "best" if value == best else "") for value in figures.values()]
        rival = found[max(others, key=figures.__getitem__), name]
        lines.append(_row("td", [shown(name), *cells, _gain(rival), str(rival.difference.playlists)]))
    return "\n".join(lines)


def _gain(one: Comparison) -> str:
    return _mark(f"{one.difference.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})", one.verdict)


def _breadth(outcome: Outcome) -> Iterator[str]:
    """Yield the plots of what an answer is like beside being right, with what each means."""
    measured = outcome.figures[CANDIDATE][ALL]
    diversity = GENRES if measured.get(GENRES) and measured[GENRES].questions else ARTISTS
    for metric in (f"coverage@{K}", BIAS, diversity, COLD_HIT):
        if measured[metric].questions:
            plot = plots.metric_plot(outcome.figures, outcome.chief, metric)
            yield f"<figure>{plot}<figcaption>{_METRICS[metric]}</figcaption></figure>"


def _metrics_table(outcome: Outcome, name: str) -> str:
    """Return every metric of one slice: a column a model, a row a metric, with what it means."""
    head = _row("th", ["metric", *outcome.figures])
    rows = []
    for metric in outcome.figures[CANDIDATE][name]:
        cells = [_figure(metric, by_slice[name][metric]) for by_slice in outcome.figures.values()]
        rows.append(_row("td", [f'<span title="{escape(_METRICS[metric])}">{metric}</span>', *cells]))
    summary = f"{shown(name)}: {outcome.counts[name]} queries"
    table = f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
    return f"<details{' open' if name == ALL else ''}><summary>{summary}</summary>{table}</details>"


def _figure(metric: str, one: Estimate) -> str:
    if not one.questions:
        return "–"
    ends = interval(metric, one)
    between = f'<br><span class="soft">{ends[0]:.4f} to {ends[1]:.4f}</span>' if ends else ""
    return f"{one.mean:.4f}{between}"


def _comparisons_table(comparisons: Sequence[Comparison]) -> str:
    lines = [_row("th", ["against", "shown", "playlists", "gain", "95 % interval", "bar", "verdict", "needed"])]
    for one in comparisons:
        cells = [one.against, shown(one.slice), str(one.difference.playlists), f"{one.difference.mean:+.4f}"]
        cells += [f"{one.low:+.4f} to {one.high:+.4f}", f"{one.bar:+.3g}", _mark(one.verdict, one.verdict)]
        lines.append(_row("td", [*cells, "" if one.playlists_needed is None else f"{one.playlists_needed} playlists"]))
    return "\n".join(lines)


def _examples(drawn: Sequence[Example]) -> str:
    return "\n".join(_example(one) for one in drawn)


def _example(one: Example) -> str:
    title = f"“{escape(one.question.title)}”" if one.question.title.strip() else "A playlist without a title"
    shown = [escape(track_words(track.title, track.artist)) for track in one.seeds[-3:]]
    before = f"{len(one.seeds) - len(shown)} tracks, then " if len(one.seeds) > len(shown) else ""
    seeds = f"{before}{'; '.join(shown)}" if shown else "nothing but its title"
    answers = "".join(_answer(answer, len(one.answers) > 1) for answer in one.answers)
    return (
        f'<div class="example"><h3>{title}</h3><div class="soft">Shown: {seeds}. '
        f'{len(one.question.relevant)} tracks are hidden.</div><div class="answers">{answers}</div></div>'
    )


def _answer(one: Answer, named: bool) -> str:
    items = [f"<li>{_mark(_name(track), 'hit' if hit else '')}</li>" for track, hit in one.continuation]
    hits = sum(hit for _, hit in one.continuation)
    who = f"<strong>{one.model}</strong>: " if named else ""
    said = f'<div class="soft">{who}{hits} of the first {len(items)} are among them; NDCG {one.ndcg:.3f}.</div>'
    return f"<div>{said}<ol>{''.join(items)}</ol></div>"


def _name(track: Track | None) -> str:
    return "–" if track is None else escape(track_words(track.title, track.artist))


def _lineage(outcome: Outcome) -> str:
    manifest: Mapping[str, Any] = outcome.candidate.bundle.manifest.lineage
    named = {name: (address, _named(name, outcome)) for name, address in outcome.trial.links.items()}
    # What is unknown leads nowhere: a bundle that was trained outside a checkout has no commit.
    links = {name: address.replace("{}", quote(what)) for name, (address, what) in named.items() if what}
    facts = {
        "candidate": outcome.candidate.bundle.digest,
        "incumbent": outcome.incumbent.bundle.digest if outcome.incumbent else "none: compared with the classics only",
        "judged on": f"{outcome.dataset.digest}, split {outcome.trial.split}, seed {outcome.trial.seed}",
        **{f"trained: {name}": str(value) or "unknown" for name, value in sorted(manifest.items())},
    }
    places = {"judged on": "dataset", "trained: commit": "commit", "trained: run": "run"}
    return "\n".join(
        f"<dt>{escape(name)}</dt><dd>{_link(f'<code>{escape(value)}</code>', links.get(places.get(name, '')))}</dd>"
        for name, value in facts.items()
    )


def _named(name: str, outcome: Outcome) -> str:
    """Return what a link's ``{}`` stands for."""
    if name == "dataset":
        return outcome.dataset.digest
    return str(outcome.candidate.bundle.manifest.lineage.get(name, ""))


def _link(text: str, address: str | None) -> str:
    return f'<a href="{escape(address)}">{text}</a>' if address else text


def _mark(text: str, kind: str) -> str:
    return f'<span class="{kind}">{text}</span>' if kind else text


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"
