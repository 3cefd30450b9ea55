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
      | [(\[]\s*(?:feat|ft|featuring|with)\b\.?[^)\]]{0,200}[)\]]
      | \s(?:feat|ft|featuring)\b\.?\s.*
    )\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
_MOST_ENDINGS = 4  # names carry two or three; a bound keeps a crafted name of thousands from costing seconds
# Of a name as it is given, and once normalised, which makes 18 characters of one (U+FDFA). Of 211,000 tracks of public
# playlists the longest name has 219. Keys in catalogues are made with these bounds: lowering them loses long names.
_MOST_GIVEN, _MOST_COMPARED = 500, 300

_SHAPES = re.compile("[\ufe00-\ufe0f\u20e3]")  # how a sign is drawn, such as in colour; not every keyboard sends them
_APOSTROPHES = frozenset("'’‘ʼ`")
# What `words` makes of plain letters, in one call: nine of ten names are ASCII, and there are millions of them.
_PLAIN = {code: chr(code) if chr(code).isalnum() else " " for code in range(128)} | {ord(c): "" for c in "'`"}
_PLAIN[ord("&")] = " and "


def normalise_title(text: str) -> str:
    """Return a playlist's title in one spelling: NFKC, lower case, single spaces; emoji and all scripts are kept.

    Half of a surrogate pair, which broken exports hold and no encoding can write, becomes U+FFFD.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", whole).casefold())
    return _SPACE.sub(" ", folded).strip()


def words(text: str) -> list[str]:
    """Return a name's words without case, accents and punctuation, as search compares them.

    Letters, digits and vowel signs of every script stay. A name without any of them ("???", an emoji) is one word.
    """
    plain = normalise_title(text)
    if plain.isascii():
        return plain.translate(_PLAIN).split() or plain.split()
    plain = _SHAPES.sub("", plain) or plain
    decomposed = unicodedata.normalize("NFKD", plain).replace("&", " and ")
    kept = "".join(c if _is_letter(c) else " " for c in decomposed if not _is_left_out(c))
    return unicodedata.normalize("NFC", kept).split() or plain.split()


def match_key(text: str) -> str:
    """Return what two spellings of one name share: its `words` without "feat." and "- Remastered 2011".

    A name without any letter or digit ("???") keeps its own spelling, so that two such names stay apart. What stands
    after the first 500 characters, or 300 once normalised, is not read: no name is as long, and a client can send many.
    """
    plain = normalise_title(text.strip()[:_MOST_GIVEN])[:_MOST_COMPARED]
    for _ in range(_MOST_ENDINGS):
        plain = _VERSION.sub("", plain) or plain
    return " ".join(words(plain))


def _is_letter(character: str) -> bool:
    """Return whether a character is part of a word; vowel signs of Indic and Thai words are marks to Unicode."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _is_left_out(character: str) -> bool:
    """Return whether people leave a sign out when they type: an apostrophe, an accent, a Hebrew or Arabic point.

    Accents have the combining classes 202 to 240, points 10 to 35. Voicing of kana (8), nukta (7), virama (9) and Thai
    signs (103, 107) make other words.
    """
    place = unicodedata.combining(character)
    return character in _APOSTROPHES or place >= 200 or 10 <= place <= 35


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
