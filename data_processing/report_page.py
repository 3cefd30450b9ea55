"""The validation report as one page that needs nothing beside it."""

import html
import json
from collections.abc import Mapping
from typing import Any


def page(report: Mapping[str, Any]) -> str:
    """Return the page."""
    text = html.escape(json.dumps(report, indent=1))
    return f"<!doctype html><meta charset=utf-8><title>Validation</title><pre>{text}</pre>"
