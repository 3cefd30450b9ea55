"""The judge: queries, baselines, gate, report and challenge submission; knows models only as bundles."""

import segue  # noqa: F401 - before any library that reports its use (segue.privacy)
