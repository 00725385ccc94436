"""vsm-mcp.io/v1alpha1: the McpServer.

A field is here because some code reads it; defaults are stated in descriptions and live in the model, not in the
stored object. Patterns stay within RE2, bounds exist on every string, list and map so that CEL can cost its rules.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vsm_operator.api.conditions import Condition
from vsm_operator.api.model import Atomic, ListMapByName, ListMapByType, Model, Quantity, Text
from vsm_operator.api.schema import Extension, cel, rules
from vsm_operator.domain import packages, quantity
from vsm_operator.kube.kinds import Kind

GROUP = "vsm-mcp.io"
VERSION = "v1alpha1"
MCP_SERVER = Kind(GROUP, VERSION, "mcpservers", "McpServer")
RETRY_ANNOTATION = "vsm-mcp.io/retry-requested-at"
"""A new value asks for another try of what ended in a terminal condition."""
ADMIT_ANNOTATION = "vsm-mcp.io/admit-tools"
"""sha256:…, the hash of a list of tools that a person has looked at. Under Strict it is the admission itself; under
TrustOnFirstUse a new value takes the place of what was pinned; `@` and a word behind it make a new one of the same."""

NAME_MAX_LENGTH = 52
"""Of an McpServer: its Service is called mcp-<name>, its pods carry the name as a label."""
BRIDGE_PORT, ADMIN_PORT = 8080, 8081
RESERVED_MOUNTS = ("/bundle", "/run", "/tmp", "/proc", "/sys", "/dev", "/etc", "/opt/vsm", "/home/mcp/.cache")  # noqa: S108

TOOLS_HASH = re.compile(r"sha256:[0-9a-f]{64}")
"""How a hash of tools is written."""
ADMISSION = re.compile(r"(sha256:[0-9a-f]{64})(@[!-~]{1,64})?")
"""Value of the admission annotation; the hash is its first group."""

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
# No blank and no "$": the kubelet would expand $(NAME) in the environment that carries it. Sets are closed.
Glob = Annotated[str, Field(pattern=r"^([!-#%-Z\\^-~]|\[[!-#%-Z\\^-~]+\]|\[\[\])+$", max_length=128)]
DataKey = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
Argument = Annotated[str, Field(max_length=4096)]
Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)]


_SAME_PACKAGE = Extension(
    {
        "x-kubernetes-validations": [
            cel(
                "self == oldSelf",
                "the package is immutable, only its version may change: create another McpServer for another package",
            )
        ]
    }
)


class NpmSource(Model):
    """A package of the npm registry."""

    package: Annotated[str, Field(pattern=packages.NPM_NAME, max_length=packages.NPM_NAME_MAX_LENGTH), _SAME_PACKAGE]
    """Name in the registry, for example @modelcontextprotocol/server-memory. Immutable."""
    version: Annotated[str, Field(pattern=packages.NPM_VERSION, max_length=packages.VERSION_MAX_LENGTH)]
    """One exact version. Ranges and tags are refused: what runs must not change by itself."""


class PypiSource(Model):
    """A package of a Python package index; wheels only, a source distribution is never built."""

    package: Annotated[str, Field(pattern=packages.PYPI_NAME, max_length=packages.PYPI_NAME_MAX_LENGTH), _SAME_PACKAGE]
    """Name in the index, for example mcp-server-time. Immutable."""
    version: Annotated[str, Field(pattern=packages.PYPI_VERSION, max_length=packages.VERSION_MAX_LENGTH)]
    """One exact version."""


class ImageSource(Model):
    """A container image, by digest."""

    ref: Annotated[
        str,
        Field(pattern=r"^[a-z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9])?@sha256:[0-9a-f]{64}$", max_length=512),
    ]
    """registry/repository@sha256:digest. A tag is refused: it can be moved."""


class Source(Model):
    """Where the server comes from: exactly one of npm, pypi, image."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "(has(self.npm) ? 1 : 0) + (has(self.pypi) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1",
                "set exactly one of npm, pypi and image",
            ),
            cel(
                "has(self.npm) == has(oldSelf.npm) && has(self.pypi) == has(oldSelf.pypi)",
                "the kind of source is immutable: create another McpServer for another source",
            ),
        )
    }

    npm: NpmSource | None = None
    pypi: PypiSource | None = None
    image: ImageSource | None = None

    def package(self) -> packages.PackageRef | None:
        """The package, or None for an image. Raises InvalidPackage for what the registry could not know."""
        if self.npm is not None:
            return packages.PackageRef(packages.Ecosystem.NPM, self.npm.package, self.npm.version)
        if self.pypi is not None:
            return packages.PackageRef(packages.Ecosystem.PYPI, self.pypi.package, self.pypi.version)
        return None


