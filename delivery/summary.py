"""The last words of a run: what it learned from, how good it is, where it stands and how to reach it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from delivery.digests import short
from delivery.load import Load
from delivery.report import ALL, Report
from delivery.run import Outcome

_METRICS = ("ndcg", "recall@10", "mrr@10", "precision@10", "r_precision", "clicks")
_COUNTS = ("playlists", "tracks", "entries", "train", "validation", "test")
_MODELS = ("candidate", "incumbent", "popularity", "title_knn", "item_knn", "playlist_knn", "ease", "ials")


def summary(outcome: Outcome) -> str:
    """Return the summary as text."""
    parts = [_dataset(outcome.dataset), _metrics(outcome.report), _verdict(outcome)]
    parts += ["\n".join(one.to_text() for one in outcome.standings), _where(outcome)]
    return "\n\n".join(part for part in parts if part)


def _dataset(manifest: Mapping[str, Any]) -> str:
    known = manifest["counts"]
    order = [name for name in _COUNTS if name in known] + sorted(set(known) - set(_COUNTS))
    counts = ", ".join(f"{known[name]:,} {name}" for name in order)
    made_up = " (synthetic: made-up playlists, so the figures say nothing about real ones)"
    return f"dataset     {counts}{made_up if manifest['synthetic'] else ''}"


def _metrics(report: Report) -> str:
    """Return the metrics over all questions: a row a metric, a column a model."""
    models = [name for name in _MODELS if ALL in report.content.metrics.get(name, {})]
    found = {name: report.content.metrics[name][ALL] for name in models}
    rows = [[metric, *(_number(found[name].get(metric)) for name in models)]
            for metric in _METRICS if any(metric in found[name] for name in models)]  # fmt: skip
    head = f"on {report.content.playlists:,} held-out playlists"
    return _table([[head, *models], *rows])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _verdict(outcome: Outcome) -> str:
    content = outcome.report.content
    text = f"verdict     {content.verdict}: {content.reason}"
    if outcome.refusal:
        standing = outcome.standings[-1]
        kept = f"production keeps version {standing.version}" if standing.digest else "nothing stands in production"
        text += f"\n            Nothing was promoted; {kept}."
        text += f"\n            {outcome.refusal}" if content.verdict == "pass" else ""
    return text


def _where(outcome: Outcome) -> str:
    lines = [f"report      {_near(outcome.report_page)}"] if outcome.report_page.is_file() else []
    if service := outcome.service:
        lines += [
            f"page        {service.url}/",
            f"API         {service.url}/predict (POST), described at {service.url}/openapi.json",
            f"it says     {_says(outcome.answer)}",
            *([_stood(load)] if (load := outcome.load) else []),
            f"serving     version {service.version} ({short(service.digest)}); stop it with: make stop",
        ]
    return "\n".join(lines)


def _stood(load: Load) -> str:
    answers = f"{load.statuses[200]} of {load.sent} requests answered in {load.seconds:.1f} s"
    times = f"{1e3 * load.percentile(50):.1f} ms in the middle, {1e3 * load.percentile(95):.1f} at the 95th percentile"
    used = f"; {load.usage['resident_megabytes']:.0f} MB resident" if load.usage else ""
    return f"under load  {answers}, {times}{used}"


def _says(answer: Mapping[str, Any]) -> str:
    given = [_name(one["track"]) for one in answer["matched"] if one["track"]]
    return f"{' + '.join(given)} → {', '.join(_name(track) for track in answer['recommended_tracks'])}"


def _name(track: Mapping[str, Any]) -> str:
    return f"{track['track_name']} by {track['artist_name']}"


def _near(path: Path) -> Path:
    """Return a path relative to the working folder where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
