"""What is watched, what is kept of it, and whose look it asks for. RBAC follows from this list (permissions.py)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vsm_operator.api.v1alpha1 import MCP_SERVER, McpServerSpec
from vsm_operator.controllers.intake import BUNDLE_INDEX, POD_INDEX, WANTED_INDEX, project_job
from vsm_operator.controllers.mcpserver.reconciler import INSTANCE_INDEX
from vsm_operator.controllers.podfacts import project_pod
from vsm_operator.domain.intake import IntakeRequest
from vsm_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, JOB, NETWORK_POLICY, POD, SERVICE, Key
from vsm_operator.kube.snapshot import Snapshot
from vsm_operator.resources.common import LABEL_COMPONENT, LABEL_INSTANCE
from vsm_operator.resources.intakejob import LABEL_INTAKE_KEY, intake_job_name
from vsm_operator.runtime.router import Watch, intent_changed
from vsm_operator.runtime.store import Store, keep_spec
from vsm_operator.settings import Settings


def watches(settings: Settings) -> Sequence[Watch]:
    """Servers and their children where servers may live, intake Jobs at home, pods in both."""
    places = settings.watch_namespaces
    everywhere = tuple(dict.fromkeys((*places, settings.namespace))) if places else ()

    def server_keys(_store: Store, snapshot: Snapshot) -> Iterable[Key]:
        """Itself, and the Job that it wants or wanted: nobody else tells a Job that it is not wanted any more."""
        yield snapshot.key
        for wanted in wanted_keys(settings, snapshot):
            yield JOB.key(settings.namespace, intake_job_name(wanted))

    return (
        Watch(kind=MCP_SERVER, keys=server_keys, changed=intent_changed, selector=None, namespaces=places),
        Watch(kind=DEPLOYMENT, namespaces=places),
        Watch(kind=SERVICE, project=keep_spec, namespaces=places),
        Watch(kind=CONFIG_MAP, project=_project_config_map, namespaces=places),
        Watch(kind=NETWORK_POLICY, project=keep_spec, namespaces=places),
        Watch(kind=JOB, project=project_job, keys=_job_keys, namespaces=(settings.namespace,)),
        Watch(kind=POD, project=project_pod, keys=_pod_keys, namespaces=everywhere),
    )


def _project_config_map(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": body["data"]} if body.get("data") else {}


def add_indexes(store: Store, settings: Settings) -> None:
    """The look-ups that the controllers use."""
    store.add_index(MCP_SERVER, BUNDLE_INDEX, _bundle_keys)
    store.add_index(MCP_SERVER, WANTED_INDEX, lambda snapshot: wanted_keys(settings, snapshot))
    store.add_index(POD, POD_INDEX, _intake_keys)
    store.add_index(POD, INSTANCE_INDEX, _instances)


def wanted_keys(settings: Settings, server: Snapshot) -> tuple[str, ...]:
    """The key of the intake that a server's spec asks for; none for images and for specs that cannot be read."""
    try:
        package = McpServerSpec.read(server.spec).source.package()
    except ValueError:
        return ()
    return (IntakeRequest.of(package, registries=settings.registries).key,) if package else ()


def _bundle_keys(server: Snapshot) -> tuple[str, ...]:
    bundle = server.status.get("bundle")
    return (bundle["key"],) if bundle and "key" in bundle else ()


def _intake_keys(snapshot: Snapshot) -> tuple[str, ...]:
    key = snapshot.labels.get(LABEL_INTAKE_KEY)
    return (key,) if key else ()


def _instances(pod: Snapshot) -> tuple[str, ...]:
    instance = pod.labels.get(LABEL_INSTANCE)
    belongs = instance and pod.labels.get(LABEL_COMPONENT) == "server"
    return (f"{pod.key.namespace}/{instance}",) if belongs else ()


def _job_keys(store: Store, job: Snapshot) -> Iterable[Key]:
    """Itself, and every server that waits for it."""
    yield job.key
    yield from _waiting(store, job)


def _pod_keys(store: Store, pod: Snapshot) -> Iterable[Key]:
    for instance in _instances(pod):
        namespace, _, name = instance.partition("/")
        yield MCP_SERVER.key(namespace, name)
    yield from _waiting(store, pod)


def _waiting(store: Store, snapshot: Snapshot) -> Iterable[Key]:
    for key in _intake_keys(snapshot):
        for server in store.find(MCP_SERVER, WANTED_INDEX, key):
            yield server.key
