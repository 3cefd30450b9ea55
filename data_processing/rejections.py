"""The tally of what was rejected: counts by reason, with the first few examples of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_processing.checks import REASONS
from segue.errors import InputError

_EXAMPLES = 5
_LONGEST_VALUE = 80


@dataclass(slots=True)
class Rejections:
    """Counts what is rejected, or stops at the first.

    Attributes:
        strict: Whether the first rejection raises (``--on-invalid raise``).
        counts: Reason to how many.
        examples: Reason to up to five examples: where it stands, and its values.
    """

    strict: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def add(self, reason: str, where: str, value: Any) -> None:
        """Count one rejected entry that stands at ``where``.

        Raises:
            InputError: The tally is strict.
        """
        shown = _shown(value)
        if self.strict:
            raise InputError(
                f"{where} cannot be used: {REASONS[reason]} ({shown}); mend it, or leave such entries out with "
                "--on-invalid warn."
            )
        self.counts[reason] = self.counts.get(reason, 0) + 1
        listed = self.examples.setdefault(reason, [])
        if len(listed) < _EXAMPLES:
            listed.append({"where": where, "value": shown})

    def more(self, counts: Mapping[str, int], examples: Mapping[str, Sequence[dict[str, str]]]) -> None:
        """Count what another tally, of what stands after this, has counted."""
        for reason, count in counts.items():
            self.counts[reason] = self.counts.get(reason, 0) + count
            listed = self.examples.setdefault(reason, [])
            listed += examples.get(reason, ())[: _EXAMPLES - len(listed)]

    def total(self) -> int:
        """Return how many were rejected for any reason."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return reason to count, meaning and examples, the most frequent reason first."""
        ordered = sorted(self.counts, key=lambda reason: (-self.counts[reason], reason))
        return {
            reason: {"count": self.counts[reason], "meaning": REASONS[reason], "examples": self.examples[reason]}
            for reason in ordered
        }


def _shown(value: Any) -> str:
    """Return a value as short printable ASCII-safe text: what is damaged must not damage the report."""
    if hasattr(value, "_asdict"):
        text = ", ".join(f"{name}={item!a}" for name, item in value._asdict().items() if item not in ("", None))
    else:
        text = ascii(value)
    limit = _LONGEST_VALUE * 3
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
