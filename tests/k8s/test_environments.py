"""An environment is the base, a namespace and a pin; what `segue promote` commits is what its pods serve."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.pins import ENVIRONMENTS, Pin, pin_path
from tests.k8s.rendering import PINS, objects, render


def find(found: list[dict[str, Any]], kind: str, name: str = "segue") -> dict[str, Any]:
    return next(one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name))


def environment_of(pod: dict[str, Any], container: str) -> dict[str, Any]:
    every = [*pod.get("initContainers", []), *pod["containers"]]
    one = next(one for one in every if one["name"] == container)
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in one["env"]}


def pod_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    template: dict[str, Any] = find(found, "Deployment")["spec"]["template"]
    return template


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pods_serve_what_the_pin_names(environment: str, rendered: dict[str, list[dict[str, Any]]]) -> None:
    """Digest, version and report, from the file as it is committed; the service refuses any other bundle."""
    pin, pod = PINS[environment], pod_of(rendered[f"k8s/environments/{environment}"])
    fetch, serve = environment_of(pod["spec"], "fetch"), environment_of(pod["spec"], "serve")
    assert (fetch["SEGUE_BUNDLE_DIGEST"], fetch["SEGUE_BUNDLE_REPORT"]) == (pin.digest, pin.report)
    assert (serve["SEGUE_BUNDLE_DIGEST"], serve["SEGUE_BUNDLE_VERSION"]) == (pin.digest, str(pin.version))
    assert pod["metadata"]["labels"]["app.kubernetes.io/version"] == str(pin.version)
    assert pod["metadata"]["labels"]["app.kubernetes.io/instance"] == environment


def test_environments_differ_only_in_name_and_pin(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """With these taken out of the renders, one is the other."""
    plain = set()
    for environment, pin in PINS.items():
        text = yaml.safe_dump(rendered[f"k8s/environments/{environment}"], width=10_000)
        for own, word in ((pin.digest, "DIGEST"), (pin.report, "REPORT"), (f"segue-{environment}", "NAMESPACE"),
                          (f"instance: {environment}", "INSTANCE"), (f"'{pin.version}'", "VERSION")):  # fmt: skip
            assert own in text
            text = text.replace(own, word)
        plain.add(text)
    assert len(plain) == 1


def test_an_overlay_is_a_dozen_lines() -> None:
    """What an environment says for itself can be read at a glance."""
    for environment in ENVIRONMENTS:
        lines = (Path(__file__).parents[2] / "k8s" / "environments" / environment / "kustomization.yaml").read_text()
        assert len(lines.splitlines()) <= 12


def test_a_new_weight_moves_traffic_and_restarts_nobody(copy: Path) -> None:
    """The canary's pin at 35 % gives it 35 of 100 requests and production the rest; its pods stay as they are."""
    before = render(copy / "k8s/environments/canary")
    pin = PINS["canary"]
    other = Pin(pin.digest, pin.version, pin.report, weight=35)
    (copy / pin_path("canary")).write_bytes(other.to_yaml("canary"))
    assert render(copy / "k8s/environments/canary") == before
    models = find(objects(render(copy / "k8s/environments")), "TraefikService", "models")
    shares = {one["namespace"]: one["weight"] for one in models["spec"]["weighted"]["services"]}
    assert shares == {"segue-production": 65, "segue-canary": 35}


