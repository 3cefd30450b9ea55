"""The judge: queries, baselines, gate, report and challenge submission; knows models only as bundles."""
