"""Write what a trial found out: report.json for machines, report.html for people."""

from contextlib import suppress
from pathlib import Path

from evaluation.outcome import Outcome
from evaluation.page import render
from segue.errors import InputError
from segue.files import canonical_json, write_whole


def write(outcome: Outcome, folder: Path) -> None:
    """Write both into ``folder``, the machine's last; the same outcome gives the same bytes.

    Raises:
        InputError: They cannot be written; then none of them is there.
    """
    page, report = render(outcome), canonical_json(outcome.report())
    try:
        write_whole(folder / "report.html", page)
        write_whole(folder / "report.json", report)
    except OSError as error:
        with suppress(OSError):
            (folder / "report.html").unlink()
        raise InputError(
            f"The report cannot be written to {folder} ({error.strerror}); name another folder."
        ) from error
