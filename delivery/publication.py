"""Publish: a bundle and its judgement into the store, then into the registry."""

import re
from dataclasses import dataclass
from pathlib import Path

from delivery.registry import Entry, Evidence, Version
from delivery.report import Report
from delivery.road import Road
from delivery.signing import Signer
from segue.bundle import Bundle
from segue.errors import InputError


@dataclass(frozen=True, slots=True)
class Publication:
    """What came of it.

    Attributes:
        version: The bundle's version in the registry.
        report: How it was judged.
        new: False where all of it stood there already.
        signer: Fingerprint of the key that signed the bundle; "" where there was none to sign with.
    """

    version: Version
    report: Report
    new: bool
    signer: str = ""


def publish(road: Road, bundle_path: Path, report_path: Path, signing_key: Path | None = None) -> Publication:
    """Put a judged bundle into the store, signed where there is a key, and into the registry, whatever the verdict.

    Every step can be done again, so after a crash the same call finishes what was begun. The registry is told last, so
    what it lists is signed.

    Raises:
        BundleError: The bundle does not verify.
        InputError: The report is none, or judges another bundle; or the signing key is none.
    """
    signer = Signer(signing_key) if signing_key else None
    bundle = Bundle.open(bundle_path)
    report = Report.parse(_read(report_path), str(report_path))
    _check_belong(bundle, report)
    road.store.put(bundle)
    if signer is not None and not signer.signed(bundle, road.store.signature(bundle.digest)):
        road.store.put_signature(bundle.digest, signer.sign(bundle))
    by = signer.fingerprint if signer else ""
    stored = road.store.put_report(bundle.digest, report.data)
    known = road.registry.find(bundle.digest)
    if known is not None and known.entry.report == stored:
        return Publication(known, report, new=False, signer=by)
    entry = Entry(
        bundle.digest, stored, report.content.verdict, report.content.dataset, road.store.address(bundle.digest)
    )
    version = road.registry.register(entry, _evidence(bundle, report, report_path))
    return Publication(version, report, new=True, signer=by)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The report {path} cannot be read ({error.strerror}); name the gate's report.json."
        ) from error


def _check_belong(bundle: Bundle, report: Report) -> None:
    if report.content.bundle != bundle.digest:
        raise InputError(
            f"The report judges {report.content.bundle}, and the bundle at {bundle.path} is {bundle.digest}; "
            "judge this bundle with: python -m evaluation gate --help"
        )
    if bundle.manifest.synthetic and not report.content.synthetic:
        raise InputError(
            f"The bundle at {bundle.path} learned from made-up playlists, and its report does not say so; "
            "judge it again with: python -m evaluation gate --help"
        )


def _evidence(bundle: Bundle, report: Report, path: Path) -> Evidence:
    lineage = bundle.manifest.lineage
    content = report.content
    files = [path, *(page for page in [path.with_suffix(".html")] if page.is_file())]
    parameters = {"dataset": content.dataset, "seed": str(content.seed), "playlists": str(content.playlists)}
    parameters |= {"commit": str(lineage.get("commit", "")), "incumbent": content.incumbent or "none"}
    parameters |= {"trained_by": str(lineage.get("run", "")), "synthetic": str(content.synthetic).lower()}
    return Evidence(parameters, _metrics(report), files, _note(bundle, report))


def _metrics(report: Report) -> dict[str, float]:
    """Return the report's numbers under names that MLflow takes: no ``@``."""
    return {
        re.sub(r"[^\w\-. /]", "_", f"{model}/{part}/{metric.replace('@', '_at_')}"): value
        for model, parts in report.content.metrics.items()
        for part, metrics in parts.items()
        for metric, value in metrics.items()
        if value is not None
    }


def _note(bundle: Bundle, report: Report) -> str:
    return "\n".join(
        [
            f"**{report.content.verdict}**: {report.content.reason}",
            "",
            f"- bundle `{bundle.digest}`",
            f"- dataset `{report.content.dataset}`",
            f"- report `{report.digest}`, attached as report.json",
            f"- trained by run `{bundle.manifest.lineage.get('run', '')}`",
        ]
    )
