"""The roles grant what vsm_operator.permissions lists, where it lists it, and not one verb more."""

from collections import Counter
from collections.abc import Iterable

import pytest

from chart.cases import NAMESPACE, Release
from chartgen.yamltext import Manifest
from vsm_operator import permissions
from vsm_operator.kube import kinds
from vsm_operator.permissions import Need, Rule

Grant = tuple[str, str, str, str]
"""Group, resource, verb, name; an empty name means every one."""


def _listed(rules: Iterable[Rule], *, embedded: bool = True) -> Counter[Grant]:
    return Counter(
        (rule.group, resource, str(verb), name)
        for rule in rules
        if embedded or rule.need is not Need.EMBEDDED_REGISTRY
        for resource in rule.resources
        for verb in rule.verbs
        for name in rule.names or ("",)
    )


def _granted(role: Manifest) -> Counter[Grant]:
    return Counter(
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    )


def _roles(release: Release) -> dict[tuple[str, str, str], Manifest]:
    return {
        (role["kind"], role["metadata"].get("namespace", ""), role["metadata"]["name"]): role
        for kind in ("ClusterRole", "Role")
        for role in release.all(kind)
    }


def test_default_roles_are_the_two_scopes_of_the_permissions(production: Release) -> None:
    roles = _roles(production)
    assert set(roles) == {("ClusterRole", "", "vsm-operator"), ("Role", NAMESPACE, "vsm-operator-home")}
    assert _granted(roles["ClusterRole", "", "vsm-operator"]) == _listed(permissions.server_rules())
    assert _granted(roles["Role", NAMESPACE, "vsm-operator-home"]) == _listed(permissions.home_rules())


def test_watching_named_namespaces_grants_nothing_in_the_cluster(named_namespaces: Release) -> None:
    roles = _roles(named_namespaces)
    assert set(roles) == {
        ("Role", "agents", "vsm-operator"),
        ("Role", NAMESPACE, "vsm-operator"),
        ("Role", NAMESPACE, "vsm-operator-home"),
    }
    assert _granted(roles["Role", "agents", "vsm-operator"]) == _listed(permissions.server_rules())
    assert not named_namespaces.all("ClusterRoleBinding")


def test_own_registry_leaves_one_secret_that_is_read(own_registry: Release) -> None:
    granted = _granted(_roles(own_registry)["Role", NAMESPACE, "vsm-operator-home"])
    assert granted == _listed(permissions.home_rules(), embedded=False)
    assert sorted(grant[2:] for grant in granted if grant[1] == "secrets") == [
        ("create", ""),
        ("get", permissions.ADMIN_KEY_SECRET),
    ]


def test_renamed_credentials_are_the_ones_that_may_be_read(everything: Release) -> None:
    granted = _granted(_roles(everything)["Role", NAMESPACE, "vsm-operator-home"])
    assert sorted(grant[3] for grant in granted if grant[1:3] == ("secrets", "get")) == [
        "other-credentials",
        permissions.ADMIN_KEY_SECRET,
    ]
    assert everything.environment()["VSM_REGISTRY_CREDENTIALS_SECRET"] == "other-credentials"


def test_every_role_is_bound_to_the_operators_account_where_it_holds(release: Release) -> None:
    bound = {
        (
            binding["roleRef"]["kind"],
            binding["metadata"].get("namespace", ""),
            binding["roleRef"]["name"],
        )
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in release.all(kind)
    }
    assert bound == set(_roles(release))
    account = {"kind": "ServiceAccount", "name": "vsm-operator", "namespace": NAMESPACE}
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        assert all(binding["subjects"] == [account] for binding in release.all(kind))
    assert release.has("ServiceAccount", "vsm-operator")
    assert release.pod("vsm-operator")["spec"]["serviceAccountName"] == "vsm-operator"


def test_permissions_hold_no_wildcard_and_no_way_to_more_rights() -> None:
    for group, resource, verb, _ in _listed(permissions.rules()):
        assert "*" not in {group, resource, verb}
        assert verb not in {"escalate", "bind", "impersonate", "deletecollection"}
        assert group not in {"rbac.authorization.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io"}
        assert resource not in {"serviceaccounts", "serviceaccounts/token", "pods/exec", "pods/attach", "nodes"}


def test_permissions_read_secrets_by_name_only() -> None:
    verbs = {(verb, bool(name)) for _, resource, verb, name in _listed(permissions.rules()) if resource == "secrets"}
    assert verbs == {("get", True), ("create", False)}


def test_create_is_never_limited_to_a_name() -> None:
    """RBAC ignores names on create: such a rule would look like a limit and grant nothing."""
    assert not [grant for grant in _listed(permissions.rules()) if grant[2] in {"create", "list", "watch"} and grant[3]]


@pytest.mark.parametrize("kind", kinds.CORE_KINDS, ids=lambda kind: kind.kind)
def test_every_kind_the_operator_works_with_is_permitted(kind: kinds.Kind) -> None:
    assert any((group, resource) == (kind.group, kind.plural) for group, resource, *_ in _listed(permissions.rules()))
