"""The command of the room: ``python -m evaluation <verb>``.

Each verb's work is imported only when it is asked for, so that ``--help`` is quick and the gate answers for whatever
goes wrong on the way.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation import arguments
from segue.errors import InputError, SegueError

if TYPE_CHECKING:
    from evaluation.categories import Measured
    from evaluation.unseen import Found

EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 2}
COULD_NOT_MEASURE = 3

_GATE = """examples:
  python -m evaluation gate --bundle var/bundle --dataset var/dataset --output var/report
  segue fetch --environment production --output var/production
  python -m evaluation gate --bundle var/bundle --dataset var/dataset --output var/report --incumbent var/production

ends with 0 pass, 1 fail, 2 inconclusive, 3 could not measure (wrong usage too); docs/evaluation.md explains them."""
_MEASURE = """examples:
  python -m evaluation measure --bundle var/bundle --playlists mpd.slice.9000-9999.json.gz --format json
  python -m evaluation measure --bundle var/hidden/bundle --dataset var/hidden/dataset

with --dataset it tells how often tracks that no training playlist holds are found."""
_SUBMISSION = """example:
  python -m evaluation submission --bundle var/bundle --challenge challenge_set.json --output submission.csv.gz \\
      --team "Our Team" --email team@example.org"""
_VERIFY = """example:
  python -m evaluation verify-submission --challenge challenge_set.json --submission submission.csv.gz"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation",
        description="Judge bundles on playlists that they have never seen.",
        epilog="Every verb explains itself: python -m evaluation gate --help",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for add in (_add_gate, _add_measure, _add_submission, _add_verify):
        add(verbs)
    return parser


def _add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, purpose: str, example: str,
         run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:  # fmt: skip
    verb = verbs.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(run=run)
    return verb


