"""The service: load a verified bundle, rank, answer POST /predict, show the page."""
