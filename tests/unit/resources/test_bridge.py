"""The bridge's container: what of the spec reaches it, under which name, and what no other container gets to see."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from support import specs
from support.podsecurity import containers
from unit.resources import kit
from unit.resources.kit import Input, environment, inputs
from vsm_operator.domain.quantity import value_of
from vsm_operator.errors import NotConfigured
from vsm_operator.resources.deployment import revision_of

PREFIX = "VSM_BRIDGE_"
TOKENS = {"tokens": {"secretRef": {"name": "clients"}}}
REVIEW = {"tokenReview": {"serviceAccountName": "reviewer", "audiences": ["mcp", "x"], "allowed": ["system:*"]}}
CREDENTIALS = {"tokens", "api-server", "pins"}


def told(given_: Input) -> dict[str, str]:
    """What the bridge is told, without the prefix."""
    found = environment(given_.bridge())
    assert all(name.startswith(PREFIX) for name in found)
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def mounts(given_: Input, name: str) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in kit.container(given_.pod(), name).get("volumeMounts", ())}


def volume(given_: Input, name: str) -> dict[str, Any]:
    (found,) = [entry for entry in given_.pod()["volumes"] if entry["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


def test_plain_server_has_safe_bounds_and_the_pin_of_first_use() -> None:
    assert told(kit.npm()) == {
        "TRANSPORT": "stdio",
        "SOCKET": "/run/mcp/server.sock",
        "PORT": "8080",
        "ADMIN_PORT": "8081",
        "ADMIN_TOKEN_SHA256": kit.ADMIN_TOKEN_SHA256,
        "MAX_MESSAGE_BYTES": str(10 << 20),
        "REQUEST_TIMEOUT_SECONDS": "60",
        "MAX_CALLS_PER_CLIENT": "64",
        "TOOL_PIN": "first-use",
        "PIN_FILE": "/var/run/vsm/pins/sha256-" + "c" * 64,
    }


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param(
            {"toolFilter": {"allow": ["read_*", 'say"hi"'], "deny": ["[a-c]*"]}},
            {"TOOLS_ALLOW": '["read_*", "say\\"hi\\""]', "TOOLS_DENY": '["[a-c]*"]'},
            id="filter",
        ),
        pytest.param(
            {"limits": {"requestTimeoutSeconds": 5, "maxMessageSize": "1Mi", "callsInFlightPerClient": 2}},
            {"REQUEST_TIMEOUT_SECONDS": "5", "MAX_MESSAGE_BYTES": "1048576", "MAX_CALLS_PER_CLIENT": "2"},
            id="limits",
        ),
        pytest.param(
            {"limits": {"callsPerSecondPerClient": "0.5"}}, {"CALLS_PER_SECOND_PER_CLIENT": "0.5"}, id="rate as text"
        ),
        pytest.param({"limits": {"callsPerSecondPerClient": 3}}, {"CALLS_PER_SECOND_PER_CLIENT": "3"}, id="whole rate"),
        pytest.param({"toolPin": "Strict"}, {"TOOL_PIN": "strict", "PIN_FILE": "/var/run/vsm/pins/admitted"}, id="pin"),
        pytest.param(
            {"isolation": "Session", "sessions": {"maxCount": 3, "maxSeconds": 7200}},
            {
                "ISOLATION": "session",
                "MAX_SESSIONS": "3",
                "SESSION_IDLE_SECONDS": "600",
                "SESSION_MAX_SECONDS": "7200",
            },
            id="sessions",
        ),
        pytest.param({"auth": TOKENS}, {"AUTH": "tokens", "AUTH_TOKENS_DIR": "/var/run/vsm/tokens"}, id="tokens"),
        pytest.param(
            {"auth": REVIEW},
            {
                "AUTH": "token-review",
                "TOKEN_REVIEW_URL": "https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)",
                "TOKEN_REVIEW_CA": "/var/run/vsm/api-server/ca.crt",
                "TOKEN_REVIEW_TOKEN_FILE": "/var/run/vsm/api-server/token",
                "TOKEN_REVIEW_AUDIENCES": "mcp,x",
                "AUTH_ALLOWED": '["system:*"]',
            },
            id="token review",
        ),
    ],
)
def test_spec_reaches_the_bridge_under_the_names_it_reads(fields: dict[str, Any], want: dict[str, str]) -> None:
    assert want.items() <= told(kit.npm(**fields)).items()


def test_bridge_of_an_http_server_has_its_guard_as_well() -> None:
    found = told(kit.http_image(toolFilter={"deny": ["x"]}, auth=TOKENS))
    assert (found["TOOLS_DENY"], found["AUTH"], found["UPSTREAM"]) == ('["x"]', "tokens", "http://127.0.0.1:8000/mcp")


def test_pin_of_an_image_is_for_its_digest() -> None:
    assert told(kit.image())["PIN_FILE"].endswith("/" + specs.DIGEST.replace(":", "-"))


def test_without_a_pin_there_is_no_trace_of_one() -> None:
    given_ = kit.npm(toolPin="Off")
    assert not {"TOOL_PIN", "PIN_FILE"} & set(told(given_))
    assert "pins" not in str(given_.pod())


@settings(max_examples=40)
@given(inputs)
def test_environment_is_never_expanded_but_for_the_api_servers_address(given_: Input) -> None:
    """The kubelet replaces $(NAME) in a value, so nothing of the user's may bring one along."""
    expanded = {name for name, value in environment(given_.bridge()).items() if "$(" in value}
    assert expanded <= {"VSM_BRIDGE_TOKEN_REVIEW_URL"}


