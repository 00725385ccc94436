"""The container `bridge`: trusted, serves the network, and the only one of the pod that sees a credential.

Clients' tokens, the token towards the API server and the pins are volumes that no other container mounts. What the
guard of a server is (filter, pin, limits, who may call) travels as VSM_BRIDGE_* variables.
"""

import json

from vsm_operator.api.conditions import Reason
from vsm_operator.api.v1alpha1 import ADMIN_PORT, BRIDGE_PORT, Auth, McpServerSpec
from vsm_operator.domain.quantity import canonical, value_of
from vsm_operator.errors import NotConfigured
from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import TRUSTED_UID, Owner, container_security, literal_env, resources
from vsm_operator.resources.pins import PIN_MODES, pins_name
from vsm_operator.settings import Settings

SOCKET = "/run/mcp/server.sock"
_SOCKETS = "/run/mcp"
_PINS = "/var/run/vsm/pins"
_TOKENS = "/var/run/vsm/tokens"
_API_SERVER = "/var/run/vsm/api-server"
_API_TOKEN_SECONDS = 3600
"""The kubelet renews it long before."""
_GROUP_READABLE = 0o440
_MEMORY_BYTES, _USUAL_MESSAGES_BYTES = 128 << 20, 32 << 20
"""What the bridge gets, and how many bytes of large messages it then holds at one time."""
_COPIES = 4
"""Of a large message: as it came, decoded, encoded again, on its way out."""


