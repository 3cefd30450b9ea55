"""Every object of every render is one by upstream's own definition of its kind."""

import pytest

from tests.k8s.definitions import problems
from tests.k8s.pods import Renders
from tests.k8s.rendering import folders


@pytest.mark.parametrize("folder", folders())
def test_objects_are_what_their_kind_is_defined_to_be(folder: str, rendered: Renders) -> None:
    """No field that is unknown, none that is missing, each of its type."""
    for one in rendered[folder]:
        assert problems(one) == [], f"{one['kind']} {one['metadata']['name']}"


@pytest.mark.parametrize("folder,kind", [("k8s/environments/staging", "Deployment"), ("k8s/environments", "HTTPRoute")])
def test_a_misspelled_field_is_found(folder: str, kind: str, rendered: Renders) -> None:
    """A check that takes everything would prove nothing."""
    one = next(one for one in rendered[folder] if one["kind"] == kind)
    (problem,) = problems({**one, "spec": {**one["spec"], "replica": 3}})
    assert "replica" in problem
