"""Who promotes, put together from the settings. Beside `delivery.road` this is where adapters are chosen."""

import time

from delivery.advance import Promoter
from delivery.feedback import FeedbackDatabase
from delivery.probing import HttpServices
from delivery.prometheus import Prometheus
from delivery.road import open_road
from delivery.settings import Settings
from delivery.watching import Sources


def open_promoter(settings: Settings) -> Promoter:
    """Return who promotes by these settings; nothing is read or written yet."""
    sources = Sources(
        traffic=Prometheus(settings.prometheus) if settings.prometheus else None,
        feedback=FeedbackDatabase(settings.database_url) if settings.database_url else None,
    )
    return Promoter(open_road(settings), HttpServices(settings.services), sources, time.time, settings.asked_by)
