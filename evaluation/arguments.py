"""What commands are asked for in words, checked: also where a command passes them on, hours before the gate runs."""

import argparse
from urllib.parse import urlsplit

CATEGORIES = (
    "title", "title+1", "title+5", "5", "title+10", "10", "title+25", "title+25random", "title+100", "title+100random",
)  # fmt: skip
"""The RecSys Challenge 2018's ten: what is shown of a playlist. Zamani et al. 2019, table 2."""


def margin(text: str) -> float:
    """Return a loss of NDCG that is allowed.

    Raises:
        argparse.ArgumentTypeError: It is none from 0 to 1.
        ValueError: It is no number.
    """
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a loss of NDCG from 0 to 1")
    return value


def link(text: str) -> tuple[str, str]:
    """Return the name and the address of ``name=address``: where the report's dataset, commit or run lead.

    Raises:
        argparse.ArgumentTypeError: It is no such link; a page takes none but an http address or a path.
    """
    name, _, address = text.partition("=")
    scheme = urlsplit(address).scheme
    if name not in ("dataset", "commit", "run") or not address or scheme not in ("", "http", "https"):
        raise argparse.ArgumentTypeError(
            f"{text} is no link: write dataset=, commit= or run= and an http address or a path"
        )
    return name, address
