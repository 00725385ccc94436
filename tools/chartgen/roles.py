"""The operator's RBAC rules as a template, from vsm_operator.permissions."""

from collections.abc import Iterable

from vsm_operator import permissions
from vsm_operator.permissions import Need, Rule

_HEADER = "{{/* Generated from operator/vsm_operator/permissions.py by `python -m chartgen`. Do not edit. */}}\n"
_VALUE_OF_NAME = {permissions.REGISTRY_CREDENTIALS_SECRET: "{{ .Values.registry.credentialsSecret }}"}
"""Names that a value of the chart can change."""
_CONDITION = {Need.EMBEDDED_REGISTRY: ".Values.registry.embedded"}


def template() -> str:
    """Two named templates, each a list of rules."""
    return (
        _HEADER
        + _definition("vsm-operator.serverRules", permissions.server_rules())
        + _definition("vsm-operator.homeRules", permissions.home_rules())
    )


def _definition(name: str, rules: Iterable[Rule]) -> str:
    return f'{{{{- define "{name}" -}}}}\n' + "".join(_rule(rule) for rule in rules) + "{{- end }}\n"


def _rule(rule: Rule) -> str:
    lines = [
        f"- apiGroups: {_list([rule.group])}",
        f"  resources: {_list(rule.resources)}",
        f"  verbs: {_list(rule.verbs)}",
    ]
    if rule.names:
        lines.insert(2, f"  resourceNames: {_list(_VALUE_OF_NAME.get(name, name) for name in rule.names)}")
    condition = _CONDITION.get(rule.need)
    if condition:
        lines = [f"{{{{- if {condition} }}}}", *lines, "{{- end }}"]
    return "\n".join(lines) + "\n"


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"
