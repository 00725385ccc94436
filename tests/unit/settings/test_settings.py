"""Settings: what is malformed stops the start and is named; what is secret is shown nowhere."""

import re

import pytest
from pydantic import ValidationError

from vsm_operator.settings import InvalidSettings, Settings

IMAGE = {"VSM_RUNTIME_IMAGE": "localhost/vsm-runtime:1"}
SECRET = "sk-ant-very-secret-value"


def settings(**variables: str) -> Settings:
    return Settings.from_env(IMAGE | variables)


def complaint(**variables: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        settings(**variables)
    return str(caught.value)


def test_image_alone_is_enough() -> None:
    found = settings()
    assert (found.namespace, found.workers, found.registry_embedded) == ("vsm-system", 8, True)
    assert found.server_memory_limit == "512Mi"
    assert found.server_cpu_limit == "500m"


def test_missing_image_is_named() -> None:
    with pytest.raises(InvalidSettings, match=r"^VSM_RUNTIME_IMAGE: "):
        Settings.from_env({})


def test_variables_of_others_are_ignored() -> None:
    assert settings(PATH="/bin", KUBERNETES_SERVICE_HOST="10.0.0.1") == settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VSM_NAMESPACE", "Not A Name"),
        ("VSM_NAMESPACE", ""),
        ("VSM_WATCH_NAMESPACES", "good,../bad"),
        ("VSM_POD_NAME", "a_b"),
        ("VSM_LOG_LEVEL", "CHATTY"),
        ("VSM_WORKERS", "many"),
        ("VSM_WORKERS", "0"),
        ("VSM_WORKERS", ""),
        ("VSM_WORKERS", "1.5"),
        ("VSM_PROBE_WORKERS", "65"),
        ("VSM_HTTP_PORT", "80"),
        ("VSM_RUNTIME_IMAGE", ""),
        ("VSM_IMAGE_PULL_POLICY", "Sometimes"),
        ("VSM_IMAGE_PULL_SECRETS", "one,Two"),
        ("VSM_RUNTIME_CLASS_NAME", "gVisor!"),
        ("VSM_SERVER_CPU_LIMIT", "half"),
        ("VSM_SERVER_CPU_LIMIT", "0"),
        ("VSM_SERVER_MEMORY_LIMIT", "512MB"),
        ("VSM_SERVER_MEMORY_LIMIT", "-1Gi"),
        ("VSM_SERVER_EPHEMERAL_STORAGE_LIMIT", "0Mi"),
        ("VSM_SERVER_MAX_PIDS", "1"),
        ("VSM_MAX_CONCURRENT_INSTALLS", "0"),
        ("VSM_CACHE_TTL_SECONDS", "1"),
        ("VSM_HTTP_TIMEOUT_MS", "10s"),
        ("VSM_NPM_REGISTRY", "npm.example.com"),
        ("VSM_NPM_REGISTRY", "ftp://npm.example.com"),
        ("VSM_NPM_REGISTRY", "file:///etc/passwd"),
        ("VSM_NPM_REGISTRY", "https://npm.example.com/ --flag"),
        ("VSM_NPM_REGISTRY", "https://npm.example.com\n"),
        ("VSM_PYPI_INDEX", "https://"),
        ("VSM_PYPI_INDEX", "https://[::1"),
        ("VSM_HTTPS_PROXY", "http://user:password@proxy.example.com"),
        ("VSM_CA_BUNDLE_CONFIGMAP", "a/b"),
        ("VSM_REGISTRY_EMBEDDED", "perhaps"),
        ("VSM_REGISTRY_PUSH_URL", ""),
        ("VSM_REGISTRY_PUSH_URL", "http://registry:99999"),
        ("VSM_REGISTRY_PULL_URL", "http://registry:port"),
        ("VSM_REGISTRY_REPOSITORY", "Upper/Case"),
        ("VSM_REGISTRY_REPOSITORY", "../up"),
        ("VSM_REGISTRY_CREDENTIALS_SECRET", ""),
        ("VSM_REGISTRY_PULL_SECRET", "a b"),
        ("VSM_REGISTRY_CIDRS", "10.0.0.0/33"),
        ("VSM_REGISTRY_CIDRS", "registry.example.com"),
        ("VSM_SERVER_METRICS_FROM", "monitoring"),
        ("VSM_SERVER_METRICS_FROM", "[" * 100_000),
        ("VSM_SERVER_METRICS_FROM", '{"podSelector": {}}'),
        ("VSM_SERVER_METRICS_FROM", "[{}]"),
        ("VSM_SERVER_METRICS_FROM", '[{"podSelectr": {}}]'),
        ("VSM_SERVER_METRICS_FROM", '[{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]'),
        ("VSM_SERVER_METRICS_FROM", '[{"podSelector": "app=prometheus"}]'),
        ("VSM_API_SERVER_CIDRS", "10.96.0.1/33"),
        ("VSM_API_SERVER_CIDRS", "kubernetes.default.svc"),
        ("VSM_API_SERVER_PORTS", "https"),
        ("VSM_API_SERVER_PORTS", "0"),
        ("VSM_API_SERVER_PORTS", ""),
        ("VSM_SECURITY_ENABLED", "false"),
        ("VSM_SANDBOX_ENABLED", "0"),
        ("VSM_AUDIT_LOGGING", "maybe"),
        ("VSM_WORKER", "8"),
        ("VSM_", "x"),
    ],
)
def test_malformed_variable_is_named_alone_in_one_line(variable: str, value: str) -> None:
    (line,) = complaint(**{variable: value}).splitlines()
    assert re.match(rf"{variable}: \S", line)


