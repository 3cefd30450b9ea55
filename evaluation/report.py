"""Write what a trial found out: report.json for machines, report.html for people."""

from pathlib import Path

from evaluation.outcome import Outcome
from evaluation.page import render
from segue.files import canonical_json, write_whole


def write(outcome: Outcome, folder: Path) -> None:
    """Write both into ``folder``, the machine's last; the same outcome gives the same bytes."""
    page = render(outcome)
    write_whole(folder / "report.html", page)
    write_whole(folder / "report.json", canonical_json(outcome.report()))
