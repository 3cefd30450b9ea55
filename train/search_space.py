"""What a search draws for each setting, read from words such as ``rate=tag(log, interval(0.0005, 0.02))``."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, OverrideType, QuotedString
from hydra.errors import HydraException

from segue.errors import InputError

Value = str | int | float | bool | None
Point = Mapping[str, Value]
"""Settings of one trial, by name."""


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        values: At least two, all different.
    """

    values: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def ends(self) -> tuple[Value, ...]:
        """Return the values that show whether the stage can take all that is drawn."""
        return self.values


@dataclass(frozen=True)
class Interval:
    """A number from ``low`` to ``high``.

    Attributes:
        low: The least.
        high: The greatest; above ``low``.
        log: Drawn evenly by its logarithm; then ``low`` is above 0.
        whole: Only whole numbers are drawn.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def ends(self) -> tuple[Value, ...]:
        """Return the values that show whether the stage can take all that is drawn."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


Space = Mapping[str, Choice | Interval]
_HOW = "write name=choice(a, b), name=interval(low, high) or name=tag(log, interval(low, high))"


def space_of(words: Sequence[str]) -> Space:
    """Return what is drawn for each setting.

    Raises:
        InputError: There is no word, or one leaves nothing to draw.
    """
    space: dict[str, Choice | Interval] = {}
    for word in words:
        name, drawn = _read(word)
        if name in space:
            raise InputError(f"The space of the search names {name} twice; leave one of them out.")
        space[name] = drawn
    if not space:
        raise InputError(f"There is nothing to search: the space is empty; name settings with space=, and {_HOW}.")
    return space


def fitted(space: Space, defaults: Point) -> Space:
    """Return the space with whole numbers drawn for the settings that are whole numbers.

    Args:
        space: What `space_of` returned.
        defaults: A value of each setting, which tells its type.

    Raises:
        InputError: Such a setting has an interval with an end that is none, or one that is no number has an interval.
    """
    fit: dict[str, Choice | Interval] = {}
    for name, drawn in space.items():
        default = defaults[name]
        if isinstance(drawn, Interval) and (isinstance(default, bool) or not isinstance(default, int | float)):
            raise InputError(f"{name} is no number, and has no interval; offer its values with {name}=choice(a, b).")
        if isinstance(drawn, Interval) and isinstance(default, int):
            if not (drawn.low.is_integer() and drawn.high.is_integer()):
                raise InputError(
                    f"{name} is a whole number, and the space of the search has it from {drawn.low} to {drawn.high}; "
                    "name whole numbers as both ends."
                )
            drawn = replace(drawn, whole=True)
        fit[name] = drawn
    return fit


def holds(space: Space, point: Point) -> bool:
    """Return whether a point has all settings of a space and could have been drawn from it."""
    return set(space) == set(point) and all(value in space[name] for name, value in point.items())


def words_of(point: Point) -> list[str]:
    """Return settings as the ``name=value`` that a command takes."""
    return [f"{name}={_word(value)}" for name, value in point.items()]


def _word(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not re.fullmatch(r"[\w./-]+", value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def _read(word: str) -> tuple[str, Choice | Interval]:
    try:
        override = OverridesParser.create().parse_override(word)
        sweep = override.value()
    except HydraException as error:
        raise InputError(f"The search cannot read {word!r}; {_HOW}.") from error
    plain = override.type == OverrideType.CHANGE and override.package is None
    if not plain or not isinstance(sweep, ChoiceSweep | IntervalSweep):
        raise InputError(f"{word!r} leaves nothing to search; {_HOW}.")
    return override.key_or_group, _choice(word, sweep) if isinstance(sweep, ChoiceSweep) else _interval(word, sweep)


def _choice(word: str, sweep: ChoiceSweep) -> Choice:
    values: list[Value] = []
    for value in sweep.list:
        plain = value.text if isinstance(value, QuotedString) else value
        if not isinstance(plain, str | int | float | bool | None):
            raise InputError(f"{word!r} offers {plain}, and a search chooses between numbers, words, true and false.")
        if plain not in values:
            values.append(plain)
    if len(values) < 2:
        raise InputError(f"{word!r} leaves nothing to search; offer at least two different values.")
    return Choice(tuple(values))


def _interval(word: str, sweep: IntervalSweep) -> Interval:
    low, high = float(sweep.start or 0), float(sweep.end or 0)
    if unknown := sorted(sweep.tags - {"log"}):
        raise InputError(f"{word!r} has the tag {unknown[0]!r}, and a search knows the tag log alone.")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{word!r} has no number inside; the low end has to be below the high one, and both finite.")
    if "log" in sweep.tags and low <= 0:
        raise InputError(f"{word!r} begins at {low}, which has no logarithm; begin above 0, or leave tag(log, …) out.")
    return Interval(low, high, "log" in sweep.tags)