def test_every_variable_has_a_malformed_example() -> None:
    """A new setting without one would not be known to be checked."""
    (mark,) = test_malformed_variable_is_named_alone_in_one_line.pytestmark  # type: ignore[attr-defined]
    tried = {variable.removeprefix("VSM_").lower() for variable, _ in mark.args[1]}
    free_text = {"no_proxy", "anthropic_api_key"}
    assert set(Settings.model_fields) - tried == free_text


def test_all_malformed_variables_are_named_at_once() -> None:
    text = complaint(
        VSM_WORKERS="x", VSM_SECURITY_ENABLED="false", VSM_SANDBOX_ENABLED="false", VSM_TYPO="1", VSM_NPM_REGISTRY="x"
    )
    named = [line.split(":")[0] for line in text.splitlines()]
    assert sorted(named) == [
        "VSM_NPM_REGISTRY", "VSM_SANDBOX_ENABLED", "VSM_SECURITY_ENABLED", "VSM_TYPO", "VSM_WORKERS",
    ]  # fmt: skip


def test_misspelt_variable_is_not_silently_ignored() -> None:
    assert complaint(VSM_MAX_CONCURENT_INSTALLS="3") == "VSM_MAX_CONCURENT_INSTALLS: no such setting; is it misspelt?"


def test_protection_that_is_switched_off_stops_the_start() -> None:
    assert "false is refused" in complaint(VSM_SANDBOX_ENABLED="false")


def test_foreign_registry_needs_its_addresses() -> None:
    assert "VSM_REGISTRY_CIDRS is needed" in complaint(VSM_REGISTRY_EMBEDDED="false")
    assert settings(VSM_REGISTRY_EMBEDDED="false", VSM_REGISTRY_CIDRS="192.0.2.0/24").registry_cidrs == (
        "192.0.2.0/24",
    )


def test_readers_of_metrics_are_peers_as_in_a_network_policy() -> None:
    peers = '[{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}, "podSelector": {}}]'
    assert settings(VSM_SERVER_METRICS_FROM=peers).server_metrics_from == (
        {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}, "podSelector": {}},
    )
    assert settings(VSM_SERVER_METRICS_FROM="").server_metrics_from == ()


def test_api_server_is_named_by_addresses_and_ports() -> None:
    found = settings(VSM_API_SERVER_CIDRS="10.96.0.1/32, 2001:db8::1/128", VSM_API_SERVER_PORTS="443,8443")
    assert found.api_server_cidrs == ("10.96.0.1/32", "2001:db8::1/128")
    assert found.api_server_ports == (443, 8443)


def test_names_of_the_earlier_product_are_accepted() -> None:
    found = settings(
        VSM_SECURITY_ENABLED="true",
        VSM_SANDBOX_ENABLED="true",
        VSM_AUDIT_LOGGING="false",
        VSM_MAX_CONCURRENT_INSTALLS="7",
        VSM_CACHE_TTL_SECONDS="600",
        VSM_HTTP_TIMEOUT_MS="2500",
        ANTHROPIC_API_KEY=SECRET,
    )
    assert (found.audit_logging, found.max_concurrent_installs) == (False, 7)
    assert (found.cache_ttl_seconds, found.http_timeout_ms) == (600, 2500)
    assert found.anthropic_api_key.get_secret_value() == SECRET


def test_key_is_in_no_text_of_the_settings() -> None:
    found = settings(ANTHROPIC_API_KEY=SECRET)
    for text in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert SECRET not in text


def test_key_is_in_no_message_about_other_mistakes() -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings(ANTHROPIC_API_KEY=SECRET, VSM_WORKERS=SECRET, VSM_HTTPS_PROXY=f"http://user:{SECRET}@proxy")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_value_is_not_echoed_by_the_model_itself() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"runtime_image": "x", "workers": SECRET})
    assert SECRET not in str(caught.value)


def test_lists_are_separated_by_commas() -> None:
    found = settings(VSM_WATCH_NAMESPACES=" one, two ,,three")
    assert found.watch_namespaces == ("one", "two", "three")
    assert settings(VSM_WATCH_NAMESPACES="").watch_namespaces == ()


@pytest.mark.parametrize(
    "variable",
    ["VSM_NPM_REGISTRY", "VSM_PYPI_INDEX", "VSM_HTTPS_PROXY", "VSM_RUNTIME_CLASS_NAME", "VSM_REGISTRY_PULL_SECRET"],
)
def test_empty_means_not_set_where_the_chart_hands_on_empty_values(variable: str) -> None:
    assert settings(**{variable: ""}) == settings()


def test_limits_are_canonical() -> None:
    found = settings(VSM_SERVER_CPU_LIMIT="0.5", VSM_SERVER_MEMORY_LIMIT="1024Mi")
    assert (found.server_cpu_limit, found.server_memory_limit) == ("500m", "1Gi")


def test_registries_decide_which_tree_a_name_means() -> None:
    assert settings().registries != settings(VSM_NPM_REGISTRY="https://npm.example.com/").registries
    assert settings().registries != settings(VSM_PYPI_INDEX="https://pypi.example.com/simple").registries
    assert settings().registries == settings(VSM_WORKERS="3").registries


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().workers = 3  # type: ignore[misc]