class KeySelector(Model):
    """core/v1 SecretKeySelector and ConfigMapKeySelector."""

    name: ObjectName
    key: DataKey
    optional: bool | None = None


class EnvVarSource(Model):
    """core/v1 EnvVarSource, as far as it makes sense for a server."""

    model_config = {
        "json_schema_extra": rules(
            cel("has(self.secretKeyRef) != has(self.configMapKeyRef)", "set one of secretKeyRef and configMapKeyRef")
        )
    }

    secret_key_ref: KeySelector | None = None
    config_map_key_ref: KeySelector | None = None


class EnvVar(Model):
    """core/v1 EnvVar. The value of a Secret is read by the kubelet; the operator never sees it."""

    model_config = {
        "json_schema_extra": rules(
            cel("!(has(self.value) && has(self.valueFrom))", "set value or valueFrom, not both"),
        )
    }

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
    value: Annotated[str, Field(max_length=32768)] | None = None
    value_from: EnvVarSource | None = None


_RESOURCE_NAMES = cel(
    "self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])",
    "known resources are cpu, memory and ephemeral-storage",
)
ResourceMap = Annotated[
    dict[str, Quantity], Field(max_length=3), Extension({"x-kubernetes-validations": [_RESOURCE_NAMES]})
]
LimitMap = Annotated[
    dict[str, Quantity],
    Field(max_length=3),
    Extension(
        {
            "x-kubernetes-validations": [
                _RESOURCE_NAMES,
                cel(
                    "self.all(k, quantity(string(self[k])).isGreaterThan(quantity('0')))",
                    "a limit of 0 would be no limit at all: write how much the server may use",
                ),
            ]
        }
    ),
]


class Resources(Model):
    """core/v1 ResourceRequirements of the server container."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits)"
                " || !quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k]))))",
                "a request cannot be larger than its limit",
            ),
        )
    }

    requests: ResourceMap = {}
    """What the scheduler reserves. Default: cpu 10m, memory 64Mi."""
    limits: LimitMap = {}
    """What the server can use at most. Default: cpu 500m, memory 512Mi, ephemeral-storage 1Gi."""


class EmptyDir(Model):
    """core/v1 EmptyDirVolumeSource: scratch that lives as long as the pod."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "!has(self.sizeLimit) || quantity(string(self.sizeLimit)).isGreaterThan(quantity('0'))",
                "a sizeLimit of 0 would be no limit at all: write how much it may hold",
            ),
        )
    }

    size_limit: Quantity | None = None
    """Default 100Mi."""


class ClaimSource(Model):
    """core/v1 PersistentVolumeClaimVolumeSource."""

    claim_name: ObjectName


class Storage(Model):
    """A directory that the server may use beside its own scratch."""

    model_config = {
        "json_schema_extra": rules(
            cel("has(self.emptyDir) != has(self.persistentVolumeClaim)", "set one of emptyDir, persistentVolumeClaim"),
        )
    }

    name: DnsLabel
    mount_path: Annotated[
        str,
        # No segment is "." or "..": the path means what it says.
        Field(pattern=r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$", max_length=256),
        Extension(
            {
                "x-kubernetes-validations": [
                    cel(
                        f"!{list(RESERVED_MOUNTS)}.exists(p, self == p || self.startsWith(p + '/')"
                        " || p.startsWith(self + '/'))",
                        "this path belongs to the pod itself: choose another one such as /data",
                    )
                ]
            }
        ),
    ]
    read_only: bool | None = None
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: ClaimSource | None = None


class MatchExpression(Model):
    """metav1.LabelSelectorRequirement."""

    key: Annotated[str, Field(max_length=317)]
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=16), Atomic] | None = None


