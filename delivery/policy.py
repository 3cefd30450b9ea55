"""How carefully a bundle is promoted: read from Git beside the pins, so that every step was taken by a known rule."""

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evaluation.online import Guard, Levels
from segue.errors import PromotionError

POLICY = "k8s/promotion.yaml"


class GuardRule(BaseModel):
    """One guard's bars; see `evaluation.online.Guard`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(gt=0, lt=1)
    limit: float | None = Field(default=None, gt=0, lt=1)


def _guards() -> dict[str, GuardRule]:
    return {
        "errors": GuardRule(margin=0.01, limit=0.01),
        "slow": GuardRule(margin=0.02, limit=0.05),
        "skipped": GuardRule(margin=0.05),
        "unliked": GuardRule(margin=0.05),
    }


class Policy(BaseModel):
    """The fields of k8s/promotion.yaml, with what holds where one is missing; docs/promotion.md tells of each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: tuple[int, ...] = Field(
        default=(1, 5, 25, 50), description="The canary's shares in percent, one after another."
    )
    deadline_seconds: float = Field(
        default=14400, gt=0, description="How long a step may stay undecided before it goes back."
    )
    settle_seconds: float = Field(
        default=90, ge=0, description="How long a commit takes to reach the route: nothing passes before."
    )
    look_seconds: int = Field(default=15, ge=1, description="How often is looked, and the span of a block of counts.")
    gap_seconds: float = Field(
        default=60, gt=0, description="How long nothing may be scraped before the counting begins anew."
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="How often a verdict may be wrong, each way, in a promotion."
    )
    least_answers: int = Field(default=20, ge=1, description="Answers of the canary below which no step passes.")
    clustering: float = Field(default=1.0, ge=1, description="How many answers of one listener are worth one.")
    guards: dict[str, GuardRule] = Field(default_factory=_guards, description="What may not become more frequent.")
    budget_seconds: float = Field(
        default=0.1, gt=0, description="An answer that takes longer is slow; a bucket of the service."
    )
    attribution_seconds: int = Field(default=60, ge=1, description="How long after an answer its feedback counts.")
    smoke_playlists: int = Field(
        default=40, ge=3, description="How many playlists are asked before there are listeners."
    )
    least_overlap: float = Field(
        default=0.02, ge=0, le=1, description="What the shadow has to share with production at 10."
    )
    load_rate: float = Field(
        default=20,
        gt=0,
        le=500,
        description="Requests a second that staging is asked before the canary has the bundle.",
    )
    load_seconds: float = Field(default=15, ge=0, le=600, description="For how long; 0 measures nothing under load.")
    load_p95_seconds: float = Field(default=0.25, gt=0, description="What 95 of 100 answers may take under that load.")
    load_errors: float = Field(
        default=0.01, ge=0, lt=1, description="Which share of them may fail; where more are not answered, it waits."
    )
    approval: bool = Field(default=False, description="Whether somebody else has to approve before production.")
    hold: str = Field(default="", description="Why nothing is promoted for now; what is proven bad still goes back.")

    @field_validator("weights")
    @classmethod
    def _rising(cls, weights: tuple[int, ...]) -> tuple[int, ...]:
        if not weights or list(weights) != sorted(set(weights)) or not 0 < weights[0] <= weights[-1] <= 100:
            raise ValueError("weights rise from at least 1 to at most 100")
        return weights

    @classmethod
    def from_yaml(cls, data: bytes | None) -> "Policy":
        """Return the policy in ``data``, the default one where there is no file.

        Raises:
            PromotionError: The bytes are no policy; nothing is promoted by a rule that cannot be read.
        """
        try:
            return cls.model_validate({} if (given := yaml.safe_load(data or b"")) is None else given)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise PromotionError(f"{POLICY} cannot be used ({place}: {first['msg']}); mend it by a commit.") from error
        except (yaml.YAMLError, ValueError) as error:
            problem = " ".join(str(error).split())
            raise PromotionError(f"{POLICY} is no YAML ({problem}); mend it by a commit.") from error

    def bars(self) -> list[Guard]:
        """Return the guards as the verdict takes them."""
        return [Guard(name, rule.margin, rule.limit) for name, rule in self.guards.items()]

    def levels(self) -> Levels:
        """Return how sure a verdict has to be."""
        return Levels(self.alpha, len(self.weights), self.least_answers, self.clustering)

    def after(self, weight: int) -> int | None:
        """Return the share that follows ``weight``; None where production follows."""
        return next((one for one in self.weights if one > weight), None)
