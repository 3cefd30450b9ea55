"""Spellings of titles: what two spellings share, and the hashed n-grams that a model reads."""

import re
import unicodedata
import zlib

import numpy as np
from numpy.typing import NDArray

_SPACE = re.compile(r"\s+")
# What labels append to a title without making it another song. Kept to endings that the Million Playlist Dataset
# shows often: "- Remastered 2011", "(feat. X)", "- Single Version", "[Live]" is NOT here: a live take is another track.
_VERSION = re.compile(
    r"""\s*(?:
        [-–—]\s*(?:\d{4}\s*)?(?:digital\s+)?remaster(?:ed)?(?:\s+version)?(?:\s+\d{4})?
      | [-–—]\s*(?:single|album|radio|original)\s+(?:version|edit|mix)
      | [(\[]\s*(?:\d{4}\s*)?(?:digital\s+)?remaster(?:ed)?(?:\s+version)?(?:\s+\d{4})?\s*[)\]]
      | [(\[]\s*(?:single|album|radio|original)\s+(?:version|edit|mix)\s*[)\]]
      | [(\[]\s*(?:feat|ft|featuring|with)\b\.?[^)\]]*[)\]]
      | \s(?:feat|ft|featuring)\b\.?\s.*
    )\s*$""",
    re.VERBOSE | re.IGNORECASE,
)


def normalise_title(text: str) -> str:
    """Return a playlist's title in one spelling: NFKC, lower case, single spaces; emoji and all scripts are kept."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def match_key(text: str) -> str:
    """Return what two spellings of one name share: no case, accents, punctuation, "feat." or "- Remastered 2011".

    Letters and digits of every script stay. A name without any letter or digit ("???") keeps its own spelling,
    so that two such names stay apart.
    """
    plain = normalise_title(text)
    while (shorter := _VERSION.sub("", plain)) != plain and shorter:
        plain = shorter
    decomposed = unicodedata.normalize("NFKD", plain)
    marks_dropped = "".join(c for c in decomposed if not unicodedata.combining(c)).replace("&", " and ")
    letters = "".join(c if c.isalnum() else " " for c in marks_dropped)
    return _SPACE.sub(" ", letters).strip() or plain


def title_grams(title: str, buckets: int, limit: int) -> NDArray[np.int64]:
    """Return the hashed words, character 3- to 5-grams and whole spelling of a title, shape (n,), n <= ``limit``.

    The bag is a set in the order of first sight; crc32 hashing is the same on every machine. An empty title has an
    empty bag. Follows the hashing trick of Weinberger et al. 2009 with fastText's n-grams (Bojanowski et al. 2017).

    Args:
        title: A playlist's title in any spelling.
        buckets: Number of hash buckets; every id is in ``range(buckets)``.
        limit: Most ids returned.
    """
    plain = normalise_title(title)
    if not plain:
        return np.empty(0, np.int64)
    parts = [f"={plain}"]
    words = plain.split(" ")
    parts += [f"w{word}" for word in words]
    for word in words:
        framed = f"<{word}>"
        parts += [framed[i : i + n] for n in (3, 4, 5) for i in range(len(framed) - n + 1)]
    ids = dict.fromkeys(zlib.crc32(part.encode()) % buckets for part in parts)
    return np.fromiter(ids, np.int64)[:limit]
