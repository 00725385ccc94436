"""What the operator may do to a cluster, as data: the charts' roles are generated from it and nothing else is granted.

Two scopes. `server_rules` holds wherever an McpServer may live: in the whole cluster, or in each watched namespace.
`home_rules` holds in the operator's own namespace. A new kind or verb starts here; the drift test of the charts then
asks for the roles to be generated again (`python -m chartgen`).

Invariants: no wildcard, no verb that escalates (escalate, bind, impersonate), and Secrets are read by name only.
RBAC cannot limit `create` to a name, so create stands in a rule of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

LEASE_NAME = "vsm-operator"
"""The Lease whose holder reconciles."""
REGISTRY_CREDENTIALS_SECRET = "vsm-registry-credentials"  # noqa: S105 - the Secret's name, not its content
"""Default name of the Secret that opens the registry for pushes."""


ADMIN_KEY_SECRET = "vsm-operator-admin-key"  # noqa: S105 - a name
"""Secret with the key from which the tokens for servers' admin ports follow."""


class Verb(StrEnum):
    """The verbs of the Kubernetes API that the operator uses."""

    GET = "get"
    LIST = "list"
    WATCH = "watch"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"


class Need(StrEnum):
    """When a rule is needed at all; without its need it is not granted."""

    ALWAYS = "always"
    EMBEDDED_REGISTRY = "embedded-registry"
    """The chart's own registry, whose credentials the operator makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One RBAC policy rule. `group` "" is the core group; `names` empty means every name."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[Verb, ...]
    names: tuple[str, ...] = ()
    need: Need = Need.ALWAYS


_READ = (Verb.GET, Verb.LIST, Verb.WATCH)
_OWN = (*_READ, Verb.CREATE, Verb.UPDATE, Verb.PATCH, Verb.DELETE)
"""Server-side apply is a patch, and needs create as well when the object is not there yet; what others added to a
child is taken away again by an update."""

_SERVER_RULES = (
    Rule(group="vsm-mcp.io", resources=("mcpservers",), verbs=_READ),
    Rule(group="vsm-mcp.io", resources=("mcpservers/status",), verbs=(Verb.PATCH,)),
    # OpenShift (OwnerReferencesPermissionEnforcement) asks for it when a child blocks its owner's deletion.
    Rule(group="vsm-mcp.io", resources=("mcpservers/finalizers",), verbs=(Verb.UPDATE,)),
    Rule(group="apps", resources=("deployments",), verbs=_OWN),
    Rule(group="", resources=("services",), verbs=_OWN),
    # The admitted hashes of a server's tools.
    Rule(group="", resources=("configmaps",), verbs=(*_READ, Verb.CREATE, Verb.PATCH, Verb.DELETE)),
    Rule(group="networking.k8s.io", resources=("networkpolicies",), verbs=_OWN),
    Rule(group="", resources=("pods",), verbs=_READ),
    Rule(group="events.k8s.io", resources=("events",), verbs=(Verb.CREATE,)),
)

_HOME_RULES = (
    Rule(group="batch", resources=("jobs",), verbs=(*_READ, Verb.CREATE, Verb.DELETE)),
    # Intake pods run here even when only other namespaces are watched.
    Rule(group="", resources=("pods",), verbs=_READ),
    Rule(group="coordination.k8s.io", resources=("leases",), verbs=(Verb.CREATE,)),
    Rule(
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=(Verb.GET, Verb.UPDATE),
        names=(LEASE_NAME,),
    ),
    Rule(group="", resources=("secrets",), verbs=(Verb.CREATE,)),
    Rule(group="", resources=("secrets",), verbs=(Verb.GET,), names=(ADMIN_KEY_SECRET,)),
    Rule(
        group="",
        resources=("secrets",),
        verbs=(Verb.GET,),
        names=(REGISTRY_CREDENTIALS_SECRET,),
        need=Need.EMBEDDED_REGISTRY,
    ),
)


def server_rules() -> tuple[Rule, ...]:
    """What holds in every namespace where McpServers are watched."""
    return _SERVER_RULES


def home_rules() -> tuple[Rule, ...]:
    """What holds in the operator's own namespace, in addition to `server_rules` where that is watched as well."""
    return _HOME_RULES


def rules() -> Iterator[Rule]:
    """Every rule of both scopes."""
    yield from _SERVER_RULES
    yield from _HOME_RULES
