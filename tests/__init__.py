import segue  # noqa: F401 - before any library that reports its use (segue.privacy)
