"""A second pair of eyes: a commit that says a bundle is proven, and somebody else's that says yes to it."""

from itertools import takewhile

import yaml

from delivery.gitops import Change
from delivery.pins import pin_path
from delivery.position import Position, locate
from delivery.road import Road
from segue.errors import PromotionError

APPROVAL = "k8s/approval.yaml"
PROPOSAL = "k8s/proposal.yaml"
_PROPOSED = "# What is proven in the canary and waits for somebody's approval. Written by segue advance.\n"
_HEAD = "# The bundle that may go to production. Written by segue approve, or by hand in a pull request.\n"


def approve(road: Road, digest: str, reason: str = "") -> str:
    """Commit that a bundle may go to production; return the commit. Who approves is the commit's author.

    Raises:
        PromotionError: That bundle is not in the canary.
    """

    def decide(commit: str) -> Change | None:
        position = locate(road, commit)
        if position.stage != "canary" or digest not in ("", position.pin.digest):
            there = f"{position.pin.digest} is" if position.stage == "canary" else "nothing is"
            raise PromotionError(f"Only what is in the canary can be approved, and {there}; segue status shows it.")
        if missing_approval(road, commit, position) == "":
            return None
        trailers = {"Segue-Action": "approve", "Segue-Environment": "production", "Segue-Digest": position.pin.digest}
        trailers["Segue-Version"] = str(position.pin.version)
        trailers |= {"Segue-Reason": reason} if reason.strip() else {}
        # Where the same was approved before, the digest alone would be no change, and so no commit that says when.
        body = yaml.safe_dump({"digest": position.pin.digest, "commit": commit})
        subject = f"Approve version {position.pin.version} for production"
        return Change({APPROVAL: (_HEAD + body).encode()}, subject, reason, trailers)

    return road.repository.change(decide)


def missing_approval(road: Road, commit: str, position: Position) -> str:
    """Return what is missing for the bundle of a position to be approved by somebody else, or ""."""
    wait = "Everything is proven, and somebody else has to say yes: segue approve, or a pull request that writes "
    data = road.repository.read(commit, APPROVAL)
    if data is None or _value(data, "digest") != position.pin.digest:
        return f"{wait}the digest {position.pin.digest} into {APPROVAL}."
    given = road.repository.history(commit, APPROVAL, after=_entered(road, commit, position))
    if not given:
        return f"The approval in {APPROVAL} is older than this trial; {wait[0].lower()}{wait[1:]}it anew."
    approved = road.repository.describe(given[0])
    promoted = road.repository.describe(position.commit)
    if approved["email"] == promoted["email"]:
        return f"{approved['author']} approved what {approved['author']} promotes; {wait[0].lower()}{wait[1:]}it."
    return ""


def _entered(road: Road, commit: str, position: Position) -> str:
    """Return the commit that put the candidate into the canary, this time: all since then were its own steps."""
    wanted = {"Segue-Action": "promote", "Segue-Environment": "canary", "Segue-Digest": position.pin.digest}
    steps = road.repository.history(commit, pin_path("canary"), pin_path("production"))
    own = list(takewhile(lambda one: wanted.items() <= road.repository.describe(one).items(), steps))
    return own[-1] if own else position.commit


def proposal(position: Position) -> dict[str, bytes]:
    """Return the file that says that a step is proven and waits for an approval alone."""
    body = yaml.safe_dump({"digest": position.pin.digest, "step": position.commit})
    return {PROPOSAL: (_PROPOSED + body).encode()}


def proposed(road: Road, commit: str, position: Position) -> bool:
    """Return whether the step of a position was proven, and has waited for an approval since."""
    data = road.repository.read(commit, PROPOSAL)
    return data is not None and position.commit != "" and _value(data, "step") == position.commit


def _value(data: bytes, name: str) -> str:
    try:
        value = yaml.safe_load(data)[name]
    except (yaml.YAMLError, TypeError, KeyError, ValueError):
        return ""
    return value if isinstance(value, str) else ""
