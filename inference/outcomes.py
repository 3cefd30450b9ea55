"""Read what listeners did with the answers of each model: what a canary's verdict counts.

A track of an answer counts once for each kind of event, however often it was reported: repeating oneself is not more
evidence. The unit of independent evidence is the answer (``impressions``), and not the event.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from inference.feedback import EVENTS, FeedbackError, open_engine

KINDS = ("click", "skip", "play", "add")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the answers of one model in one environment.

    Attributes:
        environment: Where it answered.
        digest: The bundle.
        impressions: Answers that any feedback came for.
        tracks: Kind of event to the number of recommended tracks that it was reported for.
        answers: Kind of event to the number of answers that it was reported for.
    """

    environment: str
    digest: str
    impressions: int
    tracks: dict[str, int]
    answers: dict[str, int]


def read_outcomes(url: str, since: int = 0, until: int | None = None) -> list[Outcome]:
    """Return what became of answers given from ``since`` to before ``until`` (seconds since 1970), by environment.

    Raises:
        InputError: ``url`` names no database.
        FeedbackError: The database cannot be read.
    """
    engine, table = open_engine(url, reading=True), EVENTS.c
    answered = table.answered >= since if until is None else table.answered.between(since, until - 1)
    arm = (table.environment, table.digest)
    track = table.impression + " " + table.track_uri
    by_kind = (
        sa.select(*arm, table.event, sa.func.count(track.distinct()), sa.func.count(table.impression.distinct()))
        .where(answered)
        .group_by(*arm, table.event)
    )
    in_all = sa.select(*arm, sa.func.count(table.impression.distinct())).where(answered).group_by(*arm)
    try:
        with engine.connect() as connection:
            kinds = connection.execute(by_kind).all()
            arms = connection.execute(in_all.order_by(*arm)).all()
    except sa.exc.SQLAlchemyError as error:
        raise FeedbackError(
            "The outcomes cannot be read: the database is away, or no feedback was ever kept."
        ) from error
    finally:
        engine.dispose()
    return [
        Outcome(
            environment,
            digest,
            impressions,
            {**dict.fromkeys(KINDS, 0), **{row[2]: row[3] for row in kinds if row[:2] == (environment, digest)}},
            {**dict.fromkeys(KINDS, 0), **{row[2]: row[4] for row in kinds if row[:2] == (environment, digest)}},
        )
        for environment, digest, impressions in arms
    ]
