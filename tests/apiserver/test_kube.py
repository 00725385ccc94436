"""The kube layer against a real API server: what only it knows of server-side apply, preconditions and paging."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from apiserver.world import NAMESPACE, WIDGET, make_widget, refresh, stored
from vsm_operator.errors import AlreadyExists, Conflict, Forbidden, InvalidSpec, NameTaken, NotServed
from vsm_operator.kube import client as client_module
from vsm_operator.kube.apply import Cluster
from vsm_operator.kube.client import KubeApi, Unfenced
from vsm_operator.kube.events import EventRecorder
from vsm_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, JOB, NETWORK_POLICY, SERVICE, Key, Kind
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER, Manifest, owner_reference
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.runtime.clock import SystemClock
from vsm_operator.runtime.router import Router, Watch, intent_changed, itself
from vsm_operator.runtime.store import Store, keep_spec

CHILDREN = (DEPLOYMENT, SERVICE, NETWORK_POLICY)
Body = dict[str, Any]


@dataclass(slots=True)
class World:
    """One Widget with a Deployment, a Service and a NetworkPolicy; no watches, `refresh` plays their part."""

    api: KubeApi
    namespace: str
    store: Store
    router: Router
    cluster: Cluster

    @classmethod
    async def of(cls, api: KubeApi, namespace: str) -> "World":
        await make_widget(api, namespace)
        return await cls.restarted(api, namespace)

    @classmethod
    async def restarted(cls, api: KubeApi, namespace: str) -> "World":
        store = Store()
        watches = [
            Watch(kind=WIDGET, keys=itself, changed=intent_changed, selector=None),
            *(Watch(kind=kind, project=keep_spec) for kind in CHILDREN),
            Watch(kind=JOB),
        ]
        router = Router(store, watches)
        cluster = Cluster(api, cache=router, fence=Unfenced(), kinds=[WIDGET])
        world = cls(api, namespace, store, router, cluster)
        await world.refresh()
        return world

    async def refresh(self) -> None:
        await refresh(self.api, self.router, WIDGET, *CHILDREN, namespace=self.namespace)

    @property
    def owner(self) -> Snapshot:
        return stored(self.store, WIDGET.key(self.namespace, "w"))

    def desired(self, *, image: str = "registry.test/a:1", extra: Body | None = None) -> list[Manifest]:
        labels = {"app": "w", LABEL_MANAGED_BY: MANAGER}
        container = {
            "name": "server",
            "image": image,
            "env": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}],
            "ports": [{"containerPort": 8080, "name": "mcp", "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        pod = {
            "automountServiceAccountToken": False,
            "hostNetwork": False,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
        } | (extra or {})
        return [
            self.child(
                DEPLOYMENT,
                {
                    "replicas": 0,
                    "selector": {"matchLabels": {"app": "w"}},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            ),
            self.child(
                SERVICE, {"selector": {"app": "w"}, "ports": [{"name": "mcp", "port": 8080, "targetPort": "mcp"}]}
            ),
            self.child(
                NETWORK_POLICY,
                {
                    "podSelector": {"matchLabels": {"app": "w"}},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [{"ports": [{"protocol": "TCP", "port": 8080}]}],
                },
            ),
        ]

    def child(self, kind: Kind, spec: Body, *, name: str = "w", owned: bool = True) -> Manifest:
        metadata: Body = {"name": name, "namespace": self.namespace, "labels": {LABEL_MANAGED_BY: MANAGER}}
        if owned:
            metadata["ownerReferences"] = [owner_reference(WIDGET, self.owner.key, self.owner.uid)]
        return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}

    async def writes_of_one_pass(self, desired: list[Manifest] | None = None) -> int:
        before = self.api.writes
        desired = self.desired() if desired is None else desired
        await self.cluster.apply(desired, observed=self.store.children(self.owner.key), owner=self.owner)
        return self.api.writes - before

    def key(self, kind: Kind, name: str = "w") -> Key:
        return kind.key(self.namespace, name)

    async def live(self, kind: Kind, name: str = "w") -> Body:
        found = await self.api.get(kind, self.key(kind, name))
        assert found is not None
        return found

    async def edit(self, kind: Kind, change: Callable[[Body], None]) -> None:
        """What `kubectl edit` does; the Deployment's own controller may be faster, then once more."""
        while True:
            body = await self.live(kind)
            change(body)
            try:
                await self.api.replace(kind, {**body, "metadata": {**body["metadata"], "managedFields": None}})
            except Conflict:
                continue
            return

    async def repair(self) -> int:
        """Writes of the pass after a refresh."""
        await self.refresh()
        return await self.writes_of_one_pass()


