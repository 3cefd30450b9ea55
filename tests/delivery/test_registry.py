"""What every registry does, shown on MLflow's SQLite store and on the registry in memory that other tests use."""

import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient

from delivery.registry import Entry, Evidence, MlflowRegistry, Registry, RegistryError
from tests.delivery.memory_registry import MemoryRegistry


def entry(letter: str, verdict: str = "pass", report: str = "e") -> Entry:
    digest, dataset = f"sha256:{letter * 64}", f"sha256:{'d' * 64}"
    return Entry(digest, f"sha256:{report * 64}", verdict, dataset, f"/store/bundles/sha256/{letter * 64}")


@pytest.fixture
def mlflow(workspace: Path) -> MlflowRegistry:
    return MlflowRegistry(f"sqlite:///{workspace / 'mlflow.db'}", str(workspace / "mlartifacts"))


@pytest.fixture(params=["mlflow", "memory"])
def any_registry(request: pytest.FixtureRequest) -> Registry:
    registry: Registry = MemoryRegistry() if request.param == "memory" else request.getfixturevalue("mlflow")
    return registry


def test_versions_are_found_by_digest_by_number_and_by_age(any_registry: Registry) -> None:
    """The newest version of a bundle is the word on it."""
    assert (any_registry.newest(), any_registry.find(entry("a").digest), any_registry.get(1)) == (None, None, None)
    first = any_registry.register(entry("a"), Evidence())
    second = any_registry.register(entry("b", "fail"), Evidence())
    third = any_registry.register(entry("a", "fail", report="f"), Evidence())
    assert [first.number, second.number, third.number] == [1, 2, 3]
    assert any_registry.newest() == third
    assert any_registry.find(entry("a").digest) == third
    assert any_registry.get(1) == first
    assert any_registry.get(9) is None


def test_aliases_name_what_stands_where(any_registry: Registry) -> None:
    """One version can stand in several environments, and an environment has one."""
    for letter in "ab":
        any_registry.register(entry(letter), Evidence())
    assert any_registry.marked("production") is None
    any_registry.mark("staging", 1)
    any_registry.mark("production", 1)
    any_registry.mark("staging", 2)
    assert (any_registry.marked("staging"), any_registry.marked("production")) == (2, 1)


def test_a_version_points_to_a_run_with_all_its_evidence(mlflow: MlflowRegistry, workspace: Path) -> None:
    """Metrics, lineage, report and tags, once, also when publishing was cut off and called again."""
    (workspace / "report.json").write_text("{}")
    evidence = Evidence({"seed": "0"}, {"candidate/all/ndcg": 0.31}, [workspace / "report.json"], "**pass**")
    for _ in range(2):
        mlflow.register(entry("a"), evidence)
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    versions = [client.get_model_version("segue", str(number)) for number in (1, 2)]
    assert versions[0].run_id == versions[1].run_id
    assert versions[0].tags == {
        "digest": entry("a").digest,
        "report": entry("a").report,
        "verdict": "pass",
        "dataset": entry("a").dataset,
    }
    run = client.get_run(str(versions[0].run_id))
    assert (run.info.run_name, run.info.status) == ("publish", "FINISHED")
    assert (run.data.metrics, run.data.params) == ({"candidate/all/ndcg": 0.31}, {"seed": "0"})
    assert run.data.tags["mlflow.note.content"] == "**pass**"
    assert [file.name for file in (workspace / "mlartifacts").rglob("report.json")] == ["report.json"]


def test_a_version_that_somebody_else_made_is_not_trusted(mlflow: MlflowRegistry, workspace: Path) -> None:
    """Without its tags nobody can tell what it is."""
    mlflow.prepare()
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    client.create_registered_model("segue")
    client.create_model_version("segue", "/elsewhere")
    with pytest.raises(RegistryError, match="lacks the tag 'digest'"):
        mlflow.newest()


def test_a_registry_that_cannot_be_reached_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A damaged file and a server that is down."""
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(RegistryError, match=r"does not answer as it should .*MLFLOW_TRACKING_URI"):
        MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}").newest()
    with pytest.raises(RegistryError, match="does not answer as it should"):
        MlflowRegistry("http://127.0.0.1:9").newest()


def test_the_database_is_made_whole(empty_database: Path) -> None:
    """Nothing half made is left beside it, and it is MLflow's."""
    assert [file.name for file in empty_database.parent.iterdir()] == ["mlflow.db"]
    with sqlite3.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    connection.close()
