"""Writes docs/benchmarks.md out of the JSON of runs: nothing on the page is typed by hand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.figure import alone, draw
from benchmarks.peers.indexes import PEERS
from benchmarks.peers.servers import SERVERS
from segue.files import write_whole

_ASKED_FOR = 1.5
"""Most that one query alone may take, over the time of reading its bytes."""

_HEAD = """# Beside its peers

This page is written by `make bench` from the figures of runs; nothing on it is typed by hand.

    make bench                                                            # runs, and writes this page
    python -m benchmarks.peers --output build/bench/peers.json            # the run alone; --help for sizes
    python -m benchmarks.peers report build/bench/peers.json              # the page alone

Made-up vectors of a catalogue's shape (`benchmarks/peers/vectors.py`), the same for all; a playlist is the mean of ten
tracks of a scene. What is right are the tracks of the greatest inner product by numpy in 64 bits. Each peer runs in a
process of its own, one after another. A time is the median of all repeats' medians, p95 the median of their 95th
percentiles. Queries, k = 10 and 500, of those that look at every track take turns with a reading of as many bytes
(numpy's maximum over them), so that the vectors are as cold as after other work. 8-bit vectors rank a little
differently than floats: that is what our recall lacks, since the scan finds the exact best of its own numbers
(`tests/inference/test_scan.py` holds it to numpy, bit for bit).
"""


def write_report(runs: Sequence[dict[str, Any]], docs: Path) -> None:
    """Write benchmarks.md into ``docs``, a section a run, and a plot of each into images/ below it."""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    parts = [_HEAD]
    for run in runs:
        picture = f"peers_{run['options']['tracks']}.svg"
        draw(run, docs / "images" / picture)
        parts.append("\n".join(_section(run, picture)))
    write_whole(docs / "benchmarks.md", ("\n".join(parts).rstrip() + "\n").encode())


def _section(run: dict[str, Any], picture: str) -> Iterator[str]:
    options = run["options"]
    yield from (f"## {options['tracks']:,} tracks of {options['dimension']} numbers", "", f"    {run['command']}", "")
    yield from (*_machine(run), "", f"![Recall and speed, and the roofline](images/{picture})", "")
    yield from ("### Against memory", "", *_roofline(run), "")
    yield from ("### One query alone", "", *_single(run), "")
    yield from ("### 32 queries at a time", "", *_batches(run), "")
    yield from ("### Memory and building", "", *_memory(run), "")
    yield from ("### Whole servers over HTTP", "", *_servers(run), "")
    yield from ("### What each is", "", *_what(run), "")
    if sentences := list(_missing(run)):
        yield from ("### Not there", "", *sentences, "")


def _machine(run: dict[str, Any]) -> Iterator[str]:
    machine, options = run["machine"], run["options"]
    caches = ", ".join(f"{level} {size}" for level, size in machine["caches"].items())
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"{machine['cores']} cores of {machine['cpu']}; {caches}; {machine['memory_gb']:g} GB; {machine['system']},"
    yield f"Python {machine['python']}; {versions}; BLAS and threads: {', '.join(machine['blas'])}."
    load = " and ".join(f"{one:g}" for one in run["load_average"])
    yield f"{options['queries']} playlists, {options['repeats']} repeats; load average before and after: {load};"
    yield f"{run['seconds'] / 60:.1f} minutes."


def _roofline(run: dict[str, Any]) -> Iterator[str]:
    yield f"One query alone, k = 10, over reading the same bytes in turns with it; {_ASKED_FOR} are asked of us. Where"
    yield "two threads read, two work on our query; on implicit's it is always one."
    yield ""
    yield "| peer | threads | MB a query reads | reading them | GB/s | the query | over reading |"
    yield "|---|---|---|---|---|---|---|"
    for threads in run["options"]["threads"]:
        for name, peer, row in alone(run, threads=threads):
            if peer["scanned"]:
                speed = peer["scanned"] / row["read_ms"] / 1e6
                cells = f"{peer['scanned'] / 1e6:.0f} | {row['read_ms']:.2f} ms | {speed:.1f} | {row['ms']:.2f} ms"
                yield f"| {_name(name)} | {threads} | {cells} | {_bold(name, format(row['over_read'], '.2f'))} |"


def _single(run: dict[str, Any]) -> Iterator[str]:
    threads, ks = run["options"]["threads"], _ks(run)
    heads = [f"k = {k}, {_threads(count)}: ms, p95" for k in ks for count in threads]
    yield f"| peer | {' | '.join(f'recall@{k}' for k in ks)} | {' | '.join(heads)} |"
    yield "|---" * (1 + len(ks) + len(heads)) + "|"
    for name, effort, rows in _by_effort(run):
        recalls = [f"{rows[k, threads[0]]['recall']:.3f}" for k in ks]
        times = [rows[k, count] for k in ks for count in threads]
        cells = [*recalls, *(f"{row['ms']:.2f}, {row['p95_ms']:.2f}" for row in times)]
        yield f"| {_called(name, effort)} | {' | '.join(cells)} |"


def _batches(run: dict[str, Any]) -> Iterator[str]:
    threads, ks = run["options"]["threads"], _ks(run)
    heads = [f"k = {k}, {_threads(count)}" for k in ks for count in threads]
    yield "Queries a second, and in brackets how many cores were at work."
    yield ""
    yield f"| peer | {' | '.join(heads)} |"
    yield "|---" * (1 + len(heads)) + "|"
    for name, effort, rows in _by_effort(run):
        found = [rows[k, count] for k in ks for count in threads]
        cells = [f"{row['batch_per_second']:,.0f} ({row['batch_cores']:.1f})" for row in found]
        yield f"| {_called(name, effort)} | {' | '.join(cells)} |"


def _memory(run: dict[str, Any]) -> Iterator[str]:
    vectors = 4 * run["options"]["tracks"] * run["options"]["dimension"] / 1e6
    yield f"The vectors in 32 bits are {vectors:,.0f} MB. Resident is what the process holds more than before it had"
    yield "vectors; the most while building includes the vectors that it was given."
    yield ""
    yield "| peer | resident, MB | most while building, MB | its own form, MB | building, s |"
    yield "|---|---|---|---|---|"
    for name, peer in run["peers"].items():
        if name in PEERS and "rows" in peer:
            sizes = " | ".join(f"{peer[size]:,.0f}" for size in ("resident_mb", "peak_mb", "stored_mb"))
            yield f"| {_name(name)} | {sizes} | {peer['build_seconds']:.1f} ({_threads(peer['built_with'])}) |"


def _servers(run: dict[str, Any]) -> Iterator[str]:
    measured = {name: run["peers"][name] for name in SERVERS if "rows" in run["peers"].get(name, {})}
    if not measured:
        yield "None was measured in this run."
        return
    yield "The client runs on the same cores; recall is of the best without the playlist's own tracks. Memory is"
    yield "all of the server's process."
    yield ""
    yield "| server | k | recall | one by one: ms, p95 | a second, by clients | resident, MB | to its first answer, s |"
    yield "|---|---|---|---|---|---|---|"
    for name, peer in measured.items():
        for row in peer["rows"]:
            times = f"{row['ms']:.2f}, {row['p95_ms']:.2f} | {row['per_second']:,.0f} by {peer['clients']}"
            sizes = f"{peer['resident_mb']:,.0f} | {peer['build_seconds']:.1f}"
            yield f"| {_name(name)} | {row['k']} | {row['recall']:.3f} | {times} | {sizes} |"


def _what(run: dict[str, Any]) -> Iterator[str]:
    told = {**{name: peer.what for name, peer in PEERS.items()}, **{name: one.what for name, one in SERVERS.items()}}
    for name in run["peers"]:
        yield f"- {_name(name)}: {told.get(name, 'not known to this Segue any more')}."


def _missing(run: dict[str, Any]) -> Iterator[str]:
    for name, peer in run["peers"].items():
        if "missing" in peer:
            yield f"- {name}: {peer['missing']}"
    for name, why in run["not_tried"].items():
        yield f"- {name}: {why}"


def _by_effort(run: dict[str, Any]) -> Iterator[tuple[str, int, dict[tuple[int, int], dict[str, Any]]]]:
    """Yield each peer and effort with its rows by k and threads."""
    found: dict[tuple[str, int], dict[tuple[int, int], dict[str, Any]]] = {}
    for threads in run["options"]["threads"]:
        for k in _ks(run):
            for name, _, row in alone(run, k, threads):
                found.setdefault((name, row["effort"]), {})[k, threads] = row
    for (name, effort), rows in found.items():
        yield name, effort, rows


def _ks(run: dict[str, Any]) -> list[int]:
    return sorted({row["k"] for peer in run["peers"].values() for row in peer.get("rows", ())})


def _called(name: str, effort: int) -> str:
    unit = PEERS[name].effort if name in PEERS else ""
    return f"{_name(name)}, {unit} {effort}" if effort else _name(name)


def _name(name: str) -> str:
    return _bold(name, name)


def _bold(name: str, text: str) -> str:
    return f"**{text}**" if name.startswith("segue") else text


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
