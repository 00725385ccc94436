"""One McpServer's world in memory: an API server, the Store that watches it, and a pass of the reconciler on demand."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from support.fake_api import FakeApiServer
from support.fake_clock import FakeClock
from vsm_operator.api.v1alpha1 import MCP_SERVER
from vsm_operator.controllers.adminkey import AdminKey
from vsm_operator.controllers.intake import IntakeDesk, UnwantedIntakes
from vsm_operator.controllers.mcpserver.pindesk import PinDesk
from vsm_operator.controllers.mcpserver.probes import Probes
from vsm_operator.controllers.mcpserver.reconciler import McpServerReconciler
from vsm_operator.controllers.registry import RegistryLocator
from vsm_operator.controllers.watches import add_indexes, watches
from vsm_operator.domain.intake import EXIT_BUNDLE_MISSING, IntakeFailure, IntakeReason, IntakeRequest, IntakeResult
from vsm_operator.errors import Terminal
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.client import Unfenced
from vsm_operator.kube.events import EventRecorder
from vsm_operator.kube.kinds import CONFIG_MAP, CORE_KINDS, DEPLOYMENT, JOB, POD, Key
from vsm_operator.kube.manifest import owner_reference
from vsm_operator.resources.intakejob import LABEL_INTAKE_KEY
from vsm_operator.runtime.controller import DONE, Result
from vsm_operator.runtime.router import Router
from vsm_operator.runtime.store import Store
from vsm_operator.settings import Settings

SETTINGS = Settings(runtime_image="localhost/vsm-runtime:test", max_concurrent_installs=2)
DIGEST = "sha256:" + "a" * 64
TOOLS, OTHER_TOOLS = "sha256:" + "b" * 64, "sha256:" + "f" * 64
Body = dict[str, Any]


class ImmediateBackground:
    """Keeps the calls until the test lets them happen."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Awaitable[None]]] = []

    def submit(self, _key: Key, work: Callable[[], Awaitable[None]], **_: Any) -> bool:
        self.calls.append(work)
        return True


