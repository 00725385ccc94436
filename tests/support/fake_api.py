"""An API server in memory, behind httpx.MockTransport: versions, uids, apply, status, preconditions, faults.

What it knows of server-side apply: the applied fields are merged in, what the same manager applied before and leaves
out now goes, a write that changes nothing keeps the version, and managedFields say who applied or wrote what. It
neither defaults nor validates; tests/apiserver has the real one.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any
from urllib.parse import unquote

import httpx

from vsm_operator.kube.auth import Credentials
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import Key, Kind

Body = dict[str, Any]
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>status))?"
)


class FakeApiServer:
    """`fault(request)` may return a response, or raise an httpx error, instead of what would happen."""

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = {(kind.group, kind.plural): kind for kind in kinds}
        self.objects: dict[Key, Body] = {}
        self._applied: dict[tuple[Key, str, str], Body] = {}
        self.version = 100
        self._uids = 0
        self.requests: list[httpx.Request] = []
        self.fault: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.watcher: Callable[[Kind, str, Body], None] = lambda *_: None
        """Told of every change, like a watch without delay."""
        self.admission: Callable[[Kind, Body], None] = lambda *_: None
        """Changes what is about to be stored, like a webhook or a schema that prunes."""

    def api(self, **options: Any) -> KubeApi:
        return KubeApi(
            Credentials(server="https://cluster.test"), transport=httpx.MockTransport(self.handle), **options
        )

    @property
    def writes(self) -> list[str]:
        """Mutating requests so far, as "PATCH deployments/web"."""
        return [
            f"{request.method} {'/'.join(str(request.url.path).split('/')[-2:])}"
            for request in self.requests
            if request.method != "GET"
        ]

    def put(self, kind: Kind, body: Mapping[str, Any], *, manager: str = "somebody") -> Body:
        """Somebody creates or overwrites an object."""
        key = kind.key_of(body)
        old = self.objects.get(key)
        return self._store(kind, key, old, deepcopy(dict(body)), manager=manager, operation="Update")

    def edit(self, kind: Kind, key: Key, change: Callable[[Body], None], *, manager: str = "kubectl-edit") -> Body:
        """Somebody edits an object by hand."""
        body = deepcopy(self.objects[key])
        change(body)
        return self._store(kind, key, self.objects[key], body, manager=manager, operation="Update")

    def remove(self, kind: Kind, key: Key) -> None:
        """Somebody deletes an object."""
        body = self.objects.pop(key)
        for slot in [slot for slot in self._applied if slot[0] == key]:
            del self._applied[slot]
        self.version += 1
        self.watcher(kind, "DELETED", {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}})

    def handle(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - one return a verb
        self.requests.append(request)
        answer = self.fault(request)
        if answer is not None:
            return answer
        match = _PATH.fullmatch(request.url.path)
        kind = self._kinds.get((match["group"] or "", match["plural"])) if match else None
        if match is None or kind is None:
            return failure(404, "NotFound", "the server could not find the requested resource")
        namespace, name = match["namespace"] or "", unquote(match["name"] or "")
        content = json.loads(request.content) if request.content else {}
        if not name:
            return self._create(kind, namespace, content) if request.method == "POST" else self._list(kind, request)
        key = kind.key(namespace, name)
        match request.method:
            case "GET":
                found = self.objects.get(key)
                return answered(found) if found else failure(404, "NotFound", f"{key} not found")
            case "PATCH":
                return self._patch(kind, key, request, content, subresource=match["sub"] or "")
            case "PUT":
                return self._replace(kind, key, content)
            case "DELETE":
                return self._delete(kind, key, content)
        return failure(405, "MethodNotAllowed", request.method)

    def _list(self, kind: Kind, request: httpx.Request) -> httpx.Response:
        parameters = request.url.params
        namespace = (
            request.url.path.split("/namespaces/")[1].split("/")[0] if "/namespaces/" in request.url.path else ""
        )
        wanted = dict(part.split("=") for part in parameters.get("labelSelector", "").split(",") if part)
        found = [
            {name: value for name, value in body.items() if name not in {"kind", "apiVersion"}}
            for key, body in sorted(self.objects.items())
            if key.kind == kind.kind
            and namespace in {"", key.namespace}
            and wanted.items() <= body["metadata"].get("labels", {}).items()
        ]
        start = int(parameters.get("continue") or 0)
        limit = int(parameters.get("limit") or len(found) or 1)
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        return answered({"kind": f"{kind.kind}List", "metadata": metadata, "items": found[start : start + limit]})

    def _create(self, kind: Kind, namespace: str, content: Body) -> httpx.Response:
        key = kind.key(namespace, content["metadata"]["name"])
        if key in self.objects:
            return failure(409, "AlreadyExists", f"{key} already exists")
        return answered(self._store(kind, key, None, content, manager="vsm-operator", operation="Update"), 201)

    def _patch(
        self, kind: Kind, key: Key, request: httpx.Request, content: Body, *, subresource: str
    ) -> httpx.Response:
        old = self.objects.get(key)
        if "json-patch" in request.headers["Content-Type"]:
            return self._json_patch(kind, key, old, content)
        if "apply" not in request.headers["Content-Type"]:
            return self._merge_patch(kind, key, old, content)
        if subresource and old is None:
            return failure(404, "NotFound", f"{key} not found")
        version = content["metadata"].pop("resourceVersion", None)
        if version and (old is None or old["metadata"]["resourceVersion"] != version):
            return failure(409, "Conflict", "the object has been modified")
        manager = request.url.params["fieldManager"]
        slot = (key, manager, subresource)
        body = deepcopy(old) if old else {}
        _remove(body, self._applied.get(slot, {}), keep=content)
        _merge(body, content)
        self._applied[slot] = deepcopy(content)
        return answered(
            self._store(
                kind, key, old, body, manager=manager, operation="Apply", subresource=subresource, applied=content
            )
        )

    def _merge_patch(self, kind: Kind, key: Key, old: Body | None, patch: Body) -> httpx.Response:
        if old is None:
            return failure(404, "NotFound", f"{key} not found")
        body = deepcopy(old)
        _merge(body, patch)
        return answered(self._store(kind, key, old, body, manager="patcher", operation="Update"))

    def _json_patch(self, kind: Kind, key: Key, old: Body | None, operations: Any) -> httpx.Response:
        """ "test" and "replace" of fields one or two levels deep."""
        if old is None:
            return failure(404, "NotFound", f"{key} not found")
        body = deepcopy(old)
        for operation in operations:
            *parents, field = operation["path"].strip("/").split("/")
            target = body[parents[0]] if parents else body
            if operation["op"] == "test" and target.get(field) != operation["value"]:
                return failure(422, "Invalid", "the server rejected our request due to an error in our request")
            if operation["op"] == "replace":
                target[field] = deepcopy(operation["value"])
        return answered(self._store(kind, key, old, body, manager="vsm-operator", operation="Update"))

    def _replace(self, kind: Kind, key: Key, content: Body) -> httpx.Response:
        old = self.objects.get(key)
        if old is None:
            return failure(404, "NotFound", f"{key} not found")
        wanted = content["metadata"].get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            return failure(409, "Conflict", "the object has been modified")
        return answered(self._store(kind, key, old, content, manager="vsm-operator", operation="Update"))

    def _delete(self, kind: Kind, key: Key, options: Body) -> httpx.Response:
        old = self.objects.get(key)
        if old is None:
            return failure(404, "NotFound", f"{key} not found")
        uid = options.get("preconditions", {}).get("uid")
        if uid and uid != old["metadata"]["uid"]:
            return failure(409, "Conflict", f"Precondition failed: UID in precondition: {uid}")
        self.remove(kind, key)
        return answered({"kind": "Status", "status": "Success"})

    def _store(
        self,
        kind: Kind,
        key: Key,
        old: Body | None,
        body: Body,
        *,
        manager: str,
        operation: str,
        subresource: str = "",
        applied: Body | None = None,
    ) -> Body:
        self.admission(kind, body)
        if "data" in body and not body["data"]:
            del body["data"]  # an empty map is not stored
        metadata = body["metadata"]
        if old is None:
            self._uids += 1
            metadata |= {"uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": "2030-01-01T00:00:00Z"}
        else:
            kept = ("uid", "generation", "creationTimestamp", "resourceVersion", "managedFields")
            metadata |= {name: old["metadata"][name] for name in kept if name in old["metadata"]}
            if body == old:
                return deepcopy(old)
            metadata["generation"] += body.get("spec") != old.get("spec")
        metadata["managedFields"] = _managed(
            old, body, manager=manager, operation=operation, subresource=subresource, applied=applied
        )
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        body |= {"apiVersion": kind.api_version, "kind": kind.kind}
        self.objects[key] = deepcopy(body)
        self.watcher(kind, "ADDED" if old is None else "MODIFIED", deepcopy(body))
        return deepcopy(body)


def answered(body: Mapping[str, Any], code: int = 200) -> httpx.Response:
    return httpx.Response(code, json=body)


def failure(code: int, reason: str, message: str, **headers: str) -> httpx.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return httpx.Response(code, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _merge(into: Body, patch: Mapping[str, Any]) -> None:
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        elif isinstance(value, list) and _keyed(value) and _keyed(into.get(name)):
            _merge_items(into[name], value)
        else:
            into[name] = deepcopy(value)


def _keyed(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def _merge_items(into: list[Body], items: list[Body]) -> None:
    """Lists keyed by name, as containers and env: items of others stay."""
    for item in items:
        found = next((other for other in into if other["name"] == item["name"]), None)
        if found is None:
            into.append(deepcopy(item))
        else:
            _merge(found, item)


def _remove(body: Any, before: Mapping[str, Any], *, keep: Mapping[str, Any]) -> None:
    for name, value in before.items():
        if name not in body:
            continue
        if name not in keep:
            del body[name]
        elif isinstance(value, dict) and isinstance(keep[name], dict) and isinstance(body[name], dict):
            _remove(body[name], value, keep=keep[name])


def _managed(
    old: Body | None, body: Body, *, manager: str, operation: str, subresource: str, applied: Body | None
) -> list[Body]:
    """Fields of the content only: that is all that anybody here reads."""
    entries = [
        entry
        for entry in (old or {}).get("metadata", {}).get("managedFields", [])
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) != (manager, operation, subresource)
    ]
    fields: Body = {}
    alive: Body = {}
    for part in ("spec", "data"):
        now, before = body.get(part) or {}, (old or {}).get(part) or {}
        fields[f"f:{part}"] = _fields((applied or {}).get(part, {}) if operation == "Apply" else _changed(before, now))
        alive[f"f:{part}"] = _fields(now)
    entry: Body = {"manager": manager, "operation": operation, "fieldsV1": fields}
    if subresource:
        entry["subresource"] = subresource
    return [
        {
            **other,
            "fieldsV1": {part: _intersection(other["fieldsV1"].get(part, {}), alive[part]) for part in alive},
        }
        for other in [*entries, entry]
    ]


def _changed(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        changes = {name: _changed(old.get(name), value) for name, value in new.items() if old.get(name) != value}
        # Where a key only went away there is nothing left to own.
        return {name: change for name, change in changes.items() if change != {}}
    if _keyed(new) and isinstance(old, list):
        known = {item["name"]: item for item in old}
        return [
            {"name": item["name"], **_changed(known.get(item["name"], {}), item)}
            for item in new
            if known.get(item["name"]) != item
        ]
    return new


def _fields(value: Any) -> Body:
    if isinstance(value, dict):
        return {f"f:{name}": _fields(item) for name, item in value.items()}
    if _keyed(value):
        return {f"k:{json.dumps({'name': item['name']})}": {".": {}, **_fields(item)} for item in value}
    return {}


def _intersection(one: Body, other: Body) -> Body:
    """Without what has lost all its leaves: nobody owns an empty shell."""
    alive = {name: (value, _intersection(value, other[name])) for name, value in one.items() if name in other}
    return {name: left for name, (value, left) in alive.items() if left or not value}
