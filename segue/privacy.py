"""Keeps libraries from reporting to their makers: playlists, models and machines are nobody else's business.

The variables have to stand before a library is imported, so the package `segue` sets them when it is imported, and
every room imports it first. Whoever wants to report sets a variable to something else.
"""

from collections.abc import MutableMapping

SILENT = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on; read once, at its import
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
}


def keep_quiet(environment: MutableMapping[str, str]) -> None:
    """Set the variables of `SILENT` that ``environment`` does not have yet."""
    for name, value in SILENT.items():
        environment.setdefault(name, value)
