"""One intake for each package, however many ask, and whatever happens to the operator meanwhile."""

from datetime import UTC, datetime

from support.cluster import OPERATOR_USER, SYSTEM_NAMESPACE, Cluster
from support.kubectl import Manifest, Watch
from support.mcpservers import Server, mcp_server, npm, wait_for

SHARED = npm("@modelcontextprotocol/server-sequential-thinking", "2026.8.31")
INTAKES = {"app.kubernetes.io/component": "intake"}


def package_of(job: Manifest) -> str:
    return str(job["metadata"].get("annotations", {}).get("vsm-mcp.io/package", ""))


def forget_finished_intakes(cluster: Cluster, package: str) -> None:
    """A Job of an earlier run would answer at once, and there would be nothing to see."""
    for job in cluster.objects("jobs", SYSTEM_NAMESPACE, selector=INTAKES):
        if package in package_of(job):
            cluster.kubectl.run("delete", "job", job["metadata"]["name"], "--namespace", SYSTEM_NAMESPACE, "--wait")


def jobs_seen(watch: Watch, package: str) -> set[str]:
    """Uids of all Jobs for the package that the watch has shown."""
    watch.drain()
    return {event.object["metadata"]["uid"] for event in watch.history if package in package_of(event.object)}


def test_two_servers_that_want_one_package_share_one_intake(cluster: Cluster, namespace: str) -> None:
    package = "server-sequential-thinking"
    forget_finished_intakes(cluster, package)
    names = ("first", "second")
    since = datetime.now(UTC)
    with cluster.kubectl.watch("jobs", namespace=SYSTEM_NAMESPACE, selector=INTAKES) as jobs:
        cluster.apply(*(mcp_server(name, namespace, SHARED) for name in names))
        digests = {Server(cluster, name, namespace).wait_ready()["status"]["bundle"]["digest"] for name in names}
        assert len(digests) == 1
        assert len(jobs_seen(jobs, package)) == 1
    if cluster.audit_log is not None:
        created = [
            write
            for write in cluster.audit_log.writes(OPERATOR_USER, since=since, namespace=SYSTEM_NAMESPACE)
            if (write.verb, write.resource) == ("create", "jobs")
        ]
        assert len(created) == 1, [str(write) for write in created]


def test_an_operator_killed_in_the_middle_of_an_intake_goes_on_with_the_same_job(
    cluster: Cluster, namespace: str
) -> None:
    package = "server-everything"
    server = Server(cluster, "interrupted", namespace)
    with (
        cluster.kubectl.watch("jobs", namespace=SYSTEM_NAMESPACE, selector=INTAKES) as jobs,
        server.watch() as watch,
    ):
        # An older release than that of the fleet, so that nothing is known of it yet.
        cluster.apply(mcp_server("interrupted", namespace, npm("@modelcontextprotocol/server-everything", "2026.7.4")))
        job = jobs.until(
            lambda event: f"{package}@2026.7.4" in package_of(event.object),
            wanted="the intake Job",
            timeout_seconds=60,
        ).object
        for pod in cluster.operator_pods():
            cluster.delete("pod", pod["metadata"]["name"], SYSTEM_NAMESPACE, now=True)
        wait_for(watch, "Ready", reason="Serving")
        assert jobs_seen(jobs, f"{package}@2026.7.4") == {job["metadata"]["uid"]}