def _add_gate(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    gate = _add(verbs, "gate", "judge a bundle against the classics and what runs today", _GATE, _gate)
    gate.add_argument("--bundle", type=Path, required=True, help="folder of the candidate")
    gate.add_argument("--dataset", type=Path, required=True, help="folder of the dataset that it was trained on")
    gate.add_argument("--output", type=Path, required=True, help="folder for report.json and report.html")
    gate.add_argument("--incumbent", type=Path, help="folder of the bundle that runs today")
    gate.add_argument("--split", default="test", help="side of the dataset's split to ask about (default: test)")
    gate.add_argument("--seed", type=_seed, default=0, help="draws the playlists and starts iALS (default: 0)")
    gate.add_argument("--playlists", type=_positive, help="most playlists to ask about (default: all)")
    gate.add_argument(
        "--ease-rows", type=_positive, metavar="N",
        help="most rows of the matrix that EASE inverts: playlists, or its most popular tracks "
        "(default: as many as a quarter of this machine's memory holds)",
    )  # fmt: skip
    gate.add_argument(
        "--margin", type=arguments.margin, default=0.0,
        help="NDCG that may be lost to the incumbent; 0, the default, asks the candidate to be better",
    )  # fmt: skip
    gate.add_argument(
        "--slice-margin",
        type=arguments.margin,
        default=0.03,
        help="NDCG that may be lost in one slice (default: %(default)s)",
    )
    gate.add_argument(
        "--foreign-dataset", action="store_true", help="judge on a dataset that the bundle was not trained on"
    )
    gate.add_argument(
        "--link", type=arguments.link, action="append", default=[], metavar="NAME=ADDRESS",
        help="where the report's dataset, commit or run lead; {} in ADDRESS stands for the digest, hash or id",
    )  # fmt: skip


def _add_measure(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    purpose = "measure a bundle on playlists that it never saw, by category of the RecSys Challenge 2018"
    measure = _add(verbs, "measure", purpose, _MEASURE, _measure)
    measure.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    which = measure.add_mutually_exclusive_group(required=True)
    which.add_argument("--playlists", type=Path, nargs="+", metavar="SLICE", help="MPD slices: files or folders")
    which.add_argument("--dataset", type=Path, help="folder of the dataset that the bundle was trained on")
    measure.add_argument("--split", default="test", help="side of the dataset's split to ask about (default: test)")
    measure.add_argument(
        "--categories", nargs="+", choices=arguments.CATEGORIES, metavar="CATEGORY",
        help=f"of {', '.join(arguments.CATEGORIES)} (default: all but the last; "
        "with --dataset title, title+1, title+5, title+10 and title+25)",
    )  # fmt: skip
    measure.add_argument(
        "--seed", type=_seed, default=0, help="draws random seeds, the sample, what is lacking and typos (default: 0)"
    )
    measure.add_argument("--sample", type=_positive, help="most playlists to ask about (default: all)")
    measure.add_argument(
        "--lacking",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="take this share of the tracks out of the catalogue, as tracks that come out tomorrow are (default: 0)",
    )
    measure.add_argument(
        "--typos",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="give this share of the titles one typo, as listeners do (default: 0)",
    )
    measure.add_argument(
        "--diversity",
        type=_share,
        default=0.0,
        metavar="X",
        help="ask for lists that share their places among a playlist's moods, 0 to 1 as in a request (default: 0)",
    )
    measure.add_argument("--format", choices=["text", "json"], default="text", help="default: text")


def _add_submission(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    purpose = "continue the playlists of a RecSys Challenge 2018 set in its submission format"
    submission = _add(verbs, "submission", purpose, _SUBMISSION, _submission)
    submission.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    submission.add_argument("--challenge", type=Path, required=True, help="challenge_set.json, or .json.gz")
    submission.add_argument("--output", type=Path, required=True, help="submission.csv, or .csv.gz to compress it")
    submission.add_argument("--track", choices=["main", "creative"], default="main", help="of the challenge")
    submission.add_argument("--team", default="Segue", help="the team's name (default: %(default)s)")
    submission.add_argument("--email", default="segue@example.org", help="its address (default: %(default)s)")


def _add_verify(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    purpose = "check a submission against the rules of the RecSys Challenge 2018"
    verify = _add(verbs, "verify-submission", purpose, _VERIFY, _verify)
    verify.add_argument("--challenge", type=Path, required=True, help="challenge_set.json, or .json.gz")
    verify.add_argument("--submission", type=Path, required=True, help="submission.csv, or .csv.gz")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _share(text: str) -> float:
    """Return a share from 0 to 1."""
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1")
    return share


def _gate(options: argparse.Namespace) -> int:
    """Judge; whatever keeps it from judging ends with 3 and leaves no report, not even an earlier one."""
    try:
        _remove_report(options.output)
        from evaluation import gate, report
        from evaluation.outcome import Trial
        from evaluation.verdict import Margins

        trial = Trial(
            bundle=options.bundle, dataset=options.dataset, incumbent=options.incumbent, split=options.split,
            seed=options.seed, playlists=options.playlists, margins=Margins(options.margin, options.slice_margin),
            foreign_dataset=options.foreign_dataset, links=dict(options.link), ease_rows=options.ease_rows,
        )  # fmt: skip
        outcome = gate.run(trial)
        report.write(outcome, options.output)
    except SegueError as error:
        print(error, file=sys.stderr)
        return COULD_NOT_MEASURE
    except Exception:  # Python would end with 1, and 1 is a verdict
        traceback.print_exc()
        return COULD_NOT_MEASURE
    _say(f"{outcome.verdict.word}: {outcome.verdict.reason}", f"report: {options.output / 'report.html'}")
    return EXIT_CODES[outcome.verdict.word]


def _remove_report(folder: Path) -> None:
    try:
        for name in ("report.json", "report.html"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"No report can be written to {folder} ({error.strerror}); name a folder for it.") from error


def _say(*lines: str) -> None:
    """Print the lines; who closed standard output has left, and that is no verdict either."""
    try:
        print(*lines, sep="\n", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python stumbles over it again at its end


def _measure(options: argparse.Namespace) -> int:
    result = _found(options) if options.dataset else _measured(options)
    print(json.dumps(result.to_json(), indent=1) if options.format == "json" else result.to_text())
    return 0


def _measured(options: argparse.Namespace) -> "Measured":
    from evaluation import categories

    names = options.categories or arguments.CATEGORIES[:-1]
    return categories.measure(
        options.bundle,
        options.playlists,
        names,
        options.seed,
        options.sample,
        options.lacking,
        options.typos,
        options.diversity,
    )


def _found(options: argparse.Namespace) -> "Found":
    from evaluation import unseen

    if options.lacking:
        raise InputError("--lacking takes tracks out of the catalogue for --playlists alone; leave one of the two out.")
    if options.typos:
        raise InputError("--typos gives titles a typo for --playlists alone; leave one of the two out.")
    if options.diversity:
        raise InputError("--diversity is measured on --playlists alone; leave one of the two out.")
    if options.split == "train":
        raise InputError("The split train is what the bundle learned from; measure it on test or validation.")
    names = options.categories or unseen.CATEGORIES
    return unseen.measure(options.bundle, options.dataset, names, options.split, options.seed, options.sample)


def _submission(options: argparse.Namespace) -> int:
    from evaluation import challenge

    team = challenge.Team(options.track, options.team, options.email)
    count = challenge.submit(options.bundle, options.challenge, options.output, team)
    print(f"{count} playlists continued: {options.output}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from evaluation import challenge

    count = challenge.verify(options.challenge, options.submission)
    print(f"{options.submission} follows the rules: {count} playlists, {challenge.LENGTH} tracks each.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: the gate's verdict, or 0, or 1 with a sentence on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(given)
    except SystemExit as stop:
        if stop.code == 2 and given[:1] == ["gate"]:  # argparse's 2 would read as a verdict
            raise SystemExit(COULD_NOT_MEASURE) from None
        raise
    try:
        return int(options.run(options))
    except SegueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
