"""Every kustomization renders to what stands beside the tests: a change of the cluster is read before it is made."""

import pytest

from tests.k8s.rendering import EXPECTED, expected, folders


@pytest.mark.parametrize("folder", folders())
def test_a_folder_renders_to_what_is_expected(folder: str, renders: dict[str, str]) -> None:
    """Byte for byte; `python -m tests.k8s.rendering` writes the files anew."""
    assert renders[folder] == expected(folder).read_text(), "Read the diff after: python -m tests.k8s.rendering"


def test_nothing_is_expected_of_folders_that_are_gone() -> None:
    """A file without its folder would be read as if it still meant something."""
    assert {file.name for file in EXPECTED.iterdir()} == {expected(folder).name for folder in folders()}
