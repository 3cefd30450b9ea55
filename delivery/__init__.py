"""The road of a bundle: publish, promote, roll back, status, and the run from playlists to a served model."""

import segue  # noqa: F401 - before any library that reports its use (segue.privacy)
