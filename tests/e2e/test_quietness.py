"""What the operator wrote while all the other tests ran: nothing, about servers that had nothing new to tell.

The fleet was asked for at the start of the session and left alone since; operators were killed, scaled and replaced.
"""

import time
from datetime import UTC, datetime, timedelta

import pytest

from support.auditlog import AuditLog, Write
from support.cluster import OPERATOR_USER, SYSTEM_NAMESPACE, Cluster
from support.fleet import SERVING, Fleet
from support.mcpservers import Server, probe_server

QUIET = timedelta(seconds=60)
MAX_WRITES_PER_SERVER = 7
"""NetworkPolicy, Service, Deployment, the pin of its tools, and three statuses."""


@pytest.fixture(scope="module")
def audit_log(cluster: Cluster) -> AuditLog:
    if cluster.audit_log is None:
        pytest.skip("only the local cluster's audit log can be read")
    return cluster.audit_log


def shown(writes: list[Write]) -> str:
    return "\n".join(map(str, writes)) or "none"


@pytest.mark.parametrize("name", SERVING)
def test_a_server_costs_few_writes_to_make(fleet: Fleet, audit_log: AuditLog, settled_at: datetime, name: str) -> None:
    server = fleet.server(name)
    writes = [
        write
        for write in audit_log.writes(
            OPERATOR_USER, since=fleet.applied_at, until=settled_at, namespace=fleet.namespace
        )
        if write.name in (server.name, server.child) or write.name.startswith(f"{server.name}.")
    ]
    assert 4 <= len(writes) <= MAX_WRITES_PER_SERVER, shown(writes)


def test_nothing_is_written_about_servers_at_rest_also_after_a_restart(
    cluster: Cluster, fleet: Fleet, namespace: str, audit_log: AuditLog, settled_at: datetime
) -> None:
    for pod in cluster.operator_pods():
        cluster.delete("pod", pod["metadata"]["name"], SYSTEM_NAMESPACE, now=True)
    # The new leader has every key in its queue before this server can be, so all the others had their turn.
    cluster.apply(probe_server("last-in-line", namespace, suspend=True))
    Server(cluster, "last-in-line", namespace).wait("Suspended", timeout_seconds=120)
    # Silence has to be waited for: no event tells that nothing happened.
    time.sleep(max(0.0, (settled_at + QUIET - datetime.now(UTC)).total_seconds()))
    writes = audit_log.writes(OPERATOR_USER, since=settled_at, namespace=fleet.namespace)
    assert writes == [], f"{settled_at:%H:%M:%S} to now:\n{shown(writes)}"
    assert datetime.now(UTC) - settled_at >= QUIET
