"""What every commit of a pin tells at its end: what was done, to what, on which evidence, and who asked."""

from delivery.pins import Pin


def evidence(action: str, environment: str, pin: Pin, verdict: str, asked_by: str = "", **more: str) -> dict[str, str]:
    """Return the trailers of a commit.

    Args:
        action: ``promote``, ``propose``, ``rollback`` or ``return``.
        environment: Whose pin is written.
        pin: What stands there from now on, or is proposed for it.
        verdict: Of the report that the pin names.
        asked_by: Who or what asked; "" where the author says enough.
        more: Further ones, without their ``Segue-``; empty ones are left out.
    """
    told = {
        "Action": action,
        "Environment": environment,
        "Digest": pin.digest,
        "Version": str(pin.version),
        "Weight": str(pin.weight),
        "Report": pin.report,
        "Verdict": verdict,
        **{name: value for name, value in more.items() if value},
        **({"Asked-By": asked_by} if asked_by else {}),
    }
    return {f"Segue-{name.replace('_', '-')}": value for name, value in told.items()}
