"""A changed spec: what rolls, what keeps serving, and how to ask for another try."""

import subprocess
import sys

from support.cluster import CHECKOUT, Cluster
from support.mcpservers import TINY_PACKAGE, Server, mcp_server, probe_server, ready, wait_for
from vsm_operator.api.v1alpha1 import RETRY_ANNOTATION

NO_SUCH_VERSION = "999.0.0"


def test_changed_arguments_roll_the_pod(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "rolling", namespace)
    with server.watch() as watch:
        cluster.apply(probe_server("rolling", namespace, args=["--first"]))
        wait_for(watch, "Ready", reason="Serving")
        assert server.call("facts")["argv"] == ["--first"]
        generation = server.read()["metadata"]["generation"]
        cluster.apply(
            probe_server("rolling", namespace, args=["--second"], env=[{"name": "PROBE_VERSION", "value": "2.0.0"}])
        )
        watch.until(
            lambda event: event.object["metadata"]["generation"] > generation, wanted="new spec", timeout_seconds=20
        )
        status = wait_for(watch, "Ready", reason="Serving")["status"]
    assert status["serverInfo"] == {"name": "probe", "version": "2.0.0"}
    assert server.call("facts")["argv"] == ["--second"]


def test_an_update_to_a_missing_version_keeps_the_old_one_serving(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "updated", namespace)
    good = TINY_PACKAGE["pypi"]["version"]
    with server.watch() as watch:
        cluster.apply(probe_server("updated", namespace))
        wait_for(watch, "Ready", reason="Serving")
        pod = server.pod()["metadata"]["uid"]

        set_version(cluster, server, NO_SUCH_VERSION)
        failing = watch.until(
            lambda event: ready(event.object).get("reason") == "UpdateFailing",
            wanted="UpdateFailing",
            timeout_seconds=120,
        ).object
        condition = ready(failing)
        assert condition["status"] == "True"
        assert condition["observedGeneration"] == failing["metadata"]["generation"]
        assert NO_SUCH_VERSION in condition["message"]
        assert server.pod()["metadata"]["uid"] == pod, "the old pod was not touched"
        assert server.call("echo", say="old but well") == {"said": "old but well"}

        set_version(cluster, server, good)
        wait_for(watch, "Ready", reason="Serving")
    assert server.pod()["metadata"]["uid"] == pod


def set_version(cluster: Cluster, server: Server, version: str) -> None:
    cluster.patch("mcpserver", server.name, server.namespace, {"spec": {"source": {"pypi": {"version": version}}}})


def test_a_failed_server_is_tried_again_when_somebody_asks(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "crashing", namespace)
    command = ["python3", "-c", "import sys; sys.exit('no database at hand')"]
    with server.watch() as watch:
        cluster.apply(mcp_server("crashing", namespace, TINY_PACKAGE, command=command))
        failed = wait_for(watch, "Failed", reason="CrashAtStart")
        assert "no database at hand" in ready(failed)["message"]
        cluster.wait_until(lambda: not server.pods(), wanted="scaling to zero", timeout_seconds=60)

        vsmctl(cluster, "retry", server.name, "--namespace", namespace)
        wait_for(watch, "Starting", timeout_seconds=60)
        again = wait_for(watch, "Failed", reason="CrashAtStart")
    asked = again["metadata"]["annotations"][RETRY_ANNOTATION]
    assert again["status"]["lastHandledRetry"] == asked
    assert again["metadata"]["generation"] == failed["metadata"]["generation"]


def test_a_mended_spec_makes_a_failed_server_serve(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "mended", namespace)
    with server.watch() as watch:
        cluster.apply(mcp_server("mended", namespace, TINY_PACKAGE, command=["/bundle/bin/nothing-of-that-name"]))
        assert "nothing-of-that-name" in ready(wait_for(watch, "Failed"))["message"]
        cluster.apply(probe_server("mended", namespace))
        wait_for(watch, "Ready", reason="Serving")


def test_vsmctl_calls_a_tool_from_a_persons_terminal(cluster: Cluster, namespace: str) -> None:
    server = Server(cluster, "for-vsmctl", namespace)
    cluster.apply(probe_server("for-vsmctl", namespace))
    server.wait_ready()
    said = vsmctl(cluster, "call", server.name, "echo", '{"say": "hello"}', "--namespace", namespace)
    assert "hello" in said
    shown = vsmctl(cluster, "connect", server.name, "--namespace", namespace)
    assert f"service/{server.child}" in shown
    assert '"mcpServers"' in shown


def vsmctl(cluster: Cluster, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from vsm_operator.cli import main; main()", *arguments],
        env=dict(cluster.kubectl.environment),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
