"""What holds for all tests: generated examples are judged by what they show and not by a clock that others share."""

from hypothesis import HealthCheck, settings

settings.register_profile("segue", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("segue")