class LabelSelector(Model):
    """metav1.LabelSelector. Empty selects everything."""

    match_labels: Labels | None = None
    match_expressions: Annotated[list[MatchExpression], Field(max_length=16), Atomic] | None = None


class IpBlock(Model):
    """networking/v1 IPBlock."""

    cidr: Annotated[str, Field(max_length=64)]
    except_: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None, Field(alias="except", max_length=16), Atomic
    ] = None


class NetworkPeer(Model):
    """networking/v1 NetworkPolicyPeer."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "has(self.ipBlock) ? !has(self.podSelector) && !has(self.namespaceSelector)"
                " : has(self.podSelector) || has(self.namespaceSelector)",
                "set podSelector, namespaceSelector or both, or ipBlock alone",
            ),
        )
    }

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IpBlock | None = None


class Network(Model):
    """Who may talk to the server. It may talk to nobody."""

    allow_from: Annotated[list[NetworkPeer], Field(max_length=32), Atomic] = []
    """Peers that may call /mcp, as in a NetworkPolicy. Empty: only the operator, and port-forwards."""


class Sessions(Model):
    """Bounds of isolation Session. All sessions share the limits of `resources`: they live in one container."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "(has(self.idleSeconds) ? self.idleSeconds : 600) <= (has(self.maxSeconds) ? self.maxSeconds : 86400)",
                "idleSeconds cannot be larger than maxSeconds (600 and 86400 when not set)",
            ),
        )
    }

    max_count: Annotated[int, Field(ge=1, le=64)] = 8
    """Sessions at one time; a client beyond them is asked to come back later. Default 8."""
    idle_seconds: Annotated[int, Field(ge=1, le=86400)] = 600
    """A session without a call for so long ends. Default 600."""
    max_seconds: Annotated[int, Field(ge=1, le=2592000)] = 86400
    """A session ends after so long, however busy it is. Default 86400."""


class ToolFilter(Model):
    """Which tools clients see and can call; a filtered tool is neither listed nor callable."""

    allow: Annotated[list[Glob], Field(max_length=128), Atomic] = []
    """Names, or globs with *, ? and [a-z]. Empty: all tools."""
    deny: Annotated[list[Glob], Field(max_length=128), Atomic] = []
    """The same; wins over allow."""


_MESSAGE_BYTES = 1 << 10, 64 << 20
"""A bridge has to be able to hold a message; one of less could not even be an error."""


def _message_size(value: int | str) -> int | str:
    low, high = _MESSAGE_BYTES
    if not low <= quantity.value_of(value) <= high:
        raise ValueError("a message may be limited to something from 1Ki to 64Mi")
    return value


def _rate(value: int | str) -> int | str:
    if not _RATE.fullmatch(str(value)) or not float(value):
        raise ValueError('a number of calls greater than 0 is needed, such as 5 or "0.5"')
    return value


_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
MessageSize = Annotated[
    Quantity,
    AfterValidator(_message_size),
    Extension(
        {
            "x-kubernetes-validations": [
                cel(
                    "!quantity(string(self)).isLessThan(quantity('1Ki'))"
                    " && !quantity(string(self)).isGreaterThan(quantity('64Mi'))",
                    "a message may be limited to something from 1Ki to 64Mi",
                )
            ]
        }
    ),
]
Rate = Annotated[
    int | str,
    Field(union_mode="left_to_right"),
    AfterValidator(_rate),
    Extension(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": f"^{_RATE.pattern}$",
            "maxLength": 10,
            "minimum": 0,
            "maximum": 999999,
            "x-kubernetes-validations": [
                cel(
                    "quantity(string(self)).isGreaterThan(quantity('0'))",
                    "a rate of 0 would let no call through: leave the field out for no limit",
                )
            ],
        }
    ),
]


