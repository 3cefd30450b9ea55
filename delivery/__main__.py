"""The command of who runs Segue: ``segue <verb>``, which is ``python -m delivery <verb>``.

A verb's work is imported only when it is asked for: MLflow alone takes seconds.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from evaluation import arguments
from segue.errors import InputError, SegueError

if TYPE_CHECKING:
    from delivery.promotion import Move
    from delivery.settings import Settings

    Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

ENVIRONMENTS = ("staging", "canary", "production")

_PUBLISH = """example:
  segue publish --bundle var/bundle --report var/report/report.json"""
_PROMOTE = """examples:
  segue promote --to staging
  segue promote --to canary --weight 10
  segue promote --to production"""
_ROLLBACK = """example:
  segue rollback --environment production --reason "continues jazz with metal" """
_ADVANCE = """examples:
  segue advance
  segue advance --follow --by "release of Monday" """
_APPROVE = """example:
  segue approve --reason "listened to it for an hour" """
_STATUS = """examples:
  segue status
  segue status --environment production --format json"""
_RUN = """examples:
  segue run
  segue run --playlists my/playlists exports/*.csv --port 8080"""
_SERVE = """example:
  segue serve --environment staging --port 8001"""
_FETCH = """examples:
  segue fetch --environment production --output incumbent
  segue fetch --version 3 --output incumbent"""
_SIGN = """examples:
  SEGUE_SIGNING_KEY=new.pem segue sign --environment production
  SEGUE_SIGNING_KEY=new.pem segue sign --version 3"""
_SETTINGS = """Settings come from flags, else from the environment (SEGUE_WORKSPACE, SEGUE_STORE, SEGUE_S3_ENDPOINT,
SEGUE_SIGNING_KEY, SEGUE_GITOPS, SEGUE_GITOPS_REMOTE, SEGUE_GIT_NAME, SEGUE_GIT_EMAIL, SEGUE_SERVICES, SEGUE_PROMETHEUS,
SEGUE_DATABASE_URL, SEGUE_ASKED_BY, MLFLOW_TRACKING_URI); see docs/delivery.md."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code: 0, or 1 with one sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SegueError as error:
        print(f"segue {options.verb}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        what, why = error.filename or "A file", error.strerror or error
        print(f"segue {options.verb}: {what} cannot be used ({why}).", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"segue {options.verb}: stopped; call it again to go on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segue",
        description="Carry a judged bundle from playlists to production, and back when it was a mistake.",
        epilog=_SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    adders = (
        _add_run, _add_serve, _add_stop, _add_publish, _add_promote, _add_advance, _add_approve, _add_rollback,
        _add_sign, _add_fetch, _add_status, _add_audit,
    )  # fmt: skip
    for add in adders:
        add(verbs)
    return parser


def _add(
    verbs: "Verbs", name: str, purpose: str, example: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"{example}\n\n{_SETTINGS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--workspace", type=Path, metavar="DIR", help="folder of what a run makes (default: var)")
    verb.add_argument("--store", metavar="ADDRESS", help="folder or s3://bucket/prefix (default: WORKSPACE/store)")
    verb.add_argument("--gitops", type=Path, metavar="DIR", help="Git repository of pins (default: WORKSPACE/gitops)")
    verb.set_defaults(run=run)
    return verb


def _add_run(verbs: "Verbs") -> None:
    run = _add(verbs, "run", "go the whole road: playlists in, a judged bundle pinned and served out", _RUN, _run)
    add = run.add_argument
    add("--playlists", nargs="+", type=Path, default=[], metavar="PATH", help="yours (default: a generated sample)")
    add("--port", type=_port, default=8000, help="where to serve, or the next free one (default: 8000)")
    add("--no-serve", action="store_true", help="do not start the service")
    add("--profile", default="auto", choices=["auto", "quick", "sample", "full"], help="how to train (default: auto)")
    add("--seed", type=int, default=0, help="of every stage; the same seed, the same bytes (default: 0)")
    add("--margin", type=arguments.margin, default=0.0, help="NDCG that may be lost to what runs today (default: 0)")
    add(
        "--link", type=arguments.link, action="append", default=[], metavar="NAME=ADDRESS",
        help="where the report's commit or run lead; {} in ADDRESS stands for the hash or id",
    )  # fmt: skip
    add("--sample-playlists", type=int, default=3000, metavar="N", help="size of the sample (default: 3000)")
    add("--format", help="of the playlists (default: told from each file)")
    add("--columns", metavar="FIELD=COLUMN,…", help="names of a table's columns, where they are not the usual ones")
    add("--lyrics", type=Path, metavar="FILE", help="a table of lyrics to join")
    add(
        "--features", type=Path, action="append", default=[], metavar="FILE",
        help="a table of genres and audio features of tracks or artists to join; may be repeated",
    )  # fmt: skip


def _add_serve(verbs: "Verbs") -> None:
    purpose = "serve what stands in an environment and follow its pin, until a signal ends it"
    serve = _add(verbs, "serve", purpose, _SERVE, _serve)
    serve.add_argument("--environment", choices=ENVIRONMENTS, default="production", help="default: production")
    serve.add_argument("--port", type=_port, default=8000, help="where to listen (default: 8000)")


def _add_stop(verbs: "Verbs") -> None:
    _add(verbs, "stop", "stop the service that segue run or segue serve started", "example:\n  segue stop", _stop)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65535")
    return int(text)


def _add_publish(verbs: "Verbs") -> None:
    publish = _add(verbs, "publish", "put a judged bundle into the store and the registry", _PUBLISH, _publish)
    publish.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle's folder")
    publish.add_argument("--report", type=Path, required=True, metavar="FILE", help="the gate's report.json of it")


def _add_promote(verbs: "Verbs") -> None:
    promote = _add(verbs, "promote", "pin a bundle that passed in an environment by a Git commit", _PROMOTE, _promote)
    promote.add_argument("--to", required=True, choices=ENVIRONMENTS, help="the environment")
    which = promote.add_mutually_exclusive_group()
    which.add_argument(
        "--digest",
        help="the bundle (default: the last published for staging, what stands in staging for canary, "
        "what stands in canary for production)",
    )
    which.add_argument("--version", type=int, help="the same by its number in the registry")
    promote.add_argument("--weight", type=int, metavar="N", help="the canary's share of requests in percent")
    promote.add_argument(
        "--release-quarantine", default="", metavar="REASON", help="promote a bundle that was rolled back, and say why"
    )
    promote.add_argument("--by", metavar="WHO", help="who or what asks; kept in the commit")


def _add_advance(verbs: "Verbs") -> None:
    purpose = "take the next step from staging to production, if what is measured allows it"
    advance = _add(verbs, "advance", purpose, _ADVANCE, _advance)
    advance.add_argument("--follow", action="store_true", help="go on until it is in production or back")
    advance.add_argument("--again", action="store_true", help="try a candidate once more that went back undecided")
    advance.add_argument("--by", metavar="WHO", help="who or what asks; kept in the commits")


def _add_approve(verbs: "Verbs") -> None:
    purpose = "say that the bundle in the canary may go to production, by a commit of yours"
    approve = _add(verbs, "approve", purpose, _APPROVE, _approve)
    approve.add_argument("--digest", default="", help="only this bundle (default: the one in the canary)")
    approve.add_argument("--reason", default="", help="kept in the commit")


def _add_rollback(verbs: "Verbs") -> None:
    purpose = "put an environment back to its last good bundle and quarantine what stands there"
    rollback = _add(verbs, "rollback", purpose, _ROLLBACK, _rollback)
    rollback.add_argument("--environment", required=True, choices=ENVIRONMENTS, help="the environment")
    rollback.add_argument("--reason", default="", help="kept in the commit and in the quarantine")
    rollback.add_argument("--digest", default="", help="only if this bundle stands there (default: whatever does)")
    rollback.add_argument(
        "--request", default="", metavar="NAME", help="of this call; made again under it, it goes no further back"
    )
    rollback.add_argument("--by", metavar="WHO", help="who or what asks; kept in the commit")


def _add_sign(verbs: "Verbs") -> None:
    purpose = "sign a published bundle anew, once SEGUE_SIGNING_KEY is another key"
    sign = _add(verbs, "sign", purpose, _SIGN, _sign)
    which = sign.add_mutually_exclusive_group(required=True)
    which.add_argument("--environment", choices=ENVIRONMENTS, help="what stands there")
    which.add_argument("--version", type=int, help="by its number in the registry")


def _add_fetch(verbs: "Verbs") -> None:
    purpose = "copy a bundle from the store to a folder, verified; nothing where nothing is pinned"
    fetch = _add(verbs, "fetch", purpose, _FETCH, _fetch)
    which = fetch.add_mutually_exclusive_group(required=True)
    which.add_argument("--environment", choices=ENVIRONMENTS, help="what stands there")
    which.add_argument("--version", type=int, help="by its number in the registry")
    fetch.add_argument("--output", type=Path, required=True, metavar="DIR", help="an earlier folder is replaced")


def _add_status(verbs: "Verbs") -> None:
    status = _add(
        verbs, "status", "print what stands in the environments, with the bundle's path here", _STATUS, _status
    )
    status.add_argument("--environment", choices=ENVIRONMENTS, help="only this one")
    status.add_argument("--format", choices=["text", "json"], default="text", help="default: text")


def _add_audit(verbs: "Verbs") -> None:
    audit = _add(verbs, "audit", "print who changed the pins, when and why", "example:\n  segue audit", _audit)
    audit.add_argument("--format", choices=["text", "json"], default="text", help="default: text")


def _settings(options: argparse.Namespace) -> "Settings":
    from delivery.settings import read_settings

    by = getattr(options, "by", None)
    return read_settings(workspace=options.workspace, store=options.store, gitops=options.gitops, asked_by=by)


def _run(options: argparse.Namespace) -> int:
    from delivery.run import run
    from delivery.stages import Inputs
    from delivery.summary import summary

    inputs = Inputs(
        playlists=tuple(_existing(path) for path in options.playlists),
        seed=options.seed,
        profile=options.profile,
        sample=options.sample_playlists,
        ingest=_ingest_options(options),
        margin=options.margin,
        links=dict(options.link),
    )
    for sign in (signal.SIGTERM, signal.SIGHUP):  # the stages end as with Ctrl-C, not on their own behind our back
        signal.signal(sign, signal.default_int_handler)
    outcome = run(_settings(options), inputs, None if options.no_serve else options.port, _say)
    print(f"\n{summary(outcome)}")
    return outcome.exit_code


def _ingest_options(options: argparse.Namespace) -> list[tuple[str, str | Path]]:
    given = [("format", options.format), ("columns", options.columns)]
    files = [("lyrics", options.lyrics), *(("features", path) for path in options.features)]
    return [(name, value) for name, value in given if value] + [(name, _existing(path)) for name, path in files if path]


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"There is nothing at {path}; name a file or folder of playlists, lyrics or features.")
    return path.absolute()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _serve(options: argparse.Namespace) -> int:
    from delivery import service
    from delivery.road import open_road
    from delivery.serving import pinned, serve_pinned

    settings = _settings(options)
    wanted = pinned(open_road(settings), options.environment)
    running = service.find(settings.home)
    if running is not None and running.pid != os.getpid():  # segue run notes it before it begins
        raise InputError(f"A service runs already at {running.url}; stop it with: segue stop")
    service.record(settings.home, os.getpid(), options.port, wanted)
    serve_pinned(settings, wanted, options.port)
    return 0


def _stop(options: argparse.Namespace) -> int:
    from delivery import service

    running = service.find(_settings(options).home)
    if running is None:
        print("No service runs that was started from this work folder.")
        return 0
    service.stop(running)
    print(f"The service at {running.url} has ended.")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from delivery.publication import publish
    from delivery.road import open_road

    settings = _settings(options)
    done = publish(open_road(settings), options.bundle, options.report, settings.signing_key)
    entry, how = done.version.entry, "published" if done.new else "was published already"
    print(f"version {done.version.number}\n{entry.digest}")
    print(f"{how} with the verdict {entry.verdict}: {done.report.content.reason}")
    print(f"signed by the key {done.signer}" if done.signer else "not signed: SEGUE_SIGNING_KEY is not set")
    return 0


def _promote(options: argparse.Namespace) -> int:
    from delivery.promotion import Order, promote
    from delivery.road import lay_out, open_road

    settings = _settings(options)
    road = open_road(settings)
    release = options.release_quarantine
    order = Order(options.to, options.digest, options.version, options.weight, release, settings.asked_by)
    lay_out(road.repository)
    _tell(promote(road, order), "has")
    return 0


def _advance(options: argparse.Namespace) -> int:
    import time

    from delivery.advance import advance, follow
    from delivery.promoter import open_promoter

    promoter = open_promoter(_settings(options))
    if options.follow:
        step = follow(promoter, _say, time.sleep, options.again)
    else:
        step = advance(promoter, options.again)
    print(step.to_text())
    for note in step.notes:
        print(note, file=sys.stderr)
    return step.exit_code


def _approve(options: argparse.Namespace) -> int:
    from delivery.approval import approve
    from delivery.road import open_road

    commit = approve(open_road(_settings(options)), options.digest, options.reason)
    print(f"approved (commit {commit[:10]})")
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from delivery.digests import is_digest
    from delivery.road import open_road
    from delivery.rollback import Reason, roll_back

    if options.digest and not is_digest(options.digest):
        raise InputError(f"The digest {options.digest!r} is not sha256: and 64 hex digits; segue audit shows them.")
    settings = _settings(options)
    request = " ".join(options.request.split())  # as a trailer keeps it
    reason = Reason(options.reason, settings.asked_by, bad=options.digest, request=request)
    _tell(roll_back(open_road(settings), options.environment, reason), "is back to")
    return 0


def _tell(move: "Move", verb: str) -> None:
    verb = verb if move.changed else "has already"
    print(f"{move.environment} {verb} version {move.pin.version} {move.pin.digest} (commit {move.commit[:10]})")
    for note in move.notes:
        print(note, file=sys.stderr)


def _sign(options: argparse.Namespace) -> int:
    from delivery.road import open_road
    from delivery.signing import Signer, sign_again
    from delivery.status import named

    settings = _settings(options)
    if settings.signing_key is None:
        raise InputError("There is no key to sign with; name its file with SEGUE_SIGNING_KEY.")
    road, signer = open_road(settings), Signer(settings.signing_key)
    digest = named(road, options.environment, options.version)
    if digest:
        sign_again(road, digest, signer)
    print(
        f"{digest}\nsigned by the key {signer.fingerprint}"
        if digest
        else f"Nothing is pinned in {options.environment}."
    )
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from delivery.road import open_road
    from delivery.status import fetch_to

    digest = fetch_to(open_road(_settings(options)), options.environment, options.version, options.output)
    print(digest or f"Nothing is pinned in {options.environment}.")
    return 0


def _status(options: argparse.Namespace) -> int:
    from delivery.road import open_road
    from delivery.status import standing

    road = open_road(_settings(options))
    wanted = [options.environment] if options.environment else ENVIRONMENTS
    found = [standing(road, environment) for environment in wanted]
    if options.format == "json":
        rows = [one.to_json() for one in found]
        print(json.dumps(rows[0] if options.environment else rows, indent=1))
    else:
        print("\n".join(one.to_text() for one in found))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from delivery.road import open_road
    from delivery.status import audit

    events = audit(open_road(_settings(options)))
    if options.format == "json":
        print(json.dumps([asdict(event) for event in events], indent=1, ensure_ascii=False))
    elif events:
        print("\n".join(event.to_text() for event in events))
    return 0


if __name__ == "__main__":
    sys.exit(main())
