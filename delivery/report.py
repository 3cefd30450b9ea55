"""A report.json: how the gate judged a bundle, read with mistrust, for it decides what may be promoted."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from delivery.digests import Digest
from segue.errors import InputError, PromotionError
from segue.files import sha256_bytes

ALL = "all"
INCUMBENT = "incumbent"
Word = Literal["pass", "fail", "inconclusive"]
JUDGED_ON = "test"
"""Side of a dataset's split whose playlists took no part in training or in a choice."""


class Comparison(BaseModel):
    """The candidate against one model on one slice; `evaluation` wrote it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    against: str
    slice: str
    metric: str
    n: int
    effect: float
    low: float
    high: float
    verdict: Word
    playlists_needed: int | None = None

    @property
    def consistent(self) -> bool:
        """Whether its numbers can be of one measurement."""
        return self.n > 0 and self.low <= self.effect <= self.high


class Content(BaseModel):
    """The fields of a report that delivery reads; see docs/architecture.md."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    schema_version: Literal[1]
    verdict: Word
    reason: str
    bundle: Digest
    incumbent: Digest | None
    dataset: Digest
    foreign_dataset: bool
    synthetic: bool
    seed: int
    split: str
    playlists: int
    k: int
    metrics: dict[str, dict[str, dict[str, float | None]]]
    comparisons: list[Comparison] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """A report of the right shape.

    Attributes:
        data: Its bytes, as the gate wrote them.
        content: What they say.
    """

    data: bytes
    content: Content

    @classmethod
    def parse(cls, data: bytes, where: str) -> "Report":
        """Return the report in ``data``; ``where`` names it in errors.

        Raises:
            InputError: The bytes are no report of this schema.
        """
        try:
            return cls(data, Content.model_validate_json(data, strict=True))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise InputError(
                f"{where} is no report of the gate ({place}: {first['msg']}); "
                "write one with: python -m evaluation gate --help"
            ) from error

    @property
    def digest(self) -> str:
        """The sha256 of its bytes, which pins carry."""
        return f"sha256:{sha256_bytes(self.data)}"


def check_pass(report: Report, digest: str) -> None:
    """Raise unless the report is a pass of the bundle ``digest`` that its own comparisons bear out.

    Raises:
        PromotionError: It is of another bundle, not a pass, or contradicts itself.
    """
    content = report.content
    if content.bundle != digest:
        raise PromotionError(f"The report {report.digest} judges {content.bundle}, not {digest}; nothing was promoted.")
    if content.verdict != "pass":
        raise PromotionError(
            f"The bundle {digest} has the verdict {content.verdict}, and only a pass can be promoted: {content.reason}"
        )
    if content.split != JUDGED_ON:
        raise PromotionError(
            f"The bundle {digest} was judged on {content.split} playlists, by which its settings were chosen; judge it "
            f"on those of {JUDGED_ON} and publish that."
        )
    if doubt := _contradiction(content):
        raise PromotionError(
            f"The report {report.digest} says pass, but {doubt}; judge the bundle {digest} again and publish that."
        )


def _contradiction(content: Content) -> str:
    """Return why a pass does not follow from the comparisons, or ""."""
    overall = {one.against: one for one in content.comparisons if one.slice == ALL}
    if not [name for name in overall if name != INCUMBENT]:
        return "compares the bundle with no baseline"
    if content.incumbent is not None and INCUMBENT not in overall:
        return "does not compare the bundle with the incumbent that it names"
    for one in content.comparisons:
        if not one.consistent:
            return f"its numbers against {one.against} on {one.slice} contradict each other"
        if one.verdict == "fail" or (one.slice == ALL and one.verdict != "pass"):
            return f"its comparison with {one.against} on {one.slice} says {one.verdict}"
    return ""
