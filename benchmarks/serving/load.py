"""The requests of the benchmarks: playlists as long as real ones, cut as the challenge cuts them.

`delivery.load` sends them.
"""

import json
import random
from collections.abc import Sequence

# Tracks of a playlist at each twentieth of 8,057 real ones (Million Playlist Dataset).
LENGTHS = (5, 14, 20, 25, 32, 39, 47, 54, 62, 71, 81, 90, 101, 112, 124, 138, 153, 172, 193, 217, 250)
_SEEDS = (0, 1, 5, 10, 25, 100)
"""How much of a playlist is shown, as in the challenge of that dataset; 0 is the title alone."""


def bodies(
    uris: Sequence[str],
    count: int,
    seed: int,
    unknown: float = 0.1,
    diversity: float = 0.0,
    playlists: Sequence[tuple[str, Sequence[str]]] = (),
) -> list[bytes]:
    """Return ``count`` requests: real lengths, cut as the challenge does, and a share of tracks that nobody knows.

    Args:
        uris: Tracks to draw from.
        count: How many.
        seed: Of all that is drawn.
        unknown: The share.
        diversity: What each asks for.
        playlists: Titles and tracks' URIs of real ones, which are cut in the place of drawn ones.
    """
    draw = random.Random(seed)
    made = []
    for number in range(count):
        place = draw.randrange(len(LENGTHS) - 1)
        length = draw.randint(LENGTHS[place], LENGTHS[place + 1])
        shown = draw.choice(_SEEDS)
        if playlists:
            title, held = playlists[number % len(playlists)]
        else:
            title, held = "late night drive", draw.sample(uris, min(shown, length, len(uris)))
        tracks = [{"track_uri": uri} for uri in held[:shown]]
        for track in tracks:
            if draw.random() < unknown:
                track.clear()
                track |= {"track_name": f"Song {draw.randrange(10**6)}", "artist_name": "A New Band"}
        name = (title or "mix") if shown == 0 or draw.random() < 0.6 else None
        asked = {"tracks": tracks, "name": name, "k": draw.choice((10, 10, 10, 100, 500)), "diversity": diversity}
        made.append(json.dumps(asked).encode())
    return made