class Limits(Model):
    """What one client, and one message, may cost."""

    request_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """A call without an answer or a sign of progress for so long is cancelled. Default 60."""
    max_message_size: MessageSize = "10Mi"
    """Of one message, both ways. Default 10Mi."""
    calls_in_flight_per_client: Annotated[int, Field(ge=1, le=65536)] = 64
    """Calls of one client at one time. Default 64."""
    calls_per_second_per_client: Rate | None = None
    """A whole number, or a decimal one as a string such as "0.5". Default: no limit."""


class SecretReference(Model):
    """core/v1 LocalObjectReference of a Secret."""

    name: ObjectName


class TokensAuth(Model):
    """Clients with tokens of their own."""

    secret_ref: SecretReference
    """Secret in the server's namespace. Each key is the name of a client, its value the client's token."""


class TokenReviewAuth(Model):
    """Clients with tokens of the cluster: service accounts, or whatever else its API server accepts."""

    service_account_name: ObjectName
    """Account in the server's namespace that may create TokenReviews: bind it to ClusterRole system:auth-delegator."""
    audiences: Annotated[
        list[Annotated[str, Field(pattern=r"^[!-#%-+.-~-]+$", max_length=256)]], Field(max_length=16), Atomic
    ] = []
    """A token has to be meant for one of them. Empty: for the API server itself."""
    allowed: Annotated[list[Glob], Field(max_length=128), Atomic] = []
    """Globs over user names and groups, such as system:serviceaccount:agents:*. Empty: every valid token."""


class Auth(Model):
    """Who may call, beside what the network lets through: exactly one of tokens and tokenReview."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "has(self.tokens) != has(self.tokenReview)",
                "set tokens or tokenReview; leave auth out for a server that asks nobody for a token",
            ),
        )
    }

    tokens: TokensAuth | None = None
    token_review: TokenReviewAuth | None = None


class McpServerSpec(Model):
    """What should run. Ten lines are enough: a source."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "has(self.transport) && self.transport == 'streamable-http' ? has(self.port) : true",
                "transport streamable-http needs port: the port on which the server listens inside its pod",
            ),
            cel(
                "!has(self.port) && !has(self.path) || has(self.transport) && self.transport == 'streamable-http'",
                "port and path belong to transport streamable-http; a stdio server has none",
            ),
            cel(
                "!(has(self.isolation) && self.isolation == 'Session')"
                " || !has(self.transport) || self.transport == 'stdio'",
                "isolation Session needs transport stdio: a streamable-http server is one process for all its clients",
            ),
            cel(
                "!has(self.sessions) || has(self.isolation) && self.isolation == 'Session'",
                "sessions belong to isolation Session; a shared server has none",
            ),
            cel(
                "!(has(self.isolation) && self.isolation == 'Session') || !has(self.replicas) || self.replicas == 1",
                "isolation Session needs replicas 1: a session lives in one pod, and the Service does not know which",
            ),
        )
    }

    source: Source
    transport: Literal["stdio", "streamable-http"] = "stdio"
    """How the server itself speaks; its clients always use Streamable HTTP. Default stdio."""
    command: Annotated[list[Argument], Field(max_length=64), Atomic] = []
    """Argument vector; never passed to a shell. Default: the package's own executable, or the image's entry point
    (stdio servers from images have to name it)."""
    args: Annotated[list[Argument], Field(max_length=128), Atomic] = []
    """Appended to command."""
    env: Annotated[list[EnvVar], Field(max_length=64), ListMapByName] = []
    """Environment of the server; Secrets and ConfigMaps by reference."""
    port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Where a streamable-http server listens inside its pod."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=256)] | None = None
    """Path of a streamable-http server. Default /mcp."""
    resources: Resources = Resources()
    network: Network = Network()
    storage: Annotated[list[Storage], Field(max_length=8), ListMapByName] = []
    """Directories beside the server's own scratch."""
    replicas: Annotated[int, Field(ge=1, le=20)] = 1
    """Pods behind the Service. Default 1; more only for servers that keep no state between calls."""
    isolation: Literal["Shared", "Session"] = "Shared"
    """Shared: one process for all clients of a pod. Session: each session has a process of its own. Default Shared."""
    sessions: Sessions = Sessions()
    tool_filter: ToolFilter = ToolFilter()
    tool_pin: Literal["TrustOnFirstUse", "Strict", "Off"] = "TrustOnFirstUse"
    """What happens when the tools change without a new version. TrustOnFirstUse: the list that a version shows first is
    the one that it may show; Strict: nothing is served before its hash is admitted by the annotation
    vsm-mcp.io/admit-tools; Off: changes go unnoticed. Default TrustOnFirstUse."""
    limits: Limits = Limits()
    auth: Auth | None = None
    suspend: bool = False
    """True scales to zero and keeps everything else."""


