"""A track as a person knows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a catalogue.

    Attributes:
        uri: The source's own identifier, for example ``spotify:track:…``; unique in a catalogue.
        title: The track's name as the source gives it.
        artist: The first artist's name, or "" where the source gives none.
        album: The album's name, or "" where the source gives none.
    """

    uri: str
    title: str
    artist: str = ""
    album: str = ""

    @property
    def words(self) -> str:
        """The track as words for a language model: its title, then its artist."""
        return track_words(self.title, self.artist)


def track_words(title: str, artist: str) -> str:
    """Return the one spelling in which every room hands a track to a language model: ``title by artist``."""
    return f"{title} by {artist}" if artist else title
