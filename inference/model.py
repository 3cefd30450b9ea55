"""What is served: a ranker with its version and verdict, as one value that a running service can exchange."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inference.ranker import Ranker
from segue.bundle import REPORT, SIGNATURE, Bundle
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
        cls,
        path: Path,
        digest: str | None = None,
        version: str | None = None,
        threads: int | None = None,
        trusted: Path | None = None,
    ) -> "Model":
        """Verify, load and warm the bundle at ``path``.

        Args:
            path: The bundle's folder.
            digest: The digest that it must have; None takes any.
            version: Its version in the registry, where known.
            threads: CPU threads of one ranking.
            trusted: Folder of the keys of which one must have signed it; None asks for no signature.

        Raises:
            BundleError: The bundle does not verify or cannot be run.
            InputError: ``trusted`` does not say whom to trust.
        """
        bundle = Bundle.open(path, digest)
        if trusted is not None:
            _check_signed(bundle, trusted)
        return cls(Ranker.load(bundle, threads), version, read_judgement(bundle))

    @property
    def digest(self) -> str:
        """The bundle's name."""
        return self.ranker.bundle.digest


def _check_signed(bundle: Bundle, trusted: Path) -> None:
    from inference.signature import check_signature, read_keys  # cryptography takes its time to load

    try:
        data = bundle.file(SIGNATURE).read_bytes()
    except OSError:
        data = None
    check_signature(data, bundle.digest, bundle.manifest, read_keys(trusted))


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
