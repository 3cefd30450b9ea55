"""What stands in an environment, and what may never stand there again: two small YAML files in a Git repository."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from delivery.digests import is_digest
from segue.errors import PromotionError

ENVIRONMENTS = ("staging", "canary", "production")
QUARANTINE = "k8s/quarantine.yaml"
_FIELDS = {"digest": str, "version": int, "report": str, "weight": int}
# Written for the route, which has to name both shares and can copy from a file, but not subtract.
_REMAINDER = "remainder"
_PIN_HEAD = "# What stands in {}. Written by segue promote and segue rollback; docs/delivery.md tells how.\n"
_QUARANTINE_HEAD = (
    "# Bundles that were rolled back. Written by segue rollback; docs/delivery.md tells how one is released.\n"
)


def pin_path(environment: str) -> str:
    """Return where the repository keeps an environment's pin."""
    return f"k8s/environments/{environment}/bundle.yaml"


@dataclass(frozen=True, slots=True)
class Pin:
    """What stands in one environment.

    Attributes:
        digest: The bundle's digest, "" while nothing is pinned.
        version: Its version in the registry, 0 while nothing is pinned.
        report: Digest of the report.json that judged it, "" while nothing is pinned.
        weight: Share of requests in percent, meant for the canary.
    """

    digest: str = ""
    version: int = 0
    report: str = ""
    weight: int = 100

    def __bool__(self) -> bool:
        """Whether anything is pinned."""
        return bool(self.digest)

    def to_yaml(self, environment: str) -> bytes:
        """Return the pin file's bytes."""
        values = {name: getattr(self, name) for name in _FIELDS} | {_REMAINDER: 100 - self.weight}
        return (_PIN_HEAD.format(environment) + yaml.safe_dump(values, sort_keys=False)).encode()

    @classmethod
    def from_yaml(cls, data: bytes | None, where: str) -> "Pin":
        """Return the pin in ``data``, the empty one where there is no file; ``where`` names it in errors.

        Raises:
            PromotionError: The bytes are no pin.
        """
        if data is None:
            return cls()
        value = _load(data, where)
        remainder = value.pop(_REMAINDER, None)  # pins of earlier commits have none
        problem = _pin_problem(value) or _remainder_problem(value["weight"], remainder)
        if problem:
            raise PromotionError(f"The pin {where} cannot be used, because {problem}; mend it by a commit.")
        return cls(**value)


def _pin_problem(value: Mapping[str, Any]) -> str:
    """Return why a mapping is no pin, or ""."""
    if unknown := sorted(map(str, set(value) ^ set(_FIELDS))):
        return f"its fields have to be {', '.join(_FIELDS)} (see {unknown[0]!r})"
    for name, kind in _FIELDS.items():
        if type(value[name]) is not kind:  # bool is an int to isinstance
            return f"its {name} is {value[name]!r}"
    if not 0 <= value["weight"] <= 100:
        return f"its weight is {value['weight']}, and a share is 0 to 100 percent"
    if not value["digest"] and not value["report"] and value["version"] == 0:
        return ""
    wrong = [name for name in ("digest", "report") if not is_digest(value[name])]
    if wrong:
        return f"its {wrong[0]} {value[wrong[0]]!r} is not sha256: and 64 hex digits"
    return "" if value["version"] >= 1 else f"its version is {value['version']}"


def _remainder_problem(weight: int, remainder: Any) -> str:
    """Return why the two shares of a pin do not make a whole, or ""."""
    if remainder is None or remainder == 100 - weight:
        return ""
    return f"its remainder is {remainder!r}, and beside a weight of {weight} it has to be {100 - weight}"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One bundle that was rolled back, where, and why."""

    digest: str
    environment: str
    reason: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The bundles that are not promoted again until they are released."""

    entries: tuple[Quarantined, ...] = ()

    def find(self, digest: str) -> Quarantined | None:
        """Return the entry of a bundle, or None."""
        return next((entry for entry in self.entries if entry.digest == digest), None)

    def with_entry(self, entry: Quarantined) -> "Quarantine":
        """Return the quarantine with one more bundle, or as it is where the bundle is in it."""
        return self if self.find(entry.digest) else replace(self, entries=(*self.entries, entry))

    def without(self, digest: str) -> "Quarantine":
        """Return the quarantine without a bundle."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.digest != digest))

    def to_yaml(self) -> bytes:
        """Return the quarantine file's bytes."""
        rows = [{"digest": one.digest, "environment": one.environment, "reason": one.reason} for one in self.entries]
        body = yaml.safe_dump({"quarantined": rows}, sort_keys=False, allow_unicode=True, width=10_000)
        return (_QUARANTINE_HEAD + body).encode()

    @classmethod
    def from_yaml(cls, data: bytes | None, where: str) -> "Quarantine":
        """Return the quarantine in ``data``, the empty one where there is no file.

        Raises:
            PromotionError: The bytes are no quarantine; nothing is promoted past a list that cannot be read.
        """
        if data is None:
            return cls()
        value = _load(data, where)
        try:
            entries = tuple(Quarantined(**row) for row in value["quarantined"])
            if set(value) != {"quarantined"} or not all(is_digest(entry.digest) for entry in entries):
                raise ValueError("a digest or a field is not one")
        except (KeyError, TypeError, ValueError) as error:
            raise PromotionError(f"The list {where} cannot be read ({error}); mend it by a commit.") from error
        return cls(entries)


def _load(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise PromotionError(f"The file {where} is no YAML ({problem}); mend it by a commit.") from error
    if not isinstance(value, dict):
        raise PromotionError(f"The file {where} holds no mapping; mend it by a commit.")
    return value
