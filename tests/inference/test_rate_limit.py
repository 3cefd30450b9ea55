"""The token bucket of each client, on a clock of its own."""

from inference.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_ask_a_burst_and_then_at_its_rate() -> None:
    """Three at once, then one every half second, and the wait is told."""
    clock = Clock()
    limit = RateLimit(2, 3, clock=clock)
    assert [limit.take("a") for _ in range(3)] == [0, 0, 0]
    assert limit.take("a") == 0.5
    clock.now = 0.5
    assert limit.take("a") == 0
    assert limit.take("a") > 0


def test_being_refused_costs_nothing() -> None:
    """Who asks too often is let in again after the same time as who waited."""
    clock = Clock()
    limit = RateLimit(1, 1, clock=clock)
    assert [limit.take("a") > 0 for _ in range(50)] == [False] + [True] * 49
    clock.now = 1
    assert limit.take("a") == 0


def test_clients_do_not_pay_for_each_other() -> None:
    """One that asks too much leaves the others alone."""
    limit = RateLimit(1, 1, clock=Clock())
    assert limit.take("a") == 0
    assert limit.take("a") > 0
    assert limit.take("b") == 0


def test_a_pause_does_not_save_up_more_than_a_burst() -> None:
    """An hour of silence allows three at once and not thousands."""
    clock = Clock()
    limit = RateLimit(5, 3, clock=clock)
    limit.take("a")
    clock.now = 3600
    assert [limit.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_without_a_rate_nobody_is_limited() -> None:
    """The default of a service on a laptop."""
    limit = RateLimit(0, 1, clock=Clock())
    assert all(limit.take("a") == 0 for _ in range(1000))


def test_many_addresses_do_not_fill_the_memory() -> None:
    """The longest silent is forgotten, and who asks now is remembered."""
    limit = RateLimit(1, 1, most=10, clock=Clock())
    for i in range(1000):
        limit.take(f"client {i}")
    assert len(limit._buckets) == 10
    assert limit.take("client 999") > 0
