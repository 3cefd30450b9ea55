"""What is served: a ranker with its version and verdict, as one value that a running service can exchange."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inference.ranker import Ranker
from segue.bundle import REPORT, Bundle
from segue.files import sha256_bytes

Verdict = Literal["pass", "fail", "inconclusive"]
_VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "inconclusive")


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a bundle was judged; all None while it is not.

    Attributes:
        verdict: What `evaluation` said.
        reason: Why, in one sentence.
        report: Digest of the report that says so.
    """

    verdict: Verdict | None = None
    reason: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model with its names. Immutable: a running service exchanges it as a whole.

    Attributes:
        ranker: The verified bundle, warm.
        version: The bundle's version in the registry, where known.
        judgement: How it was judged.
    """

    ranker: Ranker
    version: str | None
    judgement: Judgement

    @classmethod
    def load(
        cls, path: Path, digest: str | None = None, version: str | None = None, threads: int | None = None
    ) -> "Model":
        """Verify, load and warm the bundle at ``path``.

        Raises:
            BundleError: The bundle does not verify or cannot be run.
        """
        ranker = Ranker.open(path, digest, threads)
        return cls(ranker, version, read_judgement(ranker.bundle))

    @property
    def digest(self) -> str:
        """The bundle's name."""
        return self.ranker.bundle.digest


def read_judgement(bundle: Bundle) -> Judgement:
    """Return how ``bundle`` was judged; a report that is damaged or speaks of another bundle judges nothing."""
    try:
        data = bundle.file(REPORT).read_bytes()
        report: Any = json.loads(data)
        verdict, about, reason = report["verdict"], report["bundle"], report["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        return Judgement()
    if about != bundle.digest or verdict not in _VERDICTS:
        return Judgement()
    return Judgement(verdict, str(reason), f"sha256:{sha256_bytes(data)}")
