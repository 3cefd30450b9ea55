"""The classics that a candidate has to beat, one a file; `evaluation.classics` fits them all, well tuned."""
