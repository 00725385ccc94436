"""Specs accepted and refused, as data: the unit tier asks the models, the apiserver tier asks Kubernetes.

`refused` is a part of the API server's message; None means accepted. `by_models` says whether reading the spec with the
pydantic models and PackageRef refuses it as well: rules across fields are CEL, so only the API server knows them.
"""

from dataclasses import dataclass
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


def storage(**fields: Any) -> Spec:
    return npm(storage=[{"name": "data", "mountPath": "/data", "emptyDir": {}} | fields])


def peer(**fields: Any) -> Spec:
    return npm(network={"allowFrom": [fields]})


def resources(requests: Spec, limits: Spec) -> Spec:
    return npm(resources={"requests": requests, "limits": limits})


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
    Case(
        name="everything at once",
        spec=npm(
            command=["node", "/bundle/node_modules/mcp-server/index.js"],
            args=["--root", "/data", "$(rm -rf /)", ""],
            env=[
                {"name": "LEVEL", "value": "info"},
                {"name": "EMPTY", "value": ""},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "a.b-c", "optional": True}}},
                {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "modes", "key": "mode"}}},
            ],
            resources={"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}},
            network={
                "allowFrom": [
                    {"podSelector": {"matchLabels": {"app": "agent"}}, "namespaceSelector": {}},
                    {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                ]
            },
            storage=[
                {
                    "name": "data",
                    "mountPath": "/data",
                    "persistentVolumeClaim": {"claimName": "data"},
                    "readOnly": True,
                },
                {"name": "scratch", "mountPath": "/home/mcp/work", "emptyDir": {"sizeLimit": "1Gi"}},
            ],
            replicas=3,
            suspend=True,
            isolation="Shared",
            toolFilter={"allow": ["read_*", "[a-c]*", "say.hi/now"], "deny": ["*_all", "[!a-z]*", "[[]x"]},
            toolPin="Strict",
            limits={
                "requestTimeoutSeconds": 30,
                "maxMessageSize": "1Mi",
                "callsInFlightPerClient": 4,
                "callsPerSecondPerClient": "0.5",
            },
            auth={
                "tokenReview": {
                    "serviceAccountName": "reviewer",
                    "audiences": ["mcp", "https://example.com/x?a=b", "a-b"],
                    "allowed": ["system:serviceaccount:agents:*", "user@example.com"],
                }
            },
        ),
    ),
    Case(
        name="a process for each session",
        spec=npm(isolation="Session", sessions={"maxCount": 64, "idleSeconds": 60, "maxSeconds": 2592000}, replicas=1),
    ),
    Case(name="sessions with their defaults", spec=npm(isolation="Session")),
    Case(name="tokens of a Secret", spec=npm(auth={"tokens": {"secretRef": {"name": "clients"}}})),
    Case(name="token review without bounds", spec=npm(auth={"tokenReview": {"serviceAccountName": "reviewer"}})),
    Case(name="guard of an http server", spec=http(port=8000, toolPin="Off", toolFilter={"deny": ["x"]})),
    Case(name="smallest message", spec=npm(limits={"maxMessageSize": 1024})),
    Case(name="largest message", spec=npm(limits={"maxMessageSize": "64Mi"})),
    Case(name="whole number of calls", spec=npm(limits={"callsPerSecondPerClient": 5})),
    Case(name="one call in a thousand seconds", spec=npm(limits={"callsPerSecondPerClient": "0.001"})),
    Case(name="name of 52 characters", spec=npm(), server_name="n" * 52),
    Case(name="name that starts with a digit", spec=npm(), server_name="7zip"),
    Case(name="request equal to its limit in other words", spec=resources({"cpu": "0.5"}, {"cpu": "500m"})),
    Case(name="request as a number below a limit in thousandths", spec=resources({"cpu": 1}, {"cpu": "1500m"})),
    Case(name="request in bytes below a limit in mebibytes", spec=resources({"memory": 1048576}, {"memory": "1Mi"})),
    Case(name="request of one resource and limit of another", spec=resources({"cpu": 2}, {"memory": "1Gi"})),
    Case(name="request of nothing", spec=resources({"cpu": 0}, {})),
    Case(name="mount beside a reserved path of a similar name", spec=storage(mountPath="/running")),
    Case(name="mount in a hidden folder", spec=storage(mountPath="/data/.cache")),
    Case(name="any peer of any namespace", spec=peer(namespaceSelector={})),
)

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


