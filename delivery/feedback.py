"""What listeners did with the answers of two models, joined by the answer's id, from the database of feedback.

The unit is the answer, and not the event: who skips five tracks of one answer has said one thing. An answer counts once
its time for feedback is over, and then never changes, however late its events come: what was counted at one look is
the same at the next.
"""

from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa

from delivery.watching import FEEDBACK, Span, WatchError
from evaluation.sequential import Blocks

LIKED = ("click", "play", "add")
# The service's table, in docs/serving.md; tests/delivery holds the two together.
_EVENTS = sa.table(
    "feedback_events",
    *(sa.column(name) for name in ("event", "impression", "digest", "environment", "answered", "received")),
)


class FeedbackDatabase:
    """The database that the service writes to, read only."""

    def __init__(self, address: str) -> None:
        self._address = address

    def read(self, digests: tuple[str, str], span: Span, attribution: int) -> dict[str, Blocks]:
        """Return the counts of answers with feedback, block by block."""
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(_counts(digests, span, attribution)).all()
        except sa.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise WatchError(
                f"The database of feedback cannot be read ({reason}); check SEGUE_DATABASE_URL."
            ) from error
        answers, skipped, unliked = (np.zeros((2, span.blocks)) for _ in range(3))
        for environment, block, count, skips, likes in rows:
            arm = 0 if environment == "production" else 1
            place = arm, int(block)  # Postgres divides whole numbers by FLOOR, which gives numeric
            answers[place], skipped[place], unliked[place] = int(count), int(skips), int(count) - int(likes)
        return {
            name: Blocks(answers[0], bad[0], answers[1], bad[1])
            for name, bad in zip(FEEDBACK, (skipped, unliked), strict=True)
        }

    @cached_property
    def _engine(self) -> sa.Engine:
        try:
            url = sa.make_url(self._address)
        except sa.exc.ArgumentError as error:  # without the address: it may hold a password
            raise WatchError("SEGUE_DATABASE_URL is no address of a database.") from error
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        try:
            return sa.create_engine(url, pool_pre_ping=True)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise WatchError(f"The driver of the database of feedback cannot be used ({error}).") from error


def _counts(digests: tuple[str, str], span: Span, attribution: int) -> sa.Select[Any]:
    """Return the query: per arm and block, answers with feedback, those with a skip, those with something better."""
    start, end, column = int(span.start), int(span.start) + span.block * span.blocks, _EVENTS.c
    arms = sa.or_(
        *(
            sa.and_(column.environment == name, column.digest == digest)
            for name, digest in zip(("production", "canary"), digests, strict=True)
        )
    )
    told = [
        sa.func.max(sa.case((column.event.in_(kinds), 1), else_=0)).label(name)
        for name, kinds in (("skip", ("skip",)), ("liked", LIKED))
    ]
    answers = (
        sa.select(column.environment, column.impression, column.answered, *told)
        .where(arms, column.answered >= start, column.answered < end)
        .where(column.received <= column.answered + attribution)
        .group_by(column.environment, column.impression, column.answered)
        .subquery()
    ).c
    block = ((answers.answered - start) // span.block).label("block")
    return sa.select(
        answers.environment, block, sa.func.count(), sa.func.sum(answers.skip), sa.func.sum(answers.liked)
    ).group_by(answers.environment, block)
