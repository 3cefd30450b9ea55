"""The service: load a verified bundle, rank, answer POST /predict, show the page."""

import segue  # noqa: F401 - before any library that reports its use (segue.privacy)
