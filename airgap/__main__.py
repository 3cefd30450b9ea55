"""Build everything that a cluster without internet needs: `python3 -m airgap build`."""

from __future__ import annotations

import argparse
from pathlib import Path

from airgap import bundle, components, pin


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python3 -m airgap", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="make the bundle; what did not change is kept")
    build.add_argument("--output", type=Path, default=Path("build/airgap"), help="where it goes (%(default)s)")
    renew = verbs.add_parser("pin", help="write modules/NAME/go.mod and go.sum after a version was changed")
    renew.add_argument("names", nargs="+", metavar="NAME", choices=[*components.read()])
    arguments = parser.parse_args()
    if arguments.verb == "build":
        bundle.build(arguments.output)
    for name in getattr(arguments, "names", []):
        pin.pin(components.read()[name])


if __name__ == "__main__":
    main()
