"""What cannot work ends in a status that says why, and leaves no pod. Real registries answer."""

import re

import pytest

from support.cluster import SYSTEM_NAMESPACE, Cluster
from support.kubectl import KubectlFailed, Manifest
from support.mcpservers import TINY_PACKAGE, Server, mcp_server, npm, probe_server, pypi, ready

VERDICT_SECONDS = 180.0
UNKNOWN = "vsm-operator-e2e-no-such-package"

VERDICTS: dict[str, tuple[Manifest, str, str, str]] = {
    # name: source, phase, reason, pattern in the message
    "unknown-npm": (npm(UNKNOWN, "1.0.0"), "Failed", "UnknownPackage", UNKNOWN),
    "unknown-pypi": (pypi(UNKNOWN, "1.0.0"), "Failed", "UnknownPackage", UNKNOWN),
    "version-npm": (npm("@modelcontextprotocol/server-memory", "0.0.1"), "Failed", "NoSuchVersion", r"0\.0\.1"),
    "version-pypi": (pypi("mcp-server-time", "0.0.1"), "Failed", "NoSuchVersion", r"0\.0\.1"),
    "sdist-only": (pypi("docopt", "0.6.2"), "Rejected", "NoWheel", "wheel"),
    "no-bin": (npm("left-pad", "1.3.0"), "Failed", "NoEntrypoint", r"spec\.command.*left-pad"),
    "no-script": (TINY_PACKAGE, "Failed", "NoEntrypoint", r"spec\.command.*python3"),
}


@pytest.fixture(scope="module")
def refused(cluster: Cluster, namespace: str) -> dict[str, Server]:
    """All at once: their intakes overlap."""
    cluster.apply(*(mcp_server(name, namespace, source) for name, (source, *_) in VERDICTS.items()))
    return {name: Server(cluster, name, namespace) for name in VERDICTS}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_names_its_reason_and_leaves_no_pod(cluster: Cluster, refused: dict[str, Server], name: str) -> None:
    server = refused[name]
    _, phase, reason, pattern = VERDICTS[name]
    found = server.wait(phase, timeout_seconds=VERDICT_SECONDS)
    condition = ready(found)
    assert condition["reason"] == reason, condition["message"]
    assert condition["status"] == "False"
    assert re.search(pattern, condition["message"], re.DOTALL), condition["message"]
    assert "vsmctl retry" in condition["message"] or "spec.command" in condition["message"]
    assert server.pods() == []
    assert cluster.get("deployment", server.child, server.namespace) is None


def test_a_verdict_is_not_reached_again_and_again(cluster: Cluster, refused: dict[str, Server]) -> None:
    """One pod told it; exit codes of verdicts are not retried by the Job."""
    for server in refused.values():
        server.wait(VERDICTS[server.name][1], timeout_seconds=VERDICT_SECONDS)
    jobs = {
        job["metadata"]["annotations"]["vsm-mcp.io/package"]: job
        for job in cluster.objects("jobs", SYSTEM_NAMESPACE, selector={"app.kubernetes.io/component": "intake"})
    }
    for package in (f"pkg:npm/{UNKNOWN}@1.0.0", "pkg:pypi/docopt@0.6.2"):
        assert jobs[package]["status"]["failed"] == 1


def test_a_server_that_no_node_can_take_says_so(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "giant", namespace)
    resources = {"requests": {"memory": "64Ti"}, "limits": {"memory": "64Ti"}}
    cluster.apply(probe_server("giant", namespace, resources=resources))
    condition = ready(server.wait("Starting", reason="Unschedulable", timeout_seconds=VERDICT_SECONDS))
    assert "memory" in condition["message"].lower()


def test_a_missing_secret_is_named_in_the_status(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "no-secret", namespace)
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "not-there", "key": "token"}}}
    cluster.apply(probe_server("no-secret", namespace, env=[variable]))
    condition = ready(server.wait("Starting", reason="PodConfiguration", timeout_seconds=VERDICT_SECONDS))
    assert "not-there" in condition["message"]


def test_a_foreign_object_of_a_childs_name_is_left_alone(cluster: Cluster, namespace: str) -> None:
    """A Service that somebody else made has the name that our child would have."""
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mcp-taken", "namespace": namespace, "labels": {"app": "theirs"}},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    server = Server(cluster, "taken", namespace)
    cluster.apply(foreign)
    cluster.apply(probe_server("taken", namespace))
    with server.watch() as watch:
        told = watch.until(
            lambda event: "mcp-taken" in ready(event.object).get("message", ""),
            wanted="a message that names mcp-taken",
            timeout_seconds=VERDICT_SECONDS,
        )
    assert ready(told.object)["status"] == "False"
    live = cluster.read("service", "mcp-taken", namespace)
    assert live["spec"]["selector"] == {"app": "theirs"}
    assert "ownerReferences" not in live["metadata"]
    assert cluster.get("deployment", server.child, namespace) is None


def test_the_package_of_a_server_cannot_be_exchanged(cluster: Cluster, refused: dict[str, Server]) -> None:
    server = refused["unknown-npm"]
    with pytest.raises(KubectlFailed, match="immutable"):
        cluster.patch(
            "mcpserver", server.name, server.namespace, {"spec": {"source": {"npm": {"package": "left-pad"}}}}
        )


@pytest.mark.parametrize(
    "package",
    [
        "a;rm -rf /",
        "../x",
        "--flag",
        "@scope/",
        "l\u0435ft-pad",
        "x" * 300,
        "LEFT-PAD",
        "left-pad@1.3.0",
        "https://x.invalid/y",
    ],
    ids=["shell", "path", "option", "empty name", "confusable", "300 characters", "upper case", "with version", "url"],
)
def test_a_malformed_name_is_refused_by_the_api_server(cluster: Cluster, namespace: str, package: str) -> None:
    with pytest.raises(KubectlFailed, match=r"spec\.source\.npm\.package"):
        cluster.apply(mcp_server("malformed", namespace, npm(package, "1.0.0")))


@pytest.mark.parametrize(
    "version", ["^1.0.0", "latest", "1.x", "1.0.0 || 2.0.0", "git+https://x.invalid/y", "file:../x"]
)
def test_anything_but_one_exact_version_is_refused_by_the_api_server(
    cluster: Cluster, namespace: str, version: str
) -> None:
    with pytest.raises(KubectlFailed, match=r"spec\.source\.npm\.version"):
        cluster.apply(mcp_server("ranged", namespace, npm("left-pad", version)))