@settings(max_examples=60)
@given(inputs)
def test_credentials_and_pins_reach_the_bridge_only(given_: Input) -> None:
    for name, container in containers(given_.pod()):
        found = {mount["name"] for mount in container.get("volumeMounts", ()) if mount["name"] in CREDENTIALS}
        assert not found or name == "bridge"
        assert name == "bridge" or "ADMIN_TOKEN" not in str(container)


@settings(max_examples=60)
@given(inputs)
def test_only_who_asks_the_api_server_has_a_token_and_an_account_for_it(given_: Input) -> None:
    pod = given_.pod()
    review = given_.spec.auth.token_review if given_.spec.auth else None
    assert ("serviceAccountToken" in json.dumps(pod["volumes"])) == (review is not None)
    assert pod["serviceAccountName"] == (review.service_account_name if review else "default")
    assert pod["automountServiceAccountToken"] is False


def test_secret_with_tokens_is_read_only_for_the_group_of_the_bridge() -> None:
    given_ = kit.npm(auth=TOKENS)
    assert volume(given_, "tokens") == {"secret": {"secretName": "clients", "defaultMode": 0o440}}
    assert mounts(given_, "bridge")["tokens"] == "/var/run/vsm/tokens"


def test_token_towards_the_api_server_is_short_lived_and_comes_with_its_authority() -> None:
    token, authority = volume(kit.npm(auth=REVIEW), "api-server")["projected"]["sources"]
    assert token == {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    assert authority["configMap"]["name"] == "kube-root-ca.crt"


def test_init_container_is_told_that_the_api_server_stays_in_reach() -> None:
    for given_ in (kit.npm(auth=REVIEW), kit.image(auth=REVIEW), kit.http_image(auth=REVIEW)):
        (first,) = given_.pod()["initContainers"]
        assert environment(first)["VSM_API_SERVER_ALLOWED"] == "true"
    (first,) = kit.npm(auth=TOKENS).pod()["initContainers"]
    assert "VSM_API_SERVER_ALLOWED" not in environment(first)


def test_token_review_without_known_addresses_is_refused_with_the_value_to_set() -> None:
    unknown = kit.SETTINGS.model_copy(update={"api_server_cidrs": ()})
    with pytest.raises(NotConfigured, match=r"networkPolicy\.apiServer\.cidrs .*VSM_API_SERVER_CIDRS") as caught:
        Input(kit.npm(auth=REVIEW).spec, unknown).deployment()
    assert caught.value.reason == "ApiServerUnknown"


def test_address_of_an_ipv6_cluster_is_put_into_brackets() -> None:
    ipv6 = kit.SETTINGS.model_copy(update={"api_server_cidrs": ("fd00::1/128",)})
    url = told(Input(kit.npm(auth=REVIEW).spec, ipv6))["TOKEN_REVIEW_URL"]
    assert url == "https://[$(KUBERNETES_SERVICE_HOST)]:$(KUBERNETES_SERVICE_PORT)"


def test_launcher_may_have_one_child_more_than_there_are_sessions() -> None:
    """One belongs to the bridge itself."""
    command = kit.npm(isolation="Session", sessions={"maxCount": 3}).server()["command"]
    assert command[command.index("--max-children") + 1] == "4"
    assert "--max-children" not in kit.npm().server()["command"]


@pytest.mark.parametrize(("size", "limit"), [("1Ki", "128Mi"), ("10Mi", "128Mi"), ("16Mi", "128Mi"), ("64Mi", "512Mi")])
def test_bridge_gets_the_memory_that_its_messages_need(size: str, limit: str) -> None:
    given_ = kit.npm(limits={"maxMessageSize": size})
    assert given_.bridge()["resources"]["limits"]["memory"] == limit
    assert int(told(given_)["MAX_MESSAGE_BYTES"]) == value_of(size)


def test_pin_that_is_written_is_no_new_revision_and_another_mode_is() -> None:
    modes = [revision_of(kit.npm(toolPin=mode).deployment()) for mode in ("TrustOnFirstUse", "Strict", "Off")]
    assert len(set(modes)) == 3
    assert volume(kit.npm(), "pins") == {"configMap": {"name": "mcp-memory-pins", "optional": True}}
    assert "sha256:" + "e" * 64 not in str(kit.npm().deployment())


def test_config_map_of_pins_is_the_servers_own() -> None:
    manifest = kit.npm().pins()
    assert manifest["metadata"]["name"] == "mcp-memory-pins"
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == kit.OWNER.uid
    assert all(key in told(kit.npm())["PIN_FILE"] for key in manifest["data"])