def test_a_listener_keeps_the_model_that_answered_first(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """By a cookie that no script can read."""
    models = find(rendered["k8s/environments"], "TraefikService", "models")
    assert models["spec"]["weighted"]["sticky"]["cookie"]["httpOnly"] is True


def test_staging_is_shown_a_share_and_never_answers(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """It is a mirror of what production and canary are asked, and no backend."""
    found = rendered["k8s/environments"]
    shadow = find(found, "TraefikService", "shadow")["spec"]["mirroring"]
    assert [(mirror["namespace"], mirror["percent"]) for mirror in shadow["mirrors"]] == [("segue-staging", 10)]
    assert shadow["name"] == "models"
    backends = find(found, "TraefikService", "models")["spec"]["weighted"]["services"]
    assert {one["namespace"] for one in backends} == {"segue-production", "segue-canary"}


def test_operations_are_not_for_the_world(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """The gateway forwards the service's paths for listeners, and neither metrics nor probes."""
    rules = find(rendered["k8s/environments"], "HTTPRoute")["spec"]["rules"]
    paths = {match["path"]["value"]: match["path"]["type"] for rule in rules for match in rule["matches"]}
    assert set(paths) == {"/", "/page", "/predict", "/tracks", "/model", "/feedback", "/openapi.json"}
    assert paths["/"] == "Exact"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_ready_means_verified_and_warm(environment: str, rendered: dict[str, list[dict[str, Any]]]) -> None:
    """Start-up and readiness ask the service's own /ready; only a dead process is restarted."""
    serve = pod_of(rendered[f"k8s/environments/{environment}"])["spec"]["containers"][0]
    assert serve["startupProbe"]["httpGet"]["path"] == serve["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert serve["livenessProbe"]["httpGet"]["path"] == "/health"


def test_the_process_that_faces_the_network_has_no_key_of_the_store(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """Only the container that fetches reads the store's key, and only the reader's; who serves may keep feedback."""
    pod = pod_of(rendered["k8s/environments/production"])["spec"]
    assert "segue-store-reader" in str(pod["initContainers"])
    named = [entry["valueFrom"] for entry in pod["containers"][0]["env"] if "valueFrom" in entry]
    secrets = [one["secretKeyRef"] for one in named if "secretKeyRef" in one]
    assert secrets == [{"name": "segue-feedback", "key": "password", "optional": True}]
    assert "secret" not in str({**pod["containers"][0], "env": []}).lower()
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"bundles", "trusted-keys"}
    assert all(mount["readOnly"] for mount in mounts.values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pods_load_only_what_a_trusted_key_signed(environment: str, rendered: dict[str, list[dict[str, Any]]]) -> None:
    """Both containers are told whom to trust, and without that Secret the pod does not start at all."""
    pod = pod_of(rendered[f"k8s/environments/{environment}"])["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "trusted-keys"]
    assert volume["secret"] == {"secretName": "segue-trusted-keys", "defaultMode": 0o440}
    for container in [*pod["initContainers"], *pod["containers"]]:
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == "trusted-keys"]
        assert environment_of(pod, container["name"])["SEGUE_TRUSTED_KEYS"] == mount["mountPath"]


def test_a_refusal_is_told_where_prometheus_asks(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """The container that fetches waits with a refused bundle, and answers at the port that is scraped."""
    pod = pod_of(rendered["k8s/environments/production"])
    assert pod["spec"]["initContainers"][0]["args"][-1] == "--wait"
    ports = [port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports[0]) == "8000"


def test_a_pod_ends_after_its_requests(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """Its grace covers preStop, drain and the longest that the service waits for requests under way."""
    pod = pod_of(rendered["k8s/environments/production"])["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5
    assert pod["terminationGracePeriodSeconds"] >= 5 + 1 + 15


def test_the_autoscaler_alone_says_how_many(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """A number in the Deployment would be put back by Argo CD at each sync."""
    found = rendered["k8s/environments/production"]
    assert "replicas" not in find(found, "Deployment")["spec"]
    assert find(found, "HorizontalPodAutoscaler")["spec"]["minReplicas"] >= 2
    assert find(found, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_names_are_asked_of_the_clusters_own_service(rendered: dict[str, list[dict[str, Any]]]) -> None:
    """A label too many in the policy would cut every pod off from it."""
    rules = find(rendered["k8s/environments/production"], "NetworkPolicy")["spec"]["egress"]
    assert rules[0]["to"][0]["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
