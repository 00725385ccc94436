"""What the environment of the guard may hold, and that half a configuration does not start."""

import json
from pathlib import Path
from typing import Any

import pytest

from vsm_runtime.bridge.pin import PinMode
from vsm_runtime.bridge.settings import AuthMode, InvalidSetting, Isolation, Settings

REVIEW = {
    "AUTH": "token-review",
    "TOKEN_REVIEW_URL": "https://10.0.0.1:443",
    "TOKEN_REVIEW_CA": "/ca.crt",
    "TOKEN_REVIEW_TOKEN_FILE": "/token",
}


def read(**variables: str) -> Settings:
    return Settings.from_env({f"VSM_BRIDGE_{name}": value for name, value in variables.items()})


def test_nothing_of_the_guard_is_on_without_being_asked_for() -> None:
    settings = read()
    assert (settings.isolation, settings.tool_pin, settings.auth) == (Isolation.SHARED, PinMode.OFF, AuthMode.NONE)
    assert (settings.tools_allow, settings.tools_deny, settings.auth_allowed) == ((), (), ())
    assert (settings.max_sessions, settings.session_idle_seconds, settings.session_max_seconds) == (8, 600, 86400)
    assert (settings.max_calls_per_client, settings.calls_per_second_per_client) == (64, 0)
    assert (settings.admin_token_sha256, settings.drain_seconds) == ("", 10)


@pytest.mark.parametrize(
    ("name", "value", "field", "wanted"),
    [
        ("ISOLATION", "session", "isolation", Isolation.SESSION),
        ("MAX_SESSIONS", "64", "max_sessions", 64),
        ("SESSION_IDLE_SECONDS", "0.5", "session_idle_seconds", 0.5),
        ("SESSION_MAX_SECONDS", "604800", "session_max_seconds", 604800),
        ("TOOLS_ALLOW", '["read_*", "ünïcode"]', "tools_allow", ("read_*", "ünïcode")),
        ("TOOLS_DENY", ' ["[a-c]?"] ', "tools_deny", ("[a-c]?",)),
        ("AUTH_ALLOWED", '["system:serviceaccount:*:agent"]', "auth_allowed", ("system:serviceaccount:*:agent",)),
        ("TOKEN_REVIEW_AUDIENCES", "a, b,", "token_review_audiences", ("a", "b")),
        ("MAX_CALLS_PER_CLIENT", "1", "max_calls_per_client", 1),
        ("CALLS_PER_SECOND_PER_CLIENT", "0.5", "calls_per_second_per_client", 0.5),
        ("ADMIN_TOKEN_SHA256", "AB" * 32, "admin_token_sha256", "ab" * 32),
        ("DRAIN_SECONDS", "2.5", "drain_seconds", 2.5),
        ("PIN_FILE", "/pins/x", "pin_file", Path("/pins/x")),
    ],
)
def test_value_is_read(name: str, value: str, field: str, wanted: Any) -> None:
    assert getattr(read(**{name: value}), field) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISOLATION", "Session"),
        ("MAX_SESSIONS", "0"),
        ("MAX_SESSIONS", "65"),
        ("SESSION_IDLE_SECONDS", "-1"),
        ("SESSION_MAX_SECONDS", "inf"),
        ("TOOLS_ALLOW", "read_*"),
        ("TOOLS_ALLOW", '{"a": 1}'),
        ("TOOLS_DENY", "[1]"),
        ("TOOLS_DENY", '["[z-a]"]'),
        ("TOOLS_DENY", "[" * 50_000),
        ("AUTH_ALLOWED", '[""]'),
        ("TOOL_PIN", "on"),
        ("PIN_FILE", "pins/x"),
        ("AUTH", "basic"),
        ("MAX_CALLS_PER_CLIENT", "0"),
        ("CALLS_PER_SECOND_PER_CLIENT", "nan"),
        ("CALLS_PER_SECOND_PER_CLIENT", "-1"),
        ("CALLS_PER_SECOND_PER_CLIENT", "1e-9"),
        ("DRAIN_SECONDS", "0"),
    ],
)
def test_malformed_value_is_named_in_few_words(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"VSM_BRIDGE_{name} is .*; it must be ") as refused:
        read(**{name: value})
    assert len(str(refused.value)) < 700


def test_what_is_in_place_of_the_hash_of_a_token_is_not_shown() -> None:
    with pytest.raises(InvalidSetting, match="VSM_BRIDGE_ADMIN_TOKEN_SHA256") as refused:
        read(ADMIN_TOKEN_SHA256="the-token-itself")
    assert "the-token-itself" not in str(refused.value)


@pytest.mark.parametrize("mode", ["first-use", "strict"])
def test_pin_needs_its_file(mode: str) -> None:
    with pytest.raises(InvalidSetting, match="VSM_BRIDGE_PIN_FILE"):
        read(TOOL_PIN=mode)
    assert read(TOOL_PIN=mode, PIN_FILE="/p").tool_pin == mode


def test_server_that_speaks_http_is_shared() -> None:
    upstream = {"TRANSPORT": "streamable-http", "UPSTREAM": "http://127.0.0.1:9/mcp"}
    with pytest.raises(InvalidSetting, match="VSM_BRIDGE_ISOLATION"):
        read(ISOLATION="session", **upstream)
    assert read(ISOLATION="shared", **upstream).isolation is Isolation.SHARED


def test_tokens_need_their_directory() -> None:
    with pytest.raises(InvalidSetting, match="VSM_BRIDGE_AUTH_TOKENS_DIR"):
        read(AUTH="tokens")
    assert read(AUTH="tokens", AUTH_TOKENS_DIR="/t").auth_tokens_dir == Path("/t")


@pytest.mark.parametrize("missing", ["TOKEN_REVIEW_URL", "TOKEN_REVIEW_CA", "TOKEN_REVIEW_TOKEN_FILE"])
def test_token_review_needs_all_of_its_settings(missing: str) -> None:
    assert read(**REVIEW).auth is AuthMode.TOKEN_REVIEW
    with pytest.raises(InvalidSetting, match=f"VSM_BRIDGE_{missing}"):
        read(**{**REVIEW, missing: ""})


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:443", "https://", "https://h/path", "https://u:p@h", "https://h?x", "https://h:0", "https://h:x"],
)
def test_token_review_asks_an_api_server_over_tls_only(url: str) -> None:
    with pytest.raises(InvalidSetting, match="VSM_BRIDGE_TOKEN_REVIEW_URL"):
        read(**{**REVIEW, "TOKEN_REVIEW_URL": url})


def test_globs_survive_as_they_were_written() -> None:
    globs = ["a*", "[!x]", "[[]", "b?"]
    assert read(TOOLS_ALLOW=json.dumps(globs)).tools_allow == tuple(globs)