@pytest.fixture
async def world(api: KubeApi, namespace: str) -> World:
    return await World.of(api, namespace)


async def versions(world: World) -> list[str]:
    """Of the children, once the Deployment's own controller has said all it has to say."""
    async with asyncio.timeout(30):
        while True:
            deployment = await world.live(DEPLOYMENT)
            reasons = {condition["reason"] for condition in deployment.get("status", {}).get("conditions", ())}
            if {"MinimumReplicasAvailable", "NewReplicaSetAvailable"} <= reasons:
                break
            await asyncio.sleep(0.05)
    return [(await world.live(kind))["metadata"]["resourceVersion"] for kind in CHILDREN]


async def test_a_creation_costs_one_write_a_child_and_later_passes_and_restarts_none(world: World) -> None:
    assert await world.writes_of_one_pass() == 3
    before = await versions(world)
    assert await world.writes_of_one_pass() == 0
    again = await World.restarted(world.api, world.namespace)
    assert await again.writes_of_one_pass() == 0
    assert await versions(world) == before


async def test_an_apply_of_the_same_content_keeps_the_version(world: World) -> None:
    """What makes a write after a lost memory harmless: nobody is woken by it."""
    await world.writes_of_one_pass()
    before = await versions(world)
    for manifest in world.desired():
        live = await world.live(world.cluster._kinds[manifest["kind"]])
        marked = {**manifest, "metadata": {**manifest["metadata"], "annotations": live["metadata"]["annotations"]}}
        marked["metadata"]["annotations"] = {
            name: value for name, value in marked["metadata"]["annotations"].items() if name.startswith("vsm-mcp.io/")
        }
        await world.api.apply(world.cluster._kinds[manifest["kind"]], marked)
    assert await versions(world) == before


def pod_of(body: Body) -> Body:
    found: Body = body["spec"]["template"]["spec"]
    return found


def scale(body: Body) -> None:
    body["spec"]["replicas"] = 3


def use_host_network(body: Body) -> None:
    pod_of(body)["hostNetwork"] = True
    pod_of(body)["containers"][0]["ports"][0]["hostPort"] = 8080


def share_host_pids(body: Body) -> None:
    pod_of(body)["hostPID"] = True


def add_container(body: Body) -> None:
    pod_of(body)["containers"].append({"name": "evil", "image": "registry.test/evil:1"})


def add_volume(body: Body) -> None:
    pod_of(body)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


def add_variable(body: Body) -> None:
    pod_of(body)["containers"][0]["env"].append({"name": "LD_PRELOAD", "value": "/tmp/x.so"})


def become_privileged(body: Body) -> None:
    pod_of(body)["containers"][0]["securityContext"] = {"privileged": True}


def mount_token(body: Body) -> None:
    pod_of(body)["automountServiceAccountToken"] = True


def forget_token_setting(body: Body) -> None:
    del pod_of(body)["automountServiceAccountToken"]


def lose_label(body: Body) -> None:
    del body["metadata"]["labels"][LABEL_MANAGED_BY]


def lose_owner(body: Body) -> None:
    body["metadata"]["ownerReferences"] = None


@pytest.mark.parametrize(
    "harm",
    [
        scale,
        use_host_network,
        share_host_pids,
        add_container,
        add_volume,
        add_variable,
        become_privileged,
        mount_token,
        forget_token_setting,
        lose_label,
        lose_owner,
    ],
    ids=lambda harm: harm.__name__,
)
async def test_a_deployment_edited_by_hand_is_restored_with_one_write(
    world: World, harm: Callable[[Body], None]
) -> None:
    await world.writes_of_one_pass()
    wanted = await world.live(DEPLOYMENT)
    await world.edit(DEPLOYMENT, harm)
    assert await world.repair() == 1
    found = await world.live(DEPLOYMENT)
    assert found["spec"] == wanted["spec"]
    for field in ("labels", "ownerReferences"):
        assert found["metadata"][field] == wanted["metadata"][field]
    await world.refresh()
    assert await world.writes_of_one_pass() == 0


