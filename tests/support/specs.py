"""Specs of McpServers that are accepted or refused, as data: the unit tier asks the models, the apiserver tier asks Kubernetes.

`refused` is a part of the API server's message; None means accepted. `by_models` says whether reading the spec with the
pydantic models and PackageRef refuses it as well: rules across fields are CEL, so only the API server knows them.
"""

from dataclasses import dataclassX
from typing import Any

Spec = dict[str, Any]

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = f"registry.example.com/team/server@{DIGEST}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One McpServer as a user would write it."""

    name: str
    """In words; the test's id."""
    spec: Spec
    refused: str | None = None
    by_models: bool = False
    server_name: str = "case"
    """metadata.name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An update of a spec that was accepted."""

    name: str
    before: Spec
    after: Spec
    refused: str | None = None


def npm(package: str = "mcp-server", version: str = "1.2.3", **fields: Any) -> Spec:
    """The shortest npm spec, with more fields beside the source."""
    return {"source": {"npm": {"package": package, "version": version}}, **fields}


def pypi(package: str = "mcp-server", version: str = "1.2.3", **fields: Any) -> Spec:
    return {"source": {"pypi": {"package": package, "version": version}}, **fields}


def image(ref: str = IMAGE, **fields: Any) -> Spec:
    return {"source": {"image": {"ref": ref}}, "command": ["/server"], **fields}


def http(**fields: Any) -> Spec:
    return {"source": {"image": {"ref": IMAGE}}, "transport": "streamable-http", **fields}


def _storage(**fields: Any) -> Spec:
    return npm(storage=[{"name": "data", "mountPath": "/data", "emptyDir": {}} | fields])


def _peer(**fields: Any) -> Spec:
    return npm(network={"allowFrom": [fields]})


def _resources(*, requests: Spec | None = None, limits: Spec | None = None) -> Spec:
    given = {"requests": requests, "limits": limits}
    return npm(resources={name: value for name, value in given.items() if value is not None})