class World:
    """`server` creates, `converge` makes passes until nothing is queued any more."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.fake = FakeApiServer(MCP_SERVER, *CORE_KINDS)
        self.clock = FakeClock()
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(503, text="not yet")
        self.queued: set[Key] = set()
        self.protocol_version = "2025-11-25"
        self.start()

    def start(self) -> None:
        """A new operator process: nothing in memory but what the API server says."""
        self.store = Store()
        self.router = Router(self.store, watches(self.settings))
        add_indexes(self.store, self.settings)
        api = self.fake.api()
        cluster = Cluster(api, cache=self.router, fence=Unfenced(), kinds=[MCP_SERVER])
        self.background = ImmediateBackground()
        self.events = EventRecorder(
            api, fence=Unfenced(), instance="test", now=self.clock.now, monotonic=self.clock.monotonic
        )
        self.registry = RegistryLocator(self.settings, changed=lambda: None)
        self.registry._address, self.registry.looked = "10.96.7.7", True
        self.admin_key = AdminKey(api, namespace="vsm-system", changed=lambda: None)
        self.admin_key._key = b"k" * 32
        self.reconciler = McpServerReconciler(
            store=self.store,
            cluster=cluster,
            events=self.events,
            intake=IntakeDesk(self.store, cluster, self.settings),
            registry=self.registry,
            admin_key=self.admin_key,
            pins=PinDesk(self.store, cluster),
            probes=Probes(
                background=self.background,  # type: ignore[arg-type]
                http=httpx.AsyncClient(transport=httpx.MockTransport(self._answer)),
                clock=self.clock,
                enqueue=self.queued.add,
                deadline_seconds=5,
            ),
            settings=self.settings,
            clock=self.clock,
        )
        self.unwanted = UnwantedIntakes(self.store, cluster)
        for key, body in self.fake.objects.items():
            kind = next(kind for kind in (MCP_SERVER, *CORE_KINDS) if kind.kind == key.kind)
            if self.store.holds(kind):
                self.router.observed(kind, body)
        self.fake.watcher = self._watch

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return self.answer(request)

    def _watch(self, kind: Any, event: str, body: Body) -> None:
        if self.store.holds(kind):
            (self.router.deleted if event == "DELETED" else self.router.observed)(kind, body)

    def server(self, name: str = "memory", *, generation: int = 1, version: str = "1.0.0", **spec: Any) -> Key:
        key = MCP_SERVER.key("team", name)
        source = {"npm": {"package": "@scope/server-memory", "version": version}}
        before = self.fake.objects.get(key, {})
        body = {
            "apiVersion": MCP_SERVER.api_version,
            "kind": MCP_SERVER.kind,
            "metadata": {**before.get("metadata", {}), "name": name, "namespace": "team", "generation": generation},
            "spec": {"source": source, **spec},
        }
        self.fake.put(MCP_SERVER, body | ({"status": before["status"]} if "status" in before else {}))
        return key

    async def look(self, key: Key) -> Result:
        """One pass, as the controller makes it."""
        try:
            return await self.reconciler.reconcile(key)
        except Terminal as refusal:
            await self.reconciler.report(key, refusal)
            return DONE

    async def talk(self) -> None:
        """Lets every network call that was asked for happen."""
        calls, self.background.calls[:] = list(self.background.calls), []
        for call in calls:
            await call()

    def status(self, key: Key) -> Body:
        return self.fake.objects[key].get("status", {})

    def ready(self, key: Key) -> tuple[str, str, str]:
        """Phase, and status and reason of the Ready condition."""
        condition = next(entry for entry in self.status(key)["conditions"] if entry["type"] == "Ready")
        return self.status(key)["phase"], condition["status"], condition["reason"]

    def message(self, key: Key) -> str:
        return str(next(entry["message"] for entry in self.status(key)["conditions"] if entry["type"] == "Ready"))

    def children(self, kind: Any) -> list[Body]:
        return [body for key, body in self.fake.objects.items() if key.kind == kind.kind]

    def intake_ends(self, outcome: IntakeResult | IntakeFailure, *, at: str = "2026-01-01T00:00:00Z") -> None:
        """The Job's pod leaves its answer, and the Job controller draws the conclusion."""
        job = self.children(JOB)[0]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "intake-pod",
                "namespace": "vsm-system",
                "labels": {LABEL_INTAKE_KEY: job["metadata"]["labels"][LABEL_INTAKE_KEY]},
                "ownerReferences": [owner_reference(JOB, JOB.key_of(job), job["metadata"]["uid"])],
            },
            "status": {
                "phase": "Succeeded" if isinstance(outcome, IntakeResult) else "Failed",
                "containerStatuses": [
                    {
                        "name": "intake",
                        "state": {
                            "terminated": {
                                "exitCode": 0 if isinstance(outcome, IntakeResult) else 10,
                                "message": outcome.to_json(),
                            }
                        },
                    }
                ],
            },
        }
        self.fake.put(POD, pod)
        kind = "Complete" if isinstance(outcome, IntakeResult) else "Failed"
        condition = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": at}
        self.fake.edit(JOB, JOB.key_of(job), lambda body: body.__setitem__("status", {"conditions": [condition]}))

    def bundle_is_missed(self, *, at: str) -> None:
        """A new pod's `load` finds that the registry has lost the bundle."""
        self.pod()
        ended = {"terminated": {"exitCode": EXIT_BUNDLE_MISSING, "message": "no such bundle", "finishedAt": at}}
        key = POD.key("team", "mcp-memory-1")
        self.fake.edit(
            POD, key, lambda body: body["status"].update(initContainerStatuses=[{"name": "load", "state": ended}])
        )

    def bundle_arrives(self, *, at: str = "2026-01-01T00:00:00Z", **changes: Any) -> None:
        job = self.children(JOB)[0]
        request = _request(job)
        result = {
            "key": request.key,
            "digest": DIGEST,
            "size_bytes": 10,
            "unpacked_bytes": 100,
            "name": request.package.name,
            "version": request.package.version,
            "integrity": "sha512-x",
            "license": "MIT",
            "packages": 9,
            "lifecycle_scripts": 0,
            "entrypoints": ("server-memory",),
            "cached": False,
            "duration_ms": 5,
        }
        self.intake_ends(IntakeResult(**(result | changes)), at=at)

    def intake_fails(self, reason: IntakeReason, message: str = "because") -> None:
        self.intake_ends(IntakeFailure(_request(self.children(JOB)[0]).key, reason, message))

    def tools_change(self, *, expected: str = TOOLS, observed: str = OTHER_TOOLS) -> None:
        """The bridge has seen another list, and its pod is not ready any more."""
        self.pods_are(available=0)
        self.pod()
        reason = "ToolsChanged" if expected else "ToolsNotAdmitted"
        blocked = {"reason": reason, "expected": expected or None, "observed": observed}
        self.answer = lambda _: httpx.Response(
            200, json=bridge_status(observed) | {"state": "blocked", "blocked": blocked}
        )

    def pins(self) -> Body:
        """Data of the ConfigMap; {} when there is none."""
        found = self.fake.objects.get(CONFIG_MAP.key("team", "mcp-memory-pins"), {})
        data: Body = found.get("data", {})
        return data

    def annotate(self, key: Key, annotation: str, value: str) -> None:
        self.fake.edit(MCP_SERVER, key, lambda body: body["metadata"].update(annotations={annotation: value}))

    def condition(self, key: Key, kind: str) -> Body:
        found: Body = next(entry for entry in self.status(key)["conditions"] if entry["type"] == kind)
        return found

    def pods_are(self, *, available: int) -> None:
        """What the Deployment controller says."""
        deployment = self.children(DEPLOYMENT)[0]
        replicas = deployment["spec"]["replicas"]
        status = {
            "observedGeneration": deployment["metadata"].get("generation", 0),
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": available,
        }
        self.fake.edit(DEPLOYMENT, DEPLOYMENT.key_of(deployment), lambda body: body.__setitem__("status", status))

    def pod(self, *, ip: str = "10.244.0.9", server: Body | None = None, ready: bool = False) -> None:
        """A pod of the server whose bridge runs."""
        labels = self.children(DEPLOYMENT)[0]["spec"]["template"]["metadata"]["labels"]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "mcp-memory-1", "namespace": "team", "labels": labels},
            "status": {
                "phase": "Running",
                "podIP": ip,
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [
                    {"name": "server", "state": {"running": {}}, **(server or {})},
                    {"name": "bridge", "state": {"running": {}}},
                ],
            },
        }
        self.fake.put(POD, body)

    def answers_like_a_server(self, tools_hash: str = TOOLS) -> None:
        """Through the Service, and its bridge on the admin port."""

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.port == 8081:
                return httpx.Response(200, json=bridge_status(tools_hash) | {"protocolVersion": self.protocol_version})
            message = json.loads(request.content)
            results = {
                "initialize": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "memory", "version": "7"},
                },
                "tools/list": {"tools": [{"name": "read_graph", "inputSchema": {"type": "object"}}]},
            }
            if "id" not in message:
                return httpx.Response(202)
            return httpx.Response(
                200, json={"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
            )

        self.answer = answer

    async def to_ready(self, key: Key) -> None:
        """The whole happy path."""
        await self.look(key)
        self.bundle_arrives()
        await self.look(key)
        self.pods_are(available=1)
        self.pod(ready=True)
        self.answers_like_a_server()
        await self.look(key)
        await self.talk()
        await self.look(key)


def bridge_status(tools_hash: str) -> Body:
    return {
        "state": "ready",
        "protocolVersion": "2025-11-25",
        "serverInfo": {"name": "memory", "version": "7"},
        "tools": {"count": 2, "names": ["read_graph", "delete_all"], "hash": tools_hash},
    }


def _request(job: Body) -> IntakeRequest:
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return IntakeRequest.from_json(
        next(entry["value"] for entry in environment if entry["name"] == "VSM_INTAKE_REQUEST")
    )
