"""Everything that can be set, read once from the environment, checked, and passed down. No I/O.

Every field is the environment variable VSM_<FIELD IN UPPER CASE>; the chart's README names the Helm value beside it.
A malformed or unknown VSM_* variable stops the start: `Settings.from_env` lists all of them at once.
"""

import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from vsm_operator.domain import quantity

PREFIX = "VSM_"
_UNPREFIXED = ("ANTHROPIC_API_KEY",)


class InvalidSettings(ValueError):  # noqa: N818 - what the person at the terminal reads
    """One line per variable that cannot be used."""


def _items(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("a URL contains no blanks")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("an http:// or https:// URL is needed, such as https://registry.example.com/npm/")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into this URL: it is shown in objects that many can read")
    return value


def _optional_url(value: str) -> str:
    return _http_url(value) if value else value


def _limit(value: str) -> str:
    if not quantity.value_of(value):
        raise ValueError("0 would be no limit at all")
    return quantity.canonical(value)


def _cidr(value: str) -> str:
    return str(ip_network(value))


def _peers(value: Any) -> Any:
    """JSON, as the chart writes it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else ()
    except (ValueError, RecursionError):
        raise ValueError('a JSON list of NetworkPolicyPeers is needed, such as [{"namespaceSelector": {}}]') from None


def _peer(value: dict[str, Any]) -> dict[str, Any]:
    if not value or not value.keys() <= _PEER or ("ipBlock" in value and len(value) > 1):
        raise ValueError("a peer has podSelector, namespaceSelector or both, or ipBlock alone")
    if not all(isinstance(part, dict) for part in value.values()):
        raise ValueError("podSelector, namespaceSelector and ipBlock of a peer are objects")
    return value


_PEER = {"podSelector", "namespaceSelector", "ipBlock"}


def _switched_on(value: bool) -> bool:
    if not value:
        raise ValueError("false is refused: no unverified or unconfined server can run here")
    return value


_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=_NAME)]
OptionalName = Annotated[str, Field(pattern=rf"^$|{_NAME}")]
Names = Annotated[tuple[Name, ...], BeforeValidator(_items)]
Cidrs = Annotated[tuple[Annotated[str, AfterValidator(_cidr)], ...], BeforeValidator(_items)]
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], BeforeValidator(_items), Field(min_length=1)]
Peers = Annotated[tuple[Annotated[dict[str, Any], AfterValidator(_peer)], ...], BeforeValidator(_peers)]
"""NetworkPolicyPeers as they are written in a manifest."""
Protection = Annotated[bool, AfterValidator(_switched_on)]
Url = Annotated[str, AfterValidator(_http_url)]
OptionalUrl = Annotated[str, AfterValidator(_optional_url)]
Limit = Annotated[str, AfterValidator(_limit)]


class Settings(BaseModel):
    """The operator's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    namespace: Name = "vsm-system"
    """The operator's own namespace: intake Jobs, the bundle registry and the Lease live there."""
    watch_namespaces: Names = ()
    """Namespaces whose McpServers are reconciled; empty means all."""
    pod_name: Name = "vsm-operator"
    """Identity in the Lease and in the User-Agent."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    workers: int = Field(8, ge=1, le=64)
    """Reconciles at one time."""
    probe_workers: int = Field(8, ge=1, le=64)
    """Handshakes with servers at one time."""
    http_port: int = Field(8090, ge=1024, le=65535)
    """Serves /healthz, /readyz and /metrics."""

    runtime_image: str = Field(min_length=1)
    """Image of intake Jobs and of the load, server and bridge containers."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Names = ()
    runtime_class_name: OptionalName = ""
    """RuntimeClass of every pod that runs foreign code, such as gvisor. A server cannot choose its own box."""
    server_cpu_limit: Limit = "500m"
    server_memory_limit: Limit = "512Mi"
    server_ephemeral_storage_limit: Limit = "1Gi"
    server_max_pids: int = Field(256, ge=16, le=32768)
    """Processes and threads of one server."""
    server_metrics_from: Peers = ()
    """Who may read the /metrics of servers' bridges, beside the operator; JSON. Empty: nobody."""
    api_server_cidrs: Cidrs = ()
    """Where the API server is, seen from a pod. Needed by servers with spec.auth.tokenReview, and by nothing else."""
    api_server_ports: Ports = (443, 6443)
    """In front of its Service and behind it."""

    max_concurrent_installs: int = Field(5, ge=1, le=100)
    """Intake Jobs at one time."""
    cache_ttl_seconds: int = Field(300, ge=30, le=86400)
    """How long a finished intake Job is kept and answers for identical packages."""
    http_timeout_ms: int = Field(10_000, ge=100, le=120_000)
    """Deadline of one HTTP call that the operator makes to a server."""
    npm_registry: OptionalUrl = ""
    """Empty: npm's own default."""
    pypi_index: OptionalUrl = ""
    """Simple index. Empty: uv's own default."""
    https_proxy: OptionalUrl = ""
    no_proxy: str = ""
    ca_bundle_configmap: OptionalName = ""
    """ConfigMap in the operator's namespace whose key ca.crt replaces the trusted CAs of intake Jobs."""

    registry_embedded: bool = True
    """The chart's own bundle registry; the operator then makes its credentials once."""
    registry_push_url: Url = "http://vsm-registry.vsm-system.svc:5000"
    registry_pull_url: Url = "http://vsm-registry.vsm-system.svc:5001"
    registry_repository: str = Field("vsm/bundles", pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$")
    registry_credentials_secret: Name = "vsm-registry-credentials"  # noqa: S105 - a name
    registry_pull_secret: OptionalName = ""
    """Secret with username and password in each server's namespace, for a registry that wants them for pulls."""
    registry_cidrs: Cidrs = ()
    """Where pods may pull bundles from when the registry is not the embedded one."""

    security_enabled: Protection = True
    sandbox_enabled: Protection = True
    audit_logging: bool = True
    """One structured log line for every object written and every server admitted or refused."""
    anthropic_api_key: SecretStr = SecretStr("")
    """Accepted and never logged; nothing uses it before language-model advice exists."""

    @model_validator(mode="after")
    def _foreign_registry_has_a_place_in_the_network(self) -> Self:
        if not self.registry_embedded and not self.registry_cidrs:
            raise ValueError(
                f"{PREFIX}REGISTRY_CIDRS is needed with {PREFIX}REGISTRY_EMBEDDED=false: "
                "servers reach nothing, so the registry's address ranges have to be named"
            )
        return self

    @property
    def registries(self) -> tuple[str, ...]:
        """What decides which tree a name resolves to."""
        return (f"npm={self.npm_registry}", f"pypi={self.pypi_index}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises InvalidSettings, which names every bad variable and what is wrong with it."""
        raw = {key.removeprefix(PREFIX).lower(): value for key, value in environ.items() if key.startswith(PREFIX)}
        raw |= {key.lower(): environ[key] for key in _UNPREFIXED if key in environ}
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise InvalidSettings("\n".join(_line(detail) for detail in error.errors())) from None


def _line(detail: Any) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0]).upper()
    variable = name if name in _UNPREFIXED else PREFIX + name
    if detail["type"] == "extra_forbidden":
        message = "no such setting; is it misspelt?"
    return f"{variable}: {message}"