def _cases(refused: str, specs: dict[str, Spec], *, by_models: bool = False) -> list[Case]:
    return [Case(name=name, spec=spec, refused=refused, by_models=by_models) for name, spec in specs.items()]


_TOO_MUCH = {
    "in the same unit": ({"memory": "2Gi"}, {"memory": "1Gi"}),
    "as a number, limit in thousandths": ({"cpu": 1}, {"cpu": "500m"}),
    "in thousandths, limit with a fraction": ({"cpu": "501m"}, {"cpu": "0.5"}),
    "with a fraction, limit as a number": ({"cpu": "1.5"}, {"cpu": 1}),
    "in mebibytes, limit in megabytes": ({"memory": "100Mi"}, {"memory": "100M"}),
}
_TOKEN = {"secretKeyRef": {"name": "s", "key": "k"}}

REFUSED = (
    *_cases(_NPM_PACKAGE, {f"npm name: {n}": npm(text) for n, text in _BAD_NPM_NAMES.items()}, by_models=True),
    *_cases(
        _NPM_VERSION, {f"npm version: {n}": npm(version=text) for n, text in _BAD_NPM_VERSIONS.items()}, by_models=True
    ),
    *_cases(_PYPI_PACKAGE, {f"pypi name: {n}": pypi(text) for n, text in _BAD_PYPI_NAMES.items()}, by_models=True),
    *_cases(
        _PYPI_VERSION,
        {f"pypi version: {n}": pypi(version=text) for n, text in _BAD_PYPI_VERSIONS.items()},
        by_models=True,
    ),
    *_cases(_IMAGE_REF, {f"image: {n}": image(text) for n, text in _BAD_IMAGES.items()}, by_models=True),
    *_cases(
        "spec.storage[0].mountPath",
        {f"mount: {n}": storage(mountPath=text) for n, text in _BAD_MOUNTS_BY_PATTERN.items()},
        by_models=True,
    ),
    *_cases(
        "this path belongs to the pod itself",
        {f"reserved mount: {n}": storage(mountPath=text) for n, text in _RESERVED_MOUNTS.items()},
    ),
    *_cases(
        "set exactly one of npm, pypi and image",
        {
            "no source": {"source": {}},
            "npm and pypi": {"source": npm()["source"] | pypi()["source"]},
            "npm and image": {"source": npm()["source"] | image()["source"]},
            "all three": {"source": npm()["source"] | pypi()["source"] | image()["source"]},
        },
    ),
    *_cases("spec.source", {"empty spec": {}}, by_models=True),
    *_cases(
        _NPM_VERSION,
        {
            "npm package without version": {"source": {"npm": {"package": "a"}}},
            "npm package with a number for a version": {"source": {"npm": {"package": "a", "version": 1}}},
        },
        by_models=True,
    ),
    *_cases("needs port", {"http without port": http()}),
    *_cases(
        "port and path belong to transport streamable-http",
        {"port of a stdio server": npm(port=8000), "path of a stdio server": npm(transport="stdio", path="/mcp")},
    ),
    *_cases("spec.transport", {"unknown transport": npm(transport="sse")}, by_models=True),
    *_cases("spec.port", {"privileged port": http(port=80), "port beyond the last": http(port=70000)}, by_models=True),
    *_cases(
        "spec.path",
        {
            "path with a query": http(port=8000, path="/mcp?a=b"),
            "path to another host": http(port=8000, path="@example.com/"),
        },
        by_models=True,
    ),
    *_cases(
        "a request cannot be larger than its limit",
        {f"request larger than its limit: {n}": resources(*both) for n, both in _TOO_MUCH.items()},
    ),
    *_cases(
        "known resources are cpu, memory and ephemeral-storage",
        {
            "unknown resource in limits": resources({}, {"nvidia.com/gpu": 1}),
            "unknown resource in requests": resources({"hugepages-2Mi": "2Mi"}, {}),
        },
    ),
    *_cases(
        "a limit of 0 would be no limit at all",
        {"limit of zero": resources({}, {"memory": 0}), "limit of zero with a unit": resources({}, {"cpu": "0m"})},
    ),
    *_cases(
        "spec.resources.limits.cpu",
        {
            "negative limit as a number": resources({}, {"cpu": -1}),
            "negative limit": resources({}, {"cpu": "-1"}),
            "limit in words": resources({}, {"cpu": "lots"}),
            "limit with a float": resources({}, {"cpu": 0.5}),
            "limit with an exponent": resources({}, {"cpu": "1e3"}),
        },
        by_models=True,
    ),
    *_cases(
        "set value or valueFrom, not both",
        {"env with value and valueFrom": npm(env=[{"name": "A", "value": "b", "valueFrom": _TOKEN}])},
    ),
    *_cases(
        "set one of secretKeyRef and configMapKeyRef", {"env from nothing": npm(env=[{"name": "A", "valueFrom": {}}])}
    ),
    *_cases("spec.env[0].name", {"env name with a dash": npm(env=[{"name": "A-B", "value": "c"}])}, by_models=True),
    *_cases(
        "Duplicate value",
        {
            "env name twice": npm(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
            "volume name twice": npm(
                storage=[{"name": "a", "mountPath": path, "emptyDir": {}} for path in ("/a", "/b")]
            ),
        },
    ),
    *_cases(
        "spec.env", {"65 variables": npm(env=[{"name": f"A{n}", "value": "1"} for n in range(65)])}, by_models=True
    ),
    *_cases(
        "secretKeyRef.name",
        {
            "secret of another folder": npm(
                env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "../s", "key": "k"}}}]
            )
        },
        by_models=True,
    ),
    *_cases(
        "set podSelector, namespaceSelector or both, or ipBlock alone",
        {
            "ipBlock with a pod selector": peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}),
            "ipBlock with a namespace selector": peer(ipBlock={"cidr": "10.0.0.0/8"}, namespaceSelector={}),
            "empty peer": peer(),
        },
    ),
    *_cases(
        "operator",
        {"unknown operator": peer(podSelector={"matchExpressions": [{"key": "a", "operator": "Like"}]})},
        by_models=True,
    ),
    *_cases(
        "spec.network.allowFrom", {"33 peers": npm(network={"allowFrom": [{"podSelector": {}}] * 33})}, by_models=True
    ),
    *_cases(
        "set one of emptyDir, persistentVolumeClaim",
        {
            "volume of two sorts": storage(persistentVolumeClaim={"claimName": "c"}),
            "volume of no sort": npm(storage=[{"name": "data", "mountPath": "/data"}]),
        },
    ),
    *_cases(
        "a sizeLimit of 0 would be no limit at all",
        {
            "unlimited scratch": storage(emptyDir={"sizeLimit": 0}),
            "unlimited scratch with a unit": storage(emptyDir={"sizeLimit": "0Gi"}),
        },
    ),
    *_cases("spec.storage[0].name", {"volume name with a slash": storage(name="a/b")}, by_models=True),
    *_cases("spec.replicas", {"no replicas": npm(replicas=0), "21 replicas": npm(replicas=21)}, by_models=True),
    *_cases(
        "spec.command",
        {"65 words of command": npm(command=["a"] * 65), "command as one string": npm(command="node index.js")},
        by_models=True,
    ),
    *_cases(
        "spec.toolFilter",
        {
            "tool glob that is empty": npm(toolFilter={"allow": [""]}),
            "tool glob with a blank": npm(toolFilter={"allow": ["a b"]}),
            "tool glob that a kubelet would expand": npm(toolFilter={"deny": ["$(HOME)"]}),
            "tool glob with an open set": npm(toolFilter={"deny": ["[abc"]}),
            "tool glob of two lines": npm(toolFilter={"allow": ["a\nb"]}),
            "tool glob of 200 characters": npm(toolFilter={"allow": ["a" * 200]}),
            "129 tool globs": npm(toolFilter={"allow": ["a"] * 129}),
        },
        by_models=True,
    ),
    *_cases("spec.toolPin", {"unknown pin": npm(toolPin="Sometimes")}, by_models=True),
    *_cases("spec.isolation", {"unknown isolation": npm(isolation="session")}, by_models=True),
    *_cases(
        "isolation Session needs transport stdio",
        {"sessions of an http server": http(port=8000, isolation="Session")},
    ),
    *_cases(
        "isolation Session needs replicas 1",
        {"sessions in two pods": npm(isolation="Session", replicas=2)},
    ),
    *_cases(
        "sessions belong to isolation Session",
        {
            "sessions of a shared server": npm(isolation="Shared", sessions={}),
            "sessions without isolation": npm(sessions={"maxCount": 2}),
        },
    ),
    *_cases(
        "idleSeconds cannot be larger than maxSeconds",
        {
            "idle longer than at all": npm(isolation="Session", sessions={"idleSeconds": 61, "maxSeconds": 60}),
            "default idle longer than at all": npm(isolation="Session", sessions={"maxSeconds": 60}),
        },
    ),
    *_cases(
        "spec.sessions",
        {
            "no sessions": npm(isolation="Session", sessions={"maxCount": 0}),
            "65 sessions": npm(isolation="Session", sessions={"maxCount": 65}),
            "sessions without end": npm(isolation="Session", sessions={"maxSeconds": 2592001}),
        },
        by_models=True,
    ),
    *_cases(
        "a message may be limited to something from 1Ki to 64Mi",
        {
            "message of nothing": npm(limits={"maxMessageSize": 0}),
            "message of 1023 bytes": npm(limits={"maxMessageSize": "1023"}),
            "message of 65 mebibytes": npm(limits={"maxMessageSize": "65Mi"}),
        },
        by_models=True,
    ),
    *_cases(
        "a rate of 0 would let no call through",
        {
            "no call at all": npm(limits={"callsPerSecondPerClient": 0}),
            "no call at all, as text": npm(limits={"callsPerSecondPerClient": "0.000"}),
        },
        by_models=True,
    ),
    *_cases(
        "spec.limits",
        {
            "negative rate": npm(limits={"callsPerSecondPerClient": "-1"}),
            "rate in words": npm(limits={"callsPerSecondPerClient": "many"}),
            "rate with an exponent": npm(limits={"callsPerSecondPerClient": "1e3"}),
            "timeout of nothing": npm(limits={"requestTimeoutSeconds": 0}),
            "timeout of two hours": npm(limits={"requestTimeoutSeconds": 7200}),
            "no calls in flight": npm(limits={"callsInFlightPerClient": 0}),
        },
        by_models=True,
    ),
    *_cases(
        "set tokens or tokenReview",
        {
            "auth by nothing": npm(auth={}),
            "auth by two things": npm(
                auth={"tokens": {"secretRef": {"name": "a"}}, "tokenReview": {"serviceAccountName": "b"}}
            ),
        },
    ),
    *_cases(
        "spec.auth",
        {
            "token review by nobody": npm(auth={"tokenReview": {}}),
            "tokens of no Secret": npm(auth={"tokens": {}}),
            "Secret with a path": npm(auth={"tokens": {"secretRef": {"name": "../x"}}}),
            "two audiences in one": npm(auth={"tokenReview": {"serviceAccountName": "a", "audiences": ["a,b"]}}),
            "audience that a kubelet would expand": npm(
                auth={"tokenReview": {"serviceAccountName": "a", "audiences": ["$(HOME)"]}}
            ),
            "user with a blank": npm(auth={"tokenReview": {"serviceAccountName": "a", "allowed": ["a b"]}}),
        },
        by_models=True,
    ),
    *_cases("spec.args[0]", {"argument of 5000 characters": npm(args=["a" * 5000])}, by_models=True),
    Case(name="name of 53 characters", spec=npm(), server_name="n" * 53, refused="metadata.name"),
    Case(name="name with a dot", spec=npm(), server_name="a.b", refused="metadata.name cannot contain a dot"),
    Case(name="name in upper case", spec=npm(), server_name="Web", refused="metadata.name"),
)

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
