"""Write what a trial found out: report.json for machines, report.html for people."""

from pathlib import Path

from evaluation.gate import Outcome
from segue.files import canonical_json, write_whole


def write(outcome: Outcome, folder: Path) -> None:
    """Write report.json into ``folder``; the same outcome gives the same bytes."""
    write_whole(folder / "report.json", canonical_json(outcome.report()))