def bridge_container(spec: McpServerSpec, *, artifact: str, admin_token_sha256: str, settings: Settings) -> Manifest:
    """`artifact` is the digest that a pin holds for. Raises NotConfigured(ApiServerUnknown)."""
    mounts: list[Manifest] = [{"name": "run", "mountPath": _SOCKETS}]
    if spec.tool_pin in PIN_MODES:
        mounts.append({"name": "pins", "mountPath": _PINS, "readOnly": True})
    if spec.auth is not None and spec.auth.tokens is not None:
        mounts.append({"name": "tokens", "mountPath": _TOKENS, "readOnly": True})
    if spec.auth is not None and spec.auth.token_review is not None:
        mounts.append({"name": "api-server", "mountPath": _API_SERVER, "readOnly": True})
    environment = {
        "VSM_BRIDGE_TRANSPORT": spec.transport,
        "VSM_BRIDGE_PORT": str(BRIDGE_PORT),
        "VSM_BRIDGE_ADMIN_PORT": str(ADMIN_PORT),
        "VSM_BRIDGE_ADMIN_TOKEN_SHA256": admin_token_sha256,
        **_server_side(spec),
        **_guard(spec, artifact),
        **_auth(spec.auth, settings),
    }
    return {
        "name": "bridge",
        "image": settings.runtime_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["/opt/vsm/venv/bin/python", "-m", "vsm_runtime.bridge"],
        "env": literal_env(environment),
        "ports": [
            {"name": "mcp", "containerPort": BRIDGE_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": ADMIN_PORT, "scheme": "HTTP"},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 1,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": ADMIN_PORT, "scheme": "HTTP"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "resources": resources(
            requests={"cpu": "10m", "memory": "48Mi"},
            limits={"cpu": "1", "memory": _memory_limit(spec), "ephemeral-storage": "64Mi"},
        ),
        "securityContext": container_security(TRUSTED_UID),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def bridge_volumes(spec: McpServerSpec, *, owner: Owner) -> list[Manifest]:
    """What only the bridge mounts.

    The pins are optional: a ConfigMap that appears later shows up in the running pod. The Secret with tokens is not:
    without it nobody could be let in, so the pod waits, and `podfacts` has the words for that.
    """
    volumes: list[Manifest] = []
    if spec.tool_pin in PIN_MODES:
        volumes.append({"name": "pins", "configMap": {"name": pins_name(owner), "optional": True}})
    if spec.auth is not None and spec.auth.tokens is not None:
        secret = {"secretName": spec.auth.tokens.secret_ref.name, "defaultMode": _GROUP_READABLE}
        volumes.append({"name": "tokens", "secret": secret})
    if spec.auth is not None and spec.auth.token_review is not None:
        # No audience: the token is for the API server alone, whose own audience is the default.
        token = {"serviceAccountToken": {"path": "token", "expirationSeconds": _API_TOKEN_SECONDS}}
        authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
        projected = {"sources": [token, authority], "defaultMode": _GROUP_READABLE}
        volumes.append({"name": "api-server", "projected": projected})
    return volumes


def _server_side(spec: McpServerSpec) -> dict[str, str]:
    if spec.transport != "stdio":
        return {"VSM_BRIDGE_UPSTREAM": f"http://127.0.0.1:{spec.port}{spec.path or '/mcp'}"}
    if spec.isolation == "Shared":
        return {"VSM_BRIDGE_SOCKET": SOCKET}
    return {
        "VSM_BRIDGE_SOCKET": SOCKET,
        "VSM_BRIDGE_ISOLATION": "session",
        "VSM_BRIDGE_MAX_SESSIONS": str(spec.sessions.max_count),
        "VSM_BRIDGE_SESSION_IDLE_SECONDS": str(spec.sessions.idle_seconds),
        "VSM_BRIDGE_SESSION_MAX_SECONDS": str(spec.sessions.max_seconds),
    }


def _guard(spec: McpServerSpec, artifact: str) -> dict[str, str]:
    limits = spec.limits
    values = {
        "VSM_BRIDGE_TOOLS_ALLOW": _array(spec.tool_filter.allow),
        "VSM_BRIDGE_TOOLS_DENY": _array(spec.tool_filter.deny),
        "VSM_BRIDGE_MAX_MESSAGE_BYTES": str(_message_bytes(spec)),
        "VSM_BRIDGE_REQUEST_TIMEOUT_SECONDS": str(limits.request_timeout_seconds),
        "VSM_BRIDGE_MAX_CALLS_PER_CLIENT": str(limits.calls_in_flight_per_client),
        "VSM_BRIDGE_CALLS_PER_SECOND_PER_CLIENT": str(limits.calls_per_second_per_client or ""),
    }
    if mode := PIN_MODES.get(spec.tool_pin):
        values |= {"VSM_BRIDGE_TOOL_PIN": mode.bridge, "VSM_BRIDGE_PIN_FILE": f"{_PINS}/{mode.key(artifact)}"}
    return values


def _auth(auth: Auth | None, settings: Settings) -> dict[str, str]:
    if auth is None:
        return {}
    if auth.token_review is None:
        return {"VSM_BRIDGE_AUTH": "tokens", "VSM_BRIDGE_AUTH_TOKENS_DIR": _TOKENS}
    if not settings.api_server_cidrs:
        raise NotConfigured(
            Reason.API_SERVER_UNKNOWN,
            "spec.auth.tokenReview lets the pod ask the API server, and nobody has told the operator where that is: "
            "set networkPolicy.apiServer.cidrs of its chart (VSM_API_SERVER_CIDRS) to the addresses of the Service "
            "kubernetes and of what is behind it, or use spec.auth.tokens",
        )
    return {
        "VSM_BRIDGE_AUTH": "token-review",
        "VSM_BRIDGE_TOKEN_REVIEW_URL": _api_server_url(settings),
        "VSM_BRIDGE_TOKEN_REVIEW_CA": f"{_API_SERVER}/ca.crt",
        "VSM_BRIDGE_TOKEN_REVIEW_TOKEN_FILE": f"{_API_SERVER}/token",
        "VSM_BRIDGE_TOKEN_REVIEW_AUDIENCES": ",".join(auth.token_review.audiences),
        "VSM_BRIDGE_AUTH_ALLOWED": _array(auth.token_review.allowed),
    }


def _api_server_url(settings: Settings) -> str:
    """The kubelet puts the address in; server pods have no DNS."""
    ipv6 = all(":" in cidr for cidr in settings.api_server_cidrs)
    host = "[$(KUBERNETES_SERVICE_HOST)]" if ipv6 else "$(KUBERNETES_SERVICE_HOST)"
    return f"https://{host}:$(KUBERNETES_SERVICE_PORT)"


def _array(items: list[str]) -> str:
    return json.dumps(items) if items else ""


def _message_bytes(spec: McpServerSpec) -> int:
    return int(value_of(spec.limits.max_message_size))


def _memory_limit(spec: McpServerSpec) -> str:
    beyond = max(0, 2 * _message_bytes(spec) - _USUAL_MESSAGES_BYTES)
    return canonical(f"{-(-(_MEMORY_BYTES + _COPIES * beyond) // (1 << 20))}Mi")
