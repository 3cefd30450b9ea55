"""The validation report as one page that needs nothing beside it: its plots are inline SVG, its style is in it."""

import html
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 240, 56, 34, 12
_WORDS = {
    # in the order in which the page shows them
    "playlists_too_short": "playlists with fewer than two tracks, left out",
    "playlist_names_damaged": "playlists whose name was broken, kept without it",
    "tracks_without_uri": "tracks known by title and artist only",
    "tracks_linked_to_uri_by_name": "of these, found under a URI by their name",
    "entries_linked_to_uri_by_name": "entries that were linked so",
    "playlists_copies_of_another": "playlists that copy another, kept on its side of the split",
}


def page(report: Mapping[str, Any]) -> str:
    """Return the page for what `report.summary` returned. The same report gives the same page."""
    style = files("data_processing").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(
        [
            _head(report),
            _cards(report),
            _figure(
                "Rejected entries by reason",
                f"{_rejected(report):,} of {report['read']['entries']:,} entries were left out.",
                _bars_across([(r.replace("_", " "), e["count"]) for r, e in report["rejected"].items()]),
            ),
            _figure(
                "Length of playlists",
                f"Half of the playlists have at most {report['lengths']['quantiles']['p50']:,} tracks.",
                _bars_up([(_bin(b), b["playlists"]) for b in report["lengths"]["histogram"]]),
            ),
            _figure(
                "The long tail",
                f"{report['kept']['tracks_seen_once']:,} of {report['kept']['tracks']:,} tracks stand in one playlist "
                "only. Both axes are logarithmic: tracks by rank, playlists that hold them.",
                _curve(report["popularity"]["curve"]),
            ),
            _examples(report["rejected"]),
            _cleaned(report["cleaned"]),
            _left_out(report["read"]["left_out_files"]),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Segue · validation report</title>\n<style>\n{style}</style>\n<main>\n{body}\n</main>\n</html>\n"
    )


def _head(report: Mapping[str, Any]) -> str:
    read = report["read"]
    mark = '<p class="mark">Synthetic: these playlists were generated.</p>' if report["synthetic"] else ""
    return (
        f"<h1>Validation report</h1>{mark}<p>Read {read['playlists']:,} playlists with {read['entries']:,} entries "
        f"from {read['files']:,} {'file' if read['files'] == 1 else 'files'} "
        f"({html.escape(', '.join(read['formats']))}).</p>"
    )


def _cards(report: Mapping[str, Any]) -> str:
    kept, split = report["kept"], report["kept"]["split"]
    sides = " / ".join(f"{split[side]:,}" for side in ("train", "validation", "test"))
    cards = [
        ("playlists", f"{kept['playlists']:,}"),
        ("entries", f"{kept['entries']:,}"),
        ("tracks", f"{kept['tracks']:,}"),
        ("artists", f"{kept['artists']:,}"),
        ("cold tracks", f"{kept['cold_tracks']:,}"),
        ("rejected", f"{_rejected(report):,}"),
        ("train / validation / test", sides),
    ]
    return (
        '<dl class="cards">' + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cards) + "</dl>"
    )


def _rejected(report: Mapping[str, Any]) -> int:
    return sum(entry["count"] for entry in report["rejected"].values())


def _figure(title: str, caption: str, plot: str) -> str:
    return f"<figure><h2>{html.escape(title)}</h2>{plot}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _svg(height: float, label: str, inside: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{html.escape(label)}">{inside}</svg>'


def _bars_across(rows: Sequence[tuple[str, int]]) -> str:
    """Return one bar a row, labelled with its count; counts may differ a thousandfold, so no bar is invisible."""
    if not rows:
        return '<p class="none">Nothing was rejected.</p>'
    most, step, label = max(count for _, count in rows), 30, 180
    parts = []
    for i, (name, count) in enumerate(rows):
        width = max(2.0, (_WIDTH - label - 80) * count / most)
        parts.append(
            f'<text x="{label - 8}" y="{i * step + 19}" class="end">{html.escape(name)}</text>'
            f'<rect x="{label}" y="{i * step + 4}" width="{width:.1f}" height="{step - 8}" rx="3" class="bad"/>'
            f'<text x="{label + width + 8:.1f}" y="{i * step + 19}">{count:,}</text>'
        )
    return _svg(len(rows) * step, "rejected entries by reason", "".join(parts))