@pytest.mark.parametrize("kind", [SERVICE, NETWORK_POLICY], ids=lambda kind: kind.kind)
async def test_services_and_policies_edited_by_hand_are_restored(world: World, kind: Kind) -> None:
    await world.writes_of_one_pass()
    wanted = await world.live(kind)

    def open_up(body: Body) -> None:
        if kind == SERVICE:
            body["spec"]["ports"].append({"name": "extra", "port": 22})
            body["spec"]["externalIPs"] = ["192.0.2.1"]
        else:
            body["spec"]["ingress"].append({})
            body["spec"]["egress"] = [{}]

    await world.edit(kind, open_up)
    assert await world.repair() == 1
    assert (await world.live(kind))["spec"] == wanted["spec"]
    await world.refresh()
    assert await world.writes_of_one_pass() == 0


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param(SERVICE, "/spec/selector/evil", id="selector of a Service"),
        pytest.param(NETWORK_POLICY, "/spec/podSelector/matchLabels/evil", id="selector of a NetworkPolicy"),
        pytest.param(DEPLOYMENT, "/spec/template/spec/nodeSelector", id="node selector"),
    ],
)
async def test_keys_added_to_an_atomic_map_are_taken_back_for_good(world: World, kind: Kind, path: str) -> None:
    await world.writes_of_one_pass()
    wanted = await world.live(kind)
    value: Any = {"evil": "yes"} if path.endswith("nodeSelector") else "yes"
    await world.api.json_patch(kind, world.key(kind), [{"op": "add", "path": path, "value": value}])
    assert 1 <= await world.repair() <= 2
    assert (await world.live(kind))["spec"] == wanted["spec"]
    assert await world.repair() == 0
    again = await World.restarted(world.api, world.namespace)
    assert await again.writes_of_one_pass() == 0


async def test_a_rollout_restart_is_left_alone(world: World) -> None:
    await world.writes_of_one_pass()
    annotations = {"kubectl.kubernetes.io/restartedAt": "2030-01-01T00:00:00Z"}
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    await world.api.merge_patch(DEPLOYMENT, world.key(DEPLOYMENT), patch)
    await world.refresh()
    assert await world.writes_of_one_pass() == 0


async def test_a_field_that_is_no_longer_desired_goes_also_after_a_repair(world: World) -> None:
    with_class = world.desired(extra={"priorityClassName": "system-node-critical"})
    await world.writes_of_one_pass(with_class)
    await world.edit(DEPLOYMENT, share_host_pids)
    await world.refresh()
    await world.writes_of_one_pass(with_class)  # repaired by a patch, which leaves our name on fields
    assert pod_of(await world.live(DEPLOYMENT))["priorityClassName"] == "system-node-critical"
    await world.writes_of_one_pass()
    assert "priorityClassName" not in pod_of(await world.live(DEPLOYMENT))
    assert await world.writes_of_one_pass() == 0


async def test_what_is_not_desired_any_more_is_deleted(world: World) -> None:
    old = world.child(SERVICE, {"selector": {"app": "w"}, "ports": [{"port": 80}]}, name="old")
    await world.writes_of_one_pass([*world.desired(), old])
    assert await world.writes_of_one_pass() == 1
    assert await world.api.get(SERVICE, world.key(SERVICE, "old")) is None
    await world.refresh()
    assert await world.writes_of_one_pass() == 0


async def test_a_users_service_of_the_same_name_is_never_taken_over(world: World) -> None:
    mine = {**world.child(SERVICE, {"ports": [{"port": 80}]}, owned=False)}
    mine["metadata"] = {"name": "w", "namespace": world.namespace}
    before = await world.api.apply(SERVICE, mine, manager="somebody")
    with pytest.raises(NameTaken, match=r"Service .* exists"):
        await world.writes_of_one_pass()
    assert (await world.live(SERVICE))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_an_immutable_field_is_a_terminal_error_that_names_it(world: World) -> None:
    await world.writes_of_one_pass()
    changed = world.desired()
    changed[0]["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    changed[0]["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(InvalidSpec, match="immutable"):
        await world.writes_of_one_pass(changed)


def job(namespace: str) -> Manifest:
    container = {"name": "c", "image": "registry.test/a:1"}
    pod = {"restartPolicy": "Never", "containers": [container], "nodeSelector": {"no": "such-node"}}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {"name": "j", "namespace": namespace, "labels": {LABEL_MANAGED_BY: MANAGER}},
        "spec": {"template": {"spec": pod}},
    }


async def test_a_job_is_created_once_and_deleted_for_good(world: World) -> None:
    first = await world.cluster.create(job(world.namespace))
    assert (await world.cluster.create(job(world.namespace))).uid == first.uid
    with pytest.raises(AlreadyExists):
        await world.api.create(JOB, job(world.namespace))
    await world.cluster.delete(first)
    assert world.store.get(first.key) is None
    await world.cluster.delete(first)  # nobody minds


async def test_deleting_asks_for_the_uid(world: World) -> None:
    await world.writes_of_one_pass()
    assert await world.api.delete(SERVICE, world.key(SERVICE), uid="00000000-0000-0000-0000-000000000000") is None
    assert await world.api.get(SERVICE, world.key(SERVICE)) is not None


