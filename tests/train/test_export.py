"""What an export has to hold before it becomes a bundle."""

import pytest

from segue.errors import SegueError
from train.export import hold

SOURCE = {0: 0.1, 1: 0.2, 5: 0.4}


@pytest.mark.parametrize("measured", [SOURCE, {0: 0.0995, 1: 0.199, 5: 0.4}, {0: 0.2, 1: 0.3, 5: 0.5}])
def test_an_export_that_loses_no_more_than_was_allowed_is_held(measured: dict[int, float]) -> None:
    """Better than its source it may always be."""
    hold(SOURCE, measured, 0.01, "QInt8 graph")


@pytest.mark.parametrize("measured", [{0: 0.0989, 1: 0.3, 5: 0.5}, {0: 0.1, 1: 0.2, 5: float("nan")}])
def test_a_loss_at_one_number_of_seeds_is_refused(measured: dict[int, float]) -> None:
    """However much better it is elsewhere; what cannot be measured is a loss."""
    with pytest.raises(SegueError, match=r"At [05] seeds the QInt8 graph reaches"):
        hold(SOURCE, measured, 0.01, "QInt8 graph")
