"""A whole operator process, with kopf, against a real API server: starts, failures, hand-overs, and what they cost."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from apiserver.world import CRD, KUBECONFIG, WIDGET, make_widget, widget_definition
from vsm_operator.errors import OperatorError
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import LEASE, SERVICE, Kind

CHECKOUT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("widget_operator.py")
PATIENCE_SECONDS = 60.0
"""Far more than anything here takes: reaching it is a failure."""


@dataclass(slots=True)
class Process:
    """One replica."""

    inner: asyncio.subprocess.Process
    port: int
    http: httpx.AsyncClient
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def messages(self) -> list[str]:
        return [line["msg"] for line in self.lines]

    async def read_logs(self) -> None:
        assert self.inner.stderr is not None
        async for line in self.inner.stderr:
            self.lines.append(json.loads(line))  # a line that is no JSON fails the test

    async def endpoint(self, path: str) -> httpx.Response | None:
        with contextlib.suppress(httpx.TransportError):
            return await self.http.get(f"http://127.0.0.1:{self.port}{path}")
        return None

    async def metric(self, name: str) -> float:
        """Summed over labels; 0 while there is none."""
        answer = await self.endpoint("/metrics")
        lines = answer.text.splitlines() if answer else []
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    async def writes(self) -> float:
        """Without renewals of the lease."""
        answer = await self.endpoint("/metrics")
        assert answer is not None
        return sum(
            float(line.rpartition(" ")[2])
            for line in answer.text.splitlines()
            if line.startswith("vsm_kube_writes_total{") and "leases" not in line
        )

    async def leads(self) -> bool:
        return await self.metric("leader_election_master_status") == 1

    async def is_ready(self) -> bool:
        answer = await self.endpoint("/readyz")
        return answer is not None and answer.status_code == 200

    def send(self, number: signal.Signals) -> None:
        self.inner.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.inner.wait()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Processes and API servers have no event to wait for."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if await condition():
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"not within {PATIENCE_SECONDS:g} s: {what}")


@dataclass(slots=True)
class Site:
    api: KubeApi
    namespace: str
    http: httpx.AsyncClient
    processes: list[Process] = field(default_factory=list)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, *, lease_seconds: int = 15, plural: str = WIDGET.plural) -> Process:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = {"kubeconfig": KUBECONFIG, "namespace": self.namespace, "port": port, "plural": plural}
        arguments = [f"--{name}={value}" for name, value in {**options, "lease-seconds": lease_seconds}.items()]
        paths = os.pathsep.join(str(CHECKOUT / name) for name in ("operator", "tests"))
        inner = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            *arguments,
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": paths, "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )
        process = Process(inner, port, self.http)
        self.processes.append(process)
        self.readers.append(asyncio.create_task(process.read_logs()))
        return process

    async def leader(self, **options: Any) -> Process:
        process = await self.start(**options)
        await until(process.leads, "the process leads")
        return process

    async def port_of(self, name: str) -> int | None:
        service = await self.api.get(SERVICE, SERVICE.key(self.namespace, name))
        return service["spec"]["ports"][0]["port"] if service else None

    async def served(self, name: str, port: int = 80) -> bool:
        widget = await self.api.get(WIDGET, WIDGET.key(self.namespace, name))
        done = (
            widget is not None
            and widget.get("status", {}).get("observedGeneration") == widget["metadata"]["generation"]
        )
        return done and await self.port_of(name) == port

    async def converged(self, name: str, port: int = 80) -> None:
        async def look() -> bool:
            return await self.served(name, port)

        await until(look, f"Widget {name} has its Service on port {port} and its status")

    async def set_port(self, name: str, port: int) -> None:
        await self.api.merge_patch(WIDGET, WIDGET.key(self.namespace, name), {"spec": {"port": port}})


@pytest.fixture
async def site(api: KubeApi, namespace: str) -> AsyncIterator[Site]:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        found = Site(api, namespace, http)
        yield found
        for process in found.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send(signal.SIGKILL)
            await process.inner.wait()
        await asyncio.gather(*found.readers)


async def test_a_widget_costs_two_writes_and_a_restart_none(site: Site) -> None:
    for number in range(10):
        await make_widget(site.api, site.namespace, f"w{number}")
    first = await site.leader()
    for number in range(10):
        await site.converged(f"w{number}")
    assert await first.writes() == 20
    first.send(signal.SIGTERM)
    assert await first.ended() == 0

    second = await site.leader()

    async def all_looked_at() -> bool:
        return await second.metric("controller_runtime_reconcile_total") >= 10

    await until(all_looked_at, "every widget was looked at")
    assert await second.writes() == 0
    assert await second.metric("controller_runtime_reconcile_errors_total") == 0


async def test_changes_are_watched_and_our_own_echo_costs_no_pass(site: Site) -> None:
    process = await site.leader()
    await make_widget(site.api, site.namespace)
    await site.converged("w")
    await site.set_port("w", 81)
    await site.converged("w", 81)
    assert await process.metric("controller_runtime_reconcile_total") <= 4  # two would do; the echo may come first
    assert await process.writes() == 4


async def test_a_child_deleted_or_edited_by_hand_is_restored_with_one_write(site: Site) -> None:
    process = await site.leader()
    await make_widget(site.api, site.namespace)
    await site.converged("w")
    key = SERVICE.key(site.namespace, "w")
    before = await process.writes()

    service = await site.api.get(SERVICE, key)
    assert service is not None
    await site.api.delete(SERVICE, key, uid=service["metadata"]["uid"])
    await site.converged("w")
    assert await process.writes() == before + 1

    await site.api.merge_patch(SERVICE, key, {"spec": {"externalIPs": ["192.0.2.1"]}})

    async def restored() -> bool:
        found = await site.api.get(SERVICE, key)
        return found is not None and "externalIPs" not in found["spec"]

    await until(restored, "the foreign field is gone")
    assert await process.writes() == before + 2


async def test_a_deleted_widget_leaves_nothing_behind(site: Site) -> None:
    await site.leader()
    made = await make_widget(site.api, site.namespace)
    await site.converged("w")
    await site.api.delete(WIDGET, WIDGET.key(site.namespace, "w"), uid=made["metadata"]["uid"])

    async def gone() -> bool:
        return await site.port_of("w") is None

    await until(gone, "the Service was collected")


async def test_a_sigterm_ends_within_seconds_with_zero_and_hands_over(site: Site) -> None:
    first = await site.leader()
    second = await site.start()
    await until(second.is_ready, "the standby is ready")
    loop = asyncio.get_running_loop()
    asked = loop.time()
    first.send(signal.SIGTERM)
    assert await first.ended() == 0
    assert loop.time() - asked < 5
    await until(second.leads, "the standby leads")
    assert loop.time() - asked < 10  # far less than the lease of 15 s
    await make_widget(site.api, site.namespace)
    await site.converged("w")
    assert [line for line in first.lines if line["level"] in {"ERROR", "WARNING"}] == []


async def test_a_killed_leader_is_followed_when_its_lease_ends(site: Site) -> None:
    first = await site.leader(lease_seconds=3)
    second = await site.start(lease_seconds=3)
    await until(second.is_ready, "the standby is ready")
    first.send(signal.SIGKILL)
    await make_widget(site.api, site.namespace)
    await site.converged("w")
    assert await second.leads()


async def test_a_frozen_leader_wakes_writes_nothing_and_ends_with_one(site: Site) -> None:
    first = await site.leader(lease_seconds=3)
    await make_widget(site.api, site.namespace)
    await site.converged("w")
    written = await first.writes()
    second = await site.start(lease_seconds=3)
    await until(second.is_ready, "the standby is ready")
    first.send(signal.SIGSTOP)
    await until(second.leads, "the standby leads")
    # Work that waits for the sleeper in its sockets: a change, and a child to repair.
    await site.set_port("w", 81)
    await site.converged("w", 81)
    service = await site.api.get(SERVICE, SERVICE.key(site.namespace, "w"))
    first.send(signal.SIGCONT)
    assert await first.ended() == 1
    assert "leadership is lost" in first.messages
    assert await site.api.get(SERVICE, SERVICE.key(site.namespace, "w")) == service
    lease = await site.api.get(LEASE, LEASE.key(site.namespace, "vsm-operator"))
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 1
    assert await second.leads()
    assert written == 2


async def test_a_missing_crd_is_waited_for_and_named(site: Site) -> None:
    gadget = Kind(WIDGET.group, WIDGET.version, "gadgets", "Gadget")
    definition = widget_definition(gadget)
    process = await site.start(plural="gadgets")

    async def says_so() -> bool:
        answer = await process.endpoint("/readyz")
        return answer is not None and "does not serve gadgets.test.vsm-mcp.io/v1" in answer.text

    await until(says_so, "/readyz names the missing kind")
    try:
        await site.api.apply(CRD, definition)
        await until(process.is_ready, "the process is ready once the CRD is there")
        await until(process.leads, "the process leads")
        manifest = {
            "apiVersion": gadget.api_version,
            "kind": "Gadget",
            "metadata": {"name": "g", "namespace": site.namespace},
            "spec": {},
        }
        await site.api.create(gadget, manifest)

        async def is_served() -> bool:
            return await site.port_of("g") == 80

        await until(is_served, "the gadget has its Service")
    finally:
        with contextlib.suppress(OperatorError):
            found = await site.api.get(CRD, CRD.key("", definition["metadata"]["name"]))
            if found:
                await site.api.delete(CRD, CRD.key("", definition["metadata"]["name"]), uid=found["metadata"]["uid"])


async def test_memory_stays_within_its_budget_with_a_hundred_objects(site: Site) -> None:
    for number in range(100):
        await make_widget(site.api, site.namespace, f"w{number}")
    process = await site.leader()
    await site.converged("w99")
    for number in range(100):
        await site.converged(f"w{number}")
    resident = await process.metric("process_resident_memory_bytes")
    print(f"resident with 100 widgets and 100 services: {resident / 2**20:.0f} MiB")
    assert resident < 120 * 2**20
    assert await process.writes() == 200