async def test_an_object_with_finalizers_stays_in_the_store_as_deleting(world: World) -> None:
    finalizers = {"metadata": {"finalizers": ["test.vsm-mcp.io/wait"]}}
    await world.api.merge_patch(WIDGET, world.owner.key, finalizers)
    await world.refresh()
    await world.cluster.delete(world.owner)
    assert world.owner.deleting
    await world.api.merge_patch(WIDGET, world.owner.key, {"metadata": {"finalizers": None}})
    await world.refresh()
    assert world.store.get(world.key(WIDGET)) is None


async def test_a_status_costs_one_write_and_its_repetition_none(world: World) -> None:
    def status(message: str, at: str) -> Body:
        condition = {"type": "Ready", "status": "True", "message": message, "lastTransitionTime": at}
        return {"phase": "Ready", "conditions": [condition], "tools": {"names": []}}

    before = world.api.writes
    await world.cluster.write_status(world.owner, status("m", "2030-01-01T00:00:00Z"))
    await world.cluster.write_status(world.owner, status("m", "2030-01-02T00:00:00Z"))
    again = await World.restarted(world.api, world.namespace)
    await again.cluster.write_status(again.owner, status("m", "2030-01-03T00:00:00Z"))
    assert world.api.writes - before == 1
    assert (await world.live(WIDGET))["status"] == status("m", "2030-01-01T00:00:00Z")


ODD_TEXT = "🚀 \x7f \x85 \x9f \u2028 \ufeff \uffff \\ud83d \t \n \x01 é"


async def test_any_text_survives_an_apply(world: World) -> None:
    """A server's last words may be anything."""
    desired = world.desired()
    desired[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = ODD_TEXT
    await world.writes_of_one_pass(desired)
    assert await world.writes_of_one_pass(desired) == 0
    await world.cluster.write_status(world.owner, {"message": ODD_TEXT})
    assert (await world.live(WIDGET))["status"] == {"message": ODD_TEXT}


async def test_a_status_field_that_is_left_out_goes(world: World) -> None:
    await world.cluster.write_status(world.owner, {"phase": "Ready", "endpoint": "x"})
    await world.cluster.write_status(world.owner, {"phase": "Failed"})
    assert (await world.live(WIDGET))["status"] == {"phase": "Failed"}


async def test_the_status_of_a_successor_is_not_touched(world: World) -> None:
    old = world.owner
    await world.cluster.delete(old)
    await make_widget(world.api, world.namespace)
    with pytest.raises(Conflict):
        await world.cluster.write_status(old, {"phase": "Ready"})
    assert "status" not in await world.live(WIDGET)


async def test_a_namespace_that_is_going_away_is_a_conflict(world: World) -> None:
    space = await world.api.get(NAMESPACE, Key("Namespace", "", world.namespace))
    assert space is not None
    await world.api.delete(NAMESPACE, Key("Namespace", "", world.namespace), uid=space["metadata"]["uid"])
    with pytest.raises(Conflict):
        await world.writes_of_one_pass()


async def test_a_quota_is_a_refusal_with_the_servers_words(world: World) -> None:
    quota = Kind("", "v1", "resourcequotas", "ResourceQuota")
    manifest = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": world.namespace},
        "spec": {"hard": {"services": "0"}},
    }
    await world.api.create(quota, manifest)

    async def create_until_refused() -> None:
        for number in range(1000):  # the API server's admission hears of a new quota a little later
            await world.api.create(SERVICE, world.child(SERVICE, {"ports": [{"port": 80}]}, name=f"s{number}"))

    with pytest.raises(Forbidden, match="quota"):
        await create_until_refused()


async def test_a_kind_that_is_not_installed_is_not_served(api: KubeApi) -> None:
    with pytest.raises(NotServed):
        await api.list(Kind("test.vsm-mcp.io", "v1", "gadgets", "Gadget"))


async def test_pages_are_one_consistent_listing(api: KubeApi, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"c{number}", "namespace": namespace, "labels": {"of": "test"}},
        }
        await api.create(CONFIG_MAP, manifest)
    monkeypatch.setattr(client_module, "PAGE_SIZE", 3)
    pages = [page async for page in api.pages(CONFIG_MAP, namespace=namespace, selector="of=test")]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert len({page.resource_version for page in pages}) == 1
    assert pages[0].resource_version > 0


async def test_events_are_accepted(world: World) -> None:
    clock = SystemClock()
    recorder = EventRecorder(world.api, fence=Unfenced(), instance="tests", now=clock.now, monotonic=clock.monotonic)
    recorder.record(WIDGET, world.owner, reason="Started", note="hello", action="Start")
    await recorder.post(recorder._queue.get_nowait())
    (event,) = (await world.api.list(EVENT, namespace=world.namespace)).items
    assert (event["note"], event["regarding"]["uid"]) == ("hello", world.owner.uid)
