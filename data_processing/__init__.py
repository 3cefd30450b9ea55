"""Playlists of many formats in, one clean, split and described dataset out."""

import segue  # noqa: F401 - before any library that reports its use (segue.privacy)
