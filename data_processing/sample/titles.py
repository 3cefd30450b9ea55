"""What people call a playlist: most titles say something of what is in it, some say nothing, a few are not there."""

import numpy as np

from data_processing.sample.genres import GENRES
from data_processing.sample.playlists import Theme
from data_processing.sample.world import SCENES_A_GENRE, World

_ACTIVITIES = {
    -1.6: ("sleep", "bedtime", "study", "focus", "rainy day", "calm", "yoga 🧘", "😴", "naptime", "reading"),
    -0.8: (
        "chill",
        "relax",
        "coffee ☕",
        "sunday morning",
        "mellow",
        "late night",
        "sad",
        "feels 💔",
        "slow",
        "chill vibes",
    ),
    0.8: (
        "road trip 🚗",
        "happy",
        "good vibes",
        "summer ☀️",
        "driving",
        "cleaning",
        "throwback",
        "feel good",
        "bbq",
        "beach",
    ),
    1.6: ("workout 💪", "gym", "party 🎉", "running", "pregame", "hype", "lit 🔥", "dance party", "cardio", "turn up"),
}
_GENERIC = (
    "my playlist", "favorites", "music", "good stuff", "random", "jams", "new", "mix", "car",
    "playlist 1", "stuff", "❤️", "songs", "the best", "untitled", "vibes", "january", "spring",
    "fall", "october", "2016", "2017", "to listen", "misc", "liked", "faves", "oldies but goodies",
    "school", "work", "home", "everything", "a", "idk", "for you", "wedding", "us", "current",
    "tunes", "✌️", "senior year", "shower", "daily", "mine", "new music", "winter", "june",
    "all time favorites",
)  # fmt: skip
_NOTHING, _SAYS_NOTHING, _TYPO, _CAPITALS = 0.02, 0.2, 0.06, 0.5


def draw_title(world: World, theme: Theme, artists: list[str], random: np.random.Generator) -> str:
    """Return a title for a playlist; ``artists`` are the names of all artists."""
    luck = random.random()
    if luck < _NOTHING:
        return ""
    if luck < _NOTHING + _SAYS_NOTHING:
        title = _one(_GENERIC, random)
    else:
        title = " ".join(_words(world, theme, artists, random)) or _one(_GENERIC, random)
    return _spelled(title, random)


def _words(world: World, theme: Theme, artists: list[str], random: np.random.Generator) -> list[str]:
    """Return what the title says: an activity, a genre or scene, an era, an artist, an emoji; often not all of it."""
    scene = theme.scenes[0]
    genre = GENRES[int(world.scene_genre[scene])]
    said = []
    if theme.energy is not None and random.random() < 0.8:
        said.append(_one(_ACTIVITIES[theme.energy], random))
    if theme.artist is not None and random.random() < 0.8:
        return [artists[theme.artist]]
    if theme.year is not None and random.random() < 0.75:
        said.append(_era(theme.year, random))
    if random.random() < (0.85 if not said else 0.5):
        scene_word = genre.scenes[scene % SCENES_A_GENRE]
        said.append(scene_word if random.random() < 0.35 else _one(genre.words, random))
    if len(theme.scenes) > 1 and theme.shares[1] > 0.3 and random.random() < 0.25:
        said += ["&", _one(GENRES[int(world.scene_genre[theme.scenes[1]])].words, random)]
    if said and random.random() < 0.2:
        said.append(_one(_emoji(genre.emoji), random))
    return said


def _era(year: int, random: np.random.Generator) -> str:
    decade = year // 10 * 10
    if decade >= 2000:
        return _one((str(year), f"{decade}s", "throwback" if decade == 2000 else "new"), random)
    return _one((f"{decade % 100}s", f"{decade}s", f"{decade % 100}'s"), random)


def _emoji(text: str) -> tuple[str, ...]:
    """Return the emoji of a string; flags are two characters, some others carry a variation selector."""
    found: list[str] = []
    for sign in text:
        flag = "\U0001f1e6" <= sign <= "\U0001f1ff"
        if sign == "\ufe0f" or (flag and found and len(found[-1]) == 1 and "\U0001f1e6" <= found[-1] <= "\U0001f1ff"):
            found[-1] += sign
        else:
            found.append(sign)
    return tuple(found)


def _spelled(title: str, random: np.random.Generator) -> str:
    """Return the title as somebody types it: capitals or none, now and then a slip."""
    if random.random() < _TYPO and len(title) > 4:
        at = int(random.integers(1, len(title) - 1))
        title = title[:at] + title[at + 1 :] if random.random() < 0.5 else title[: at + 1] + title[at:]
    return " ".join(w[:1].upper() + w[1:] for w in title.split(" ")) if random.random() < _CAPITALS else title


def _one(values: tuple[str, ...], random: np.random.Generator) -> str:
    return values[int(random.integers(len(values)))]