def _bars_up(rows: Sequence[tuple[str, int]]) -> str:
    most = max(count for _, count in rows) or 1
    step = (_WIDTH - _LEFT) / len(rows)
    floor = _HEIGHT - _BOTTOM
    parts = [_grid(value, floor - (floor - _TOP) * value / most) for value in (0, most // 2, most)]
    for i, (name, count) in enumerate(rows):
        x, height = _LEFT + i * step, (floor - _TOP) * count / most
        shortest = name.partition("–")[0]
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{floor - height:.1f}" width="{step - 4:.1f}" height="{height:.1f}" class="bar">'
            f"<title>{name} tracks: {count:,} playlists</title></rect>"
            f'<text x="{x + step / 2:.1f}" y="{floor + 18}" class="mid">{shortest}</text>'
        )
    return _svg(_HEIGHT, "playlists by length", "".join(parts))


def _bin(entry: Mapping[str, int]) -> str:
    return f"{entry['from']}+" if entry["to"] < 0 else f"{entry['from']}–{entry['to'] - 1}"


def _curve(points: Sequence[Sequence[int]]) -> str:
    """Return the popularity curve on two logarithmic axes."""
    floor = _HEIGHT - _BOTTOM
    right, top = math.log10(max(points[-1][0], 2)), math.log10(max(points[0][1], 2))

    def x(rank: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 12) * math.log10(rank) / right

    def y(count: float) -> float:
        return floor - (floor - _TOP) * math.log10(count) / top

    parts = [_grid(10**power, y(10**power)) for power in range(math.floor(top) + 1)]
    parts += [
        f'<text x="{x(10**power):.1f}" y="{floor + 18}" class="mid">{10**power:,}</text>'
        for power in range(math.floor(right) + 1)
    ]
    line = " ".join(f"{x(rank):.1f},{y(count):.1f}" for rank, count in points)
    return _svg(
        _HEIGHT, "playlists that hold a track, by the track's rank", f'{"".join(parts)}<polyline points="{line}"/>'
    )


def _grid(value: float, y: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{value:,}</text>'
    )


def _examples(rejected: Mapping[str, Any]) -> str:
    parts = []
    for reason, entry in rejected.items():
        rows = "".join(
            f"<tr><td>{html.escape(e['where'])}</td><td><code>{html.escape(e['value'])}</code></td></tr>"
            for e in entry["examples"]
        )
        parts.append(
            f"<details><summary><b>{entry['count']:,}</b> {html.escape(reason.replace('_', ' '))}: "
            f"{html.escape(entry['meaning'])}</summary><table>{rows}</table></details>"
        )
    return f"<section><h2>What was rejected, with examples</h2>{''.join(parts)}</section>" if parts else ""


def _cleaned(cleaned: Mapping[str, int]) -> str:
    order = {name: place for place, name in enumerate(_WORDS)}
    rows = "".join(
        f'<tr><td class="end">{count:,}</td><td>{html.escape(_WORDS.get(name, name.replace("_", " ")))}</td></tr>'
        for name, count in sorted(cleaned.items(), key=lambda item: order.get(item[0], len(order)))
    )
    return f"<section><h2>What was cleaned</h2><table>{rows}</table></section>"


def _left_out(names: Sequence[str]) -> str:
    if not names:
        return ""
    rows = "".join(f"<li><code>{html.escape(name)}</code></li>" for name in names)
    why = "They are of other kinds, stand beside MPD slices, or are links to folders, which are not followed."
    return f"<section><h2>Files that were not read</h2><p>{why}</p><ul>{rows}</ul></section>"
