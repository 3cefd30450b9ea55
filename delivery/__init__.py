"""The road of a bundle: publish, promote, roll back, status, and the run from playlists to a served model."""