class Phase(StrEnum):
    """Where a server is in its life; conditions say why."""

    PENDING = "Pending"
    FETCHING = "Fetching"
    STARTING = "Starting"
    AWAITING_APPROVAL = "AwaitingApproval"
    READY = "Ready"
    DEGRADED = "Degraded"
    REJECTED = "Rejected"
    SUSPENDED = "Suspended"
    FAILED = "Failed"


class BundleStatus(Model):
    """The verified content that this server runs."""

    key: Annotated[str, Field(max_length=64)]
    """Identity of the intake that made it."""
    digest: Annotated[str, Field(max_length=128)]
    """Of the OCI manifest; every pod loads exactly this."""
    integrity: Text = ""
    """Of the package itself, as the registry states it."""
    license: Text = ""
    packages: int = 0
    """Members of the dependency tree."""
    lifecycle_scripts: int = 0
    """Packages in it that carry install scripts; none was run."""
    size_bytes: int = 0
    unpacked_bytes: int = 0
    entrypoints: Annotated[list[Text], Field(max_length=20), Atomic] = []


class ServerInfo(Model):
    """What the server says of itself in the handshake."""

    name: Text = ""
    version: Text = ""


class ToolsStatus(Model):
    """The tools of the server, as its bridge last saw them."""

    count: int = 0
    """Of those that clients see."""
    hash: Text = ""
    """Canonical hash over names, titles, descriptions, schemas and annotations of all tools, filtered ones too."""
    pinned_hash: Text | None = None
    """The hash that is admitted: while `hash` differs, nothing is served."""
    pinned_artifact: Text | None = None
    """What the pin holds for: digest of the bundle or the image."""
    names: Annotated[list[Text], Field(max_length=200), Atomic] = []
    """The first 200 of those that clients see."""


class McpServerStatus(Model):
    """What is so, as last observed."""

    phase: Phase = Phase.PENDING
    observed_generation: int = 0
    """Of the spec that this status speaks about."""
    package: Text | None = None
    """Package URL without version, or the image."""
    version: Text | None = None
    bundle: BundleStatus | None = None
    endpoint: Text | None = None
    """Streamable HTTP URL inside the cluster."""
    protocol_version: Text | None = None
    """Of MCP, as the server itself speaks it; its bridge agrees on one with each client."""
    server_info: ServerInfo | None = None
    tools: ToolsStatus | None = None
    verified_revision: Text | None = None
    """Hash of the pod template for which the handshake through the Service succeeded."""
    last_handled_retry: Text | None = None
    """Value of the retry annotation that was last acted upon."""
    last_handled_admission: Text | None = None
    """Value of the annotation vsm-mcp.io/admit-tools that was last acted upon."""
    conditions: Annotated[list[Condition], Field(max_length=16), ListMapByType] = []


class McpServer(Model):
    """An MCP server: a package or image, run isolated behind a Streamable HTTP endpoint."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "!self.metadata.name.contains('.')",
                "metadata.name cannot contain a dot: the Service is called mcp-<name>",
            ),
        )
    }

    spec: McpServerSpec
    status: McpServerStatus | None = None
