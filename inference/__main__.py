"""The command of the room: ``python -m inference serve``, ``predict`` and ``fetch``."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from inference.continuation import Continuation, continue_playlist
from inference.matching import Wanted
from inference.model import Model
from inference.settings import Settings, read_settings, variable
from segue.catalogue import Catalogue
from segue.errors import SegueError
from segue.track import track_words

_HOW = {"uri": "known", "name": "known by name", "text": "read as text", "none": "unknown, ignored"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference", description="Serve a bundle, or ask it in a terminal.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    _add_serve(verbs)
    _add_predict(verbs)
    _add_fetch(verbs)
    _add_key(verbs)
    _add_outcomes(verbs)
    return parser


def _add_serve(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    settings = "\n".join(f"  {variable(name):24} {field.description}" for name, field in Settings.model_fields.items())
    serve = verbs.add_parser(
        "serve",
        help="serve a bundle over HTTP: POST /predict, and a page at /",
        description="Serve a bundle over HTTP until a signal ends it. Options go before the environment.",
        epilog=f"settings of the environment:\n{settings}\n\n"
        "example:\n  python -m inference serve --bundle var/bundle --port 8000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle's folder (SEGUE_BUNDLE)")
    serve.add_argument("--digest", dest="bundle_digest", help="the digest it must have (SEGUE_BUNDLE_DIGEST)")
    serve.add_argument("--version", dest="bundle_version", help="its version in the registry (SEGUE_BUNDLE_VERSION)")
    serve.add_argument("--environment", help="name of the environment (SEGUE_ENVIRONMENT)")
    serve.add_argument("--host", help="address to listen on (SEGUE_HOST)")
    serve.add_argument("--port", type=int, help="port to listen on (PORT)")
    serve.set_defaults(run=_serve)


def _add_predict(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    predict = verbs.add_parser(
        "predict",
        help="continue one playlist and print the result as a table",
        epilog='example:\n  python -m inference predict --bundle var/bundle --title "road trip" '
        '--track "Toto - Africa" --track "Journey - Don\'t Stop Believin\'"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    predict.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle's folder")
    predict.add_argument("--title", default="", help="the playlist's title")
    predict.add_argument(
        "--track", action="append", default=[], metavar="TRACK", help='"Artist - Title", "Title", or a URI; repeatable'
    )
    predict.add_argument("-k", type=int, default=10, help="how many tracks to recommend (default: %(default)s)")
    predict.add_argument(
        "--diversity", type=float, default=0, metavar="X", help="from 0, by score, to 1, by moods (default: 0)"
    )
    predict.add_argument("--unordered", action="store_true", help="the tracks stand in no order, as liked songs do")
    predict.set_defaults(run=_predict)


def _add_fetch(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    fetch = verbs.add_parser(
        "fetch",
        help="fetch a pinned bundle from an S3 store, verified, for serve to read",
        description="Fetch a pinned bundle from an S3 store to a folder: whole and verified, or not at all. The access "
        "key comes from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the region from "
        "AWS_DEFAULT_REGION (us-east-1), the address of a service that is not Amazon's own from SEGUE_S3_ENDPOINT. "
        "Where SEGUE_TRUSTED_KEYS names a folder of public keys, one of them must have signed the bundle.",
        epilog="example:\n  python -m inference fetch --store s3://segue/store --digest sha256:… --output var/bundle",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, given = fetch.add_argument, os.environ.get
    add("--output", type=Path, required=True, metavar="DIR", help="the bundle's folder; an earlier one is replaced")
    add("--store", metavar="ADDRESS", default=given("SEGUE_STORE", ""), help="s3://bucket/prefix (SEGUE_STORE)")
    add("--digest", default=given("SEGUE_BUNDLE_DIGEST", ""), help="the bundle (SEGUE_BUNDLE_DIGEST)")
    add("--report", default=given("SEGUE_BUNDLE_REPORT", ""), help="how it was judged (SEGUE_BUNDLE_REPORT)")
    add("--wait", action="store_true", help="try a refused bundle again, and tell why at SEGUE_HOST and PORT meanwhile")
    fetch.set_defaults(run=_fetch)


def _add_key(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    key = verbs.add_parser(
        "key",
        help="make an API key, and the line that the service's file of keys needs for it",
        description="Make an API key. It is shown this once: the file of keys (SEGUE_API_KEYS) holds only its hash.",
        epilog="example:\n  python -m inference key player",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    key.add_argument("name", help="who will use it; shown nowhere but in the database of feedback")
    key.set_defaults(run=_key)


def _add_outcomes(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    outcomes = verbs.add_parser(
        "outcomes",
        help="print what listeners did with the answers of each model, as JSON",
        description="Print what listeners did with the answers of each model in each environment, as JSON. The "
        "database is the service's, SEGUE_DATABASE_URL.",
        epilog="example:\n  python -m inference outcomes --since 1767225600",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    moment = "seconds since 1970; of the answer, not of what was done with it"
    outcomes.add_argument("--since", type=int, default=0, metavar="S", help=f"{moment} (default: from the first)")
    outcomes.add_argument("--until", type=int, metavar="S", help="the first second that counts no more")
    outcomes.set_defaults(run=_outcomes)


def _key(options: argparse.Namespace) -> None:
    from inference.access import new_key

    key, line = new_key(options.name)
    print(f"key   {key}\nline  {line}")


def _outcomes(options: argparse.Namespace) -> None:
    from inference.outcomes import read_outcomes

    url = os.environ.get("SEGUE_DATABASE_URL") or str(Settings.model_fields["database_url"].default)
    found = read_outcomes(url, options.since, options.until)
    print(json.dumps([asdict(outcome) for outcome in found], indent=1))


def _fetch(options: argparse.Namespace) -> None:
    from inference.fetch import fetch
    from inference.store import Key, Store

    given = os.environ.get
    key = Key(
        given("AWS_ACCESS_KEY_ID", ""),
        given("AWS_SECRET_ACCESS_KEY", ""),
        given("AWS_SESSION_TOKEN", ""),
        given("AWS_DEFAULT_REGION") or "us-east-1",
    )
    store = Store(options.store, given("SEGUE_S3_ENDPOINT", ""), key)
    trusted = Path(given("SEGUE_TRUSTED_KEYS", "")) if given("SEGUE_TRUSTED_KEYS") else None
    attempt = partial(fetch, store, options.digest, options.report, options.output, trusted)
    if options.wait:
        from inference.waiting import fetch_in_the_end

        # A container's first process gets no signal that it does not ask for.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        settings = read_settings(bundle=options.output)
        bundle = fetch_in_the_end(attempt, settings.host, settings.port)
    else:
        bundle = attempt()
    print(f"{bundle.digest} stands verified in {options.output}")


def _serve(options: argparse.Namespace) -> None:
    from inference.server import serve  # the web framework takes half a second, and `predict` needs none of it

    names = ("bundle", "bundle_digest", "bundle_version", "environment", "host", "port")
    serve(read_settings(**{name: getattr(options, name) for name in names}))


def _predict(options: argparse.Namespace) -> None:
    ranker = Model.load(options.bundle).ranker
    wanted = [_parse_track(text) for text in options.track]
    given = options.title, options.k, options.diversity, not options.unordered
    print(_table(continue_playlist(ranker, wanted, *given), ranker.catalogue))


def _parse_track(text: str) -> Wanted:
    artist, dash, title = text.partition(" - ")
    if dash:
        return Wanted(text, title.strip(), artist.strip())
    return Wanted(text, "" if ":" in text and " " not in text else text)


def _table(found: Continuation, catalogue: Catalogue) -> str:
    lines = []
    for match in found.matched.matches:
        wanted = track_words(match.wanted.title, match.wanted.artist) or match.wanted.uri
        known = "" if match.id is None else f"  →  {catalogue.tracks([match.id])[0].words}"
        lines.append(f"{_HOW[match.how]:>18}  {wanted}{known}")
    tracks = catalogue.tracks([track for track, _ in found.tracks])
    width = max([len(track.title) for track in tracks], default=0)
    lines += ["", f"{'score':>18}  {'title':{width}}  artist"]
    scored = zip(tracks, (score for _, score in found.tracks), strict=True)
    lines += [f"{score:18.3f}  {track.title:{width}}  {track.artist}" for track, score in scored]
    return "\n".join(lines).lstrip("\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, or 1 with one sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SegueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