ACCEPTED = (
    Case(name="npm package", spec=npm("server-memory", "2025.9.25")),
    Case(name="scoped npm package", spec=npm("@modelcontextprotocol/server-memory", "0.6.3")),
    Case(name="npm name of one letter", spec=npm("a")),
    Case(name="npm name of 214 characters", spec=npm("a" * 214)),
    Case(name="npm name with dots, dashes and underscores", spec=npm("@a.b/c-d_e.f")),
    Case(name="npm prerelease with build", spec=npm(version="1.0.0-beta.1+build.5")),
    Case(name="pypi package", spec=pypi("mcp-server-time", "2025.9.25")),
    Case(name="pypi name in upper case", spec=pypi("PyYAML", "6.0.3")),
    Case(name="pypi version of one number", spec=pypi(version="7")),
    Case(name="pypi epoch, prerelease, post and dev", spec=pypi(version="1!2.0rc1.post2.dev3")),
    Case(name="stdio image with command", spec=image()),
    Case(name="image with port in the registry", spec=image(f"localhost:5000/a@{DIGEST}")),
    Case(name="image with tag and digest", spec=image(f"example.com/a:1.2@{DIGEST}")),
    Case(name="http image", spec=http(port=8000, path="/mcp")),
    Case(name="http image without path", spec=http(port=8000)),
    Case(name="everything at once", spec=npm(
        command=["node", "/bundle/node_modules/mcp-server/index.js"],
        args=["--root", "/data", "$(rm -rf /)", ""],
        env=[
            {"name": "LEVEL", "value": "info"},
            {"name": "EMPTY", "value": ""},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "a.b-c", "optional": True}}},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "modes", "key": "mode"}}},
        ],
        resources={"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}},
        network={"allowFrom": [
            {"podSelector": {"matchLabels": {"app": "agent"}}, "namespaceSelector": {}},
            {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ]},
        storage=[
            {"name": "data", "mountPath": "/data", "persistentVolumeClaim": {"claimName": "data"}, "readOnly": True},
            {"name": "scratch", "mountPath": "/home/mcp/work", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        replicas=3,
        suspend=True,
    )),  # fmt: skip
    Case(name="name of 52 characters", spec=npm(), server_name="n" * 52),
    Case(name="name that starts with a digit", spec=npm(), server_name="7zip"),
    Case(name="request equal to its limit in other words", spec=_resources(requests={"cpu": "0.5"}, limits={"cpu": "500m"})),
    Case(name="request as a number below a limit in thousandths", spec=_resources(requests={"cpu": 1}, limits={"cpu": "1500m"})),
    Case(name="request in bytes below a limit in mebibytes", spec=_resources(requests={"memory": 1048576}, limits={"memory": "1Mi"})),
    Case(name="request of one resource and limit of another", spec=_resources(requests={"cpu": 2}, limits={"memory": "1Gi"})),
    Case(name="request of nothing", spec=_resources(requests={"cpu": 0})),
    Case(name="mount beside a reserved path of a similar name", spec=_storage(mountPath="/running")),
    Case(name="mount in a hidden folder", spec=_storage(mountPath="/data/.cache")),
    Case(name="any peer of any namespace", spec=_peer(namespaceSelector={})),
)  # fmt: skip

_NPM_PACKAGE = "spec.source.npm.package"
_NPM_VERSION = "spec.source.npm.version"
_PYPI_PACKAGE = "spec.source.pypi.package"
_PYPI_VERSION = "spec.source.pypi.version"
_IMAGE_REF = "spec.source.image.ref"

_BAD_NPM_NAMES = {
    "shell command": "a;rm -rf /",
    "command substitution": "$(reboot)",
    "backquotes": "`reboot`",
    "pipe": "a|b",
    "glob": "a*",
    "home folder": "~root",
    "path upwards": "../x",
    "path upwards behind a scope": "@a/../b",
    "absolute path": "/etc/passwd",
    "hidden name": ".hidden",
    "option": "--flag",
    "short option": "-g",
    "scope without name": "@scope/",
    "scope alone": "@scope",
    "empty scope": "@/name",
    "two slashes": "@a/b/c",
    "name without scope mark": "a/b",
    "empty": "",
    "blank": " ",
    "blank inside": "a b",
    "trailing newline": "left-pad\n",
    "two lines": "left-pad\nrm",
    "null character": "left\x00pad",
    "upper case": "Left-Pad",
    "cyrillic confusable": "l\u0435ft-pad",
    "full width confusable": "\uff4ceft-pad",
    "zero width joiner": "left\u200dpad",
    "right to left override": "left\u202epad",
    "combining accent": "le\u0301ft-pad",
    "version in the name": "left-pad@1.3.0",
    "alias": "npm:left-pad",
    "git url": "git+https://example.com/a.git",
    "http url": "https://example.com/a.tgz",
    "file url": "file:../a",
    "percent encoding": "a%2fb",
    "300 characters": "a" * 300,
}
_BAD_NPM_VERSIONS = {
    "caret range": "^1.2.3",
    "tilde range": "~1.2.3",
    "comparison": ">=1.2.3",
    "wildcard": "1.x",
    "star": "*",
    "two versions": "1.2.3 || 2.0.0",
    "tag": "latest",
    "empty": "",
    "two numbers": "1.2",
    "leading v": "v1.2.3",
    "leading zero": "01.2.3",
    "git url": "git+ssh://git@example.com/a.git",
    "http url": "https://example.com/a.tgz",
    "file url": "file:a.tgz",
    "option": "--tag=latest",
    "shell command": "1.2.3;reboot",
    "trailing newline": "1.2.3\n",
    "arabic digits": "\u0661.2.3",
    "200 characters": "1.2.3-" + "a" * 200,
}
_BAD_PYPI_NAMES = {
    "shell command": "a;rm -rf /",
    "path upwards": "../x",
    "option": "--index-url",
    "extras": "a[b]",
    "version in the name": "a==1.0",
    "direct reference": "a @ https://example.com/a.whl",
    "dot at the end": "a.",
    "underscore at the start": "_a",
    "scope": "@a/b",
    "empty": "",
    "cyrillic confusable": "r\u0435quests",
    "trailing newline": "requests\n",
    "300 characters": "a" * 300,
}
_BAD_PYPI_VERSIONS = {
    "range": ">=1.0",
    "compatible release": "~=1.0",
    "wildcard": "1.*",
    "local version": "1.0+local",
    "not canonical": "1.0-rc1",
    "leading v": "v1.0",
    "tag": "latest",
    "empty": "",
    "environment marker": "1.0; python_version<'4'",
    "url": "https://example.com/a.whl",
    "option": "--pre",
    "trailing newline": "1.0\n",
}
_BAD_IMAGES = {
    "tag without digest": "example.com/a:1.2",
    "no tag and no digest": "example.com/a",
    "short digest": "example.com/a@sha256:abc",
    "digest in upper case": f"example.com/a@{DIGEST.upper()}",
    "other digest": "example.com/a@sha512:" + "0" * 128,
    "option": f"--privileged@{DIGEST}",
    "url": f"https://example.com/a@{DIGEST} --rm",
    "path upwards": f"../a@{DIGEST}",
    "blank": f"example.com/a b@{DIGEST}",
    "600 characters": "a" * 600 + f"@{DIGEST}",
}
_BAD_MOUNTS_BY_PATTERN = {
    "relative": "data",
    "root": "/",
    "path upwards": "/data/../etc",
    "path upwards at the end": "/data/..",
    "detour to a reserved path": "/./bundle",
    "trailing slash": "/data/",
    "blank": "/da ta",
    "colon": "/data:ro",
    "300 characters": "/" + "a" * 300,
}
_RESERVED_MOUNTS = {
    "bundle": "/bundle",
    "inside the bundle": "/bundle/bin",
    "sockets": "/run/mcp",
    "passwd": "/etc/passwd",
    "proc": "/proc",
    "dev": "/dev/shm",
    "launcher": "/opt/vsm",
    "parent of the launcher": "/opt",
    "home": "/home/mcp",
    "parent of home": "/home",
    "scratch": "/tmp",
}
_ONE_SOURCE = "set exactly one of npm, pypi and image"
_PEER = "set podSelector, namespaceSelector or both, or ipBlock alone"
_TOO_MUCH = "a request cannot be larger than its limit"
_UNKNOWN_RESOURCE = "known resources are cpu, memory and ephemeral-storage"
_NO_LIMIT = "a limit of 0 would be no limit at all"
_NO_PORT = "needs port"
_NO_HTTP = "port and path belong to transport streamable-http"

REFUSED = (
    *(
        Case(name=f"npm name: {name}", spec=npm(text), refused=_NPM_PACKAGE, by_models=True)
        for name, text in _BAD_NPM_NAMES.items()
    ),
    *(
        Case(name=f"npm version: {name}", spec=npm(version=text), refused=_NPM_VERSION, by_models=True)
        for name, text in _BAD_NPM_VERSIONS.items()
    ),
    *(
        Case(name=f"pypi name: {name}", spec=pypi(text), refused=_PYPI_PACKAGE, by_models=True)
        for name, text in _BAD_PYPI_NAMES.items()
    ),
    *(
        Case(name=f"pypi version: {name}", spec=pypi(version=text), refused=_PYPI_VERSION, by_models=True)
        for name, text in _BAD_PYPI_VERSIONS.items()
    ),
    *(
        Case(name=f"image: {name}", spec=image(text), refused=_IMAGE_REF, by_models=True)
        for name, text in _BAD_IMAGES.items()
    ),
    *(
        Case(name=f"mount: {name}", spec=_storage(mountPath=text), refused="spec.storage[0].mountPath", by_models=True)
        for name, text in _BAD_MOUNTS_BY_PATTERN.items()
    ),
    *(
        Case(name=f"reserved mount: {name}", spec=_storage(mountPath=text), refused="this path belongs to the pod itself")
        for name, text in _RESERVED_MOUNTS.items()
    ),
    Case(name="no spec at all", spec={}, refused="spec.source", by_models=True),
    Case(name="no source", spec={"source": {}}, refused=_ONE_SOURCE),
    Case(
        name="two sources",
        spec={"source": {"npm": {"package": "a", "version": "1.0.0"}, "pypi": {"package": "a", "version": "1.0.0"}}},
        refused=_ONE_SOURCE,
    ),
    Case(name="package and image", spec={"source": npm()["source"] | image()["source"]}, refused=_ONE_SOURCE),
    Case(
        name="npm package without version", spec={"source": {"npm": {"package": "a"}}}, refused=_NPM_VERSION, by_models=True
    ),
    Case(name="version as a number", spec={"source": {"npm": {"package": "a", "version": 1}}}, refused=_NPM_VERSION, by_models=True),
    Case(name="http without port", spec=http(), refused=_NO_PORT),
    Case(name="port of a stdio server", spec=npm(port=8000), refused=_NO_HTTP),
    Case(name="path of a stdio server", spec=npm(transport="stdio", path="/mcp"), refused=_NO_HTTP),
    Case(name="unknown transport", spec=npm(transport="sse"), refused="spec.transport", by_models=True),
    Case(name="privileged port", spec=http(port=80), refused="spec.port", by_models=True),
    Case(name="port beyond the last", spec=http(port=70000), refused="spec.port", by_models=True),
    Case(name="path with a query", spec=http(port=8000, path="/mcp?a=b"), refused="spec.path", by_models=True),
    Case(name="path to another host", spec=http(port=8000, path="@example.com/"), refused="spec.path", by_models=True),
    Case(name="request larger than its limit", spec=_resources(requests={"memory": "2Gi"}, limits={"memory": "1Gi"}), refused=_TOO_MUCH),
    Case(name="request as a number larger than a limit in thousandths", spec=_resources(requests={"cpu": 1}, limits={"cpu": "500m"}), refused=_TOO_MUCH),
    Case(name="request in thousandths larger than a limit with a fraction", spec=_resources(requests={"cpu": "501m"}, limits={"cpu": "0.5"}), refused=_TOO_MUCH),
    Case(name="request with a fraction larger than a limit as a number", spec=_resources(requests={"cpu": "1.5"}, limits={"cpu": 1}), refused=_TOO_MUCH),
    Case(name="request in mebibytes larger than a limit in megabytes", spec=_resources(requests={"memory": "100Mi"}, limits={"memory": "100M"}), refused=_TOO_MUCH),
    Case(name="unknown resource in limits", spec=_resources(limits={"nvidia.com/gpu": 1}), refused=_UNKNOWN_RESOURCE),
    Case(name="unknown resource in requests", spec=_resources(requests={"hugepages-2Mi": "2Mi"}), refused=_UNKNOWN_RESOURCE),
    Case(name="limit of zero", spec=_resources(limits={"memory": 0}), refused=_NO_LIMIT),
    Case(name="limit of zero with a unit", spec=_resources(limits={"cpu": "0m"}), refused=_NO_LIMIT),
    Case(name="negative limit as a number", spec=_resources(limits={"cpu": -1}), refused="spec.resources.limits.cpu", by_models=True),
    Case(name="negative limit", spec=_resources(limits={"cpu": "-1"}), refused="spec.resources.limits.cpu", by_models=True),
    Case(name="limit in words", spec=_resources(limits={"memory": "lots"}), refused="spec.resources.limits.memory", by_models=True),
    Case(name="limit with a float", spec=_resources(limits={"cpu": 0.5}), refused="spec.resources.limits.cpu", by_models=True),
    Case(
        name="env with value and valueFrom",
        spec=npm(env=[{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        refused="set value or valueFrom, not both",
    ),
    Case(name="env from nothing", spec=npm(env=[{"name": "A", "valueFrom": {}}]), refused="set one of secretKeyRef and configMapKeyRef"),
    Case(name="env name with a dash", spec=npm(env=[{"name": "A-B", "value": "c"}]), refused="spec.env[0].name", by_models=True),
    Case(name="env name twice", spec=npm(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), refused="Duplicate value"),
    Case(name="65 variables", spec=npm(env=[{"name": f"A{number}", "value": "1"} for number in range(65)]), refused="spec.env", by_models=True),
    Case(
        name="secret of another folder",
        spec=npm(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "../s", "key": "k"}}}]),
        refused="secretKeyRef.name",
        by_models=True,
    ),
    Case(name="ipBlock with a selector", spec=_peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}), refused=_PEER),
    Case(name="ipBlock with a namespace", spec=_peer(ipBlock={"cidr": "10.0.0.0/8"}, namespaceSelector={}), refused=_PEER),
    Case(name="empty peer", spec=_peer(), refused=_PEER),
    Case(
        name="unknown operator",
        spec=_peer(podSelector={"matchExpressions": [{"key": "a", "operator": "Like"}]}),
        refused="operator",
        by_models=True,
    ),
    Case(name="33 peers", spec=npm(network={"allowFrom": [{"podSelector": {}}] * 33}), refused="spec.network.allowFrom", by_models=True),
    Case(name="volume of two sorts", spec=_storage(persistentVolumeClaim={"claimName": "c"}), refused="set one of emptyDir, persistentVolumeClaim"),
    Case(
        name="volume of no sort",
        spec=npm(storage=[{"name": "data", "mountPath": "/data"}]),
        refused="set one of emptyDir, persistentVolumeClaim",
    ),
    Case(name="unlimited scratch", spec=_storage(emptyDir={"sizeLimit": 0}), refused="a sizeLimit of 0 would be no limit at all"),
    Case(
        name="volume name twice",
        spec=npm(storage=[{"name": "a", "mountPath": path, "emptyDir": {}} for path in ("/a", "/b")]),
        refused="Duplicate value",
    ),
    Case(name="volume name with a slash", spec=_storage(name="a/b"), refused="spec.storage[0].name", by_models=True),
    Case(name="no replicas", spec=npm(replicas=0), refused="spec.replicas", by_models=True),
    Case(name="21 replicas", spec=npm(replicas=21), refused="spec.replicas", by_models=True),
    Case(name="65 words of command", spec=npm(command=["a"] * 65), refused="spec.command", by_models=True),
    Case(name="argument of 5000 characters", spec=npm(args=["a" * 5000]), refused="spec.args[0]", by_models=True),
    Case(name="command as one string", spec=npm(command="node index.js"), refused="spec.command", by_models=True),
    Case(name="name of 53 characters", spec=npm(), server_name="n" * 53, refused="metadata.name"),
    Case(name="name with a dot", spec=npm(), server_name="a.b", refused="metadata.name cannot contain a dot"),
    Case(name="name in upper case", spec=npm(), server_name="Web", refused="metadata.name"),
)  # fmt: skip

CASES = (*ACCEPTED, *REFUSED)

_IMMUTABLE_PACKAGE = "the package is immutable"
_IMMUTABLE_KIND = "the kind of source is immutable"
CHANGES = (
    Change(name="version of an npm package", before=npm(), after=npm(version="1.2.4")),
    Change(name="version of a pypi package", before=pypi(), after=pypi(version="1.2.4")),
    Change(name="image", before=image(), after=image(f"example.com/other@{DIGEST}")),
    Change(name="suspend and back", before=npm(suspend=True), after=npm()),
    Change(name="npm package", before=npm(), after=npm("other"), refused=_IMMUTABLE_PACKAGE),
    Change(name="pypi package", before=pypi(), after=pypi("other"), refused=_IMMUTABLE_PACKAGE),
    Change(name="npm to pypi", before=npm(), after=pypi(), refused=_IMMUTABLE_KIND),
    Change(name="npm to image", before=npm(), after=image(), refused=_IMMUTABLE_KIND),
    Change(name="image to pypi", before=image(), after=pypi(), refused=_IMMUTABLE_KIND),
)
