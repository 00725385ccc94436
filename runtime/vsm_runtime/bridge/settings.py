"""The environment of the bridge, read once. A malformed value stops the start and names its variable.

Invariant: what is accepted here can be used as it is; a half-configured guard (a pin without its file, a check of
tokens without a place to ask) does not start.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from vsm_runtime.bridge.logs import shown
from vsm_runtime.bridge.pin import PinMode
from vsm_runtime.bridge.toolfilter import Globs, InvalidGlob

PREFIX = "VSM_BRIDGE_"
MAX_SESSIONS = 64
_Choice = TypeVar("_Choice", bound=StrEnum)


class Isolation(StrEnum):
    """How many servers there are behind one endpoint."""

    SHARED = "shared"
    """One, for all clients."""
    SESSION = "session"
    """One for each session."""


class AuthMode(StrEnum):
    """How a client shows who it is."""

    NONE = "none"
    """Not at all."""
    TOKENS = "tokens"
    """By one of the bearer tokens in a mounted Secret."""
    TOKEN_REVIEW = "token-review"  # noqa: S105
    """By a token of the cluster, which the API server judges."""


class InvalidSetting(ValueError):  # noqa: N818
    """The text names the variable, what it holds and what it should."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names are those of the variables, without the prefix and in lower case."""

    transport: str = "stdio"
    """stdio or streamable-http."""
    socket: str = "/run/mcp/server.sock"
    upstream: str = ""
    """http://127.0.0.1:PORT/PATH of a server that speaks HTTP itself."""
    host: str = "0.0.0.0"  # noqa: S104 - inside a pod, behind its NetworkPolicy
    port: int = 8080
    """0 takes any free port; the log says which."""
    path: str = "/mcp"
    admin_port: int = 8081
    max_message_bytes: int = 10 << 20
    """Both ways: bodies of clients, lines and answers of the server."""
    request_timeout_seconds: float = 60.0
    """Without an answer or a sign of progress."""
    handshake_timeout_seconds: float = 30.0
    """From the first attempt to connect until tools/list is answered."""
    allowed_origins: frozenset[str] = frozenset()
    """Origins of web pages that may use the server, separated by commas; pages on this machine always may."""
    log_level: str = "INFO"
    isolation: Isolation = Isolation.SHARED
    max_sessions: int = 8
    """Servers at once, under isolation by session."""
    session_idle_seconds: float = 600.0
    session_max_seconds: float = 86400.0
    """From its beginning, however busy it is."""
    tools_allow: tuple[str, ...] = ()
    """Names or globs, as a JSON array; empty allows all."""
    tools_deny: tuple[str, ...] = ()
    """The same; wins over what is allowed."""
    tool_pin: PinMode = PinMode.OFF
    pin_file: Path | None = None
    """Holds the admitted hash once there is one; needed unless the pin is off."""
    auth: AuthMode = AuthMode.NONE
    auth_tokens_dir: Path | None = None
    """File name: client; content: its token."""
    token_review_url: str = ""
    """https://HOST:PORT of the API server."""
    token_review_ca: Path | None = None
    token_review_token_file: Path | None = None
    """The bridge's own token towards the API server."""
    token_review_audiences: tuple[str, ...] = ()
    """Separated by commas; empty leaves it to the API server."""
    auth_allowed: tuple[str, ...] = ()
    """Under token-review: globs over user names and groups, as a JSON array; empty admits whoever has a valid token."""
    max_calls_per_client: int = 64
    """In flight at once."""
    calls_per_second_per_client: float = 0.0
    """0 sets no limit."""
    admin_token_sha256: str = ""
    """Hex digits; without it /admin refuses everything."""
    drain_seconds: float = 10.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises InvalidSetting. An empty value is the same as none."""
        read, default = _Reader(environ), cls()
        settings = cls(
            transport=read.choice("TRANSPORT", default.transport, ("stdio", "streamable-http")),
            socket=read.text("SOCKET", default.socket),
            upstream=read.text("UPSTREAM", default.upstream),
            host=read.text("HOST", default.host),
            port=read.integer("PORT", default.port, low=0, high=65535),
            path=read.text("PATH", default.path),
            admin_port=read.integer("ADMIN_PORT", default.admin_port, low=0, high=65535),
            max_message_bytes=read.integer("MAX_MESSAGE_BYTES", default.max_message_bytes, low=1024, high=1 << 30),
            request_timeout_seconds=read.seconds("REQUEST_TIMEOUT_SECONDS", default.request_timeout_seconds),
            handshake_timeout_seconds=read.seconds("HANDSHAKE_TIMEOUT_SECONDS", default.handshake_timeout_seconds),
            allowed_origins=frozenset(read.items("ALLOWED_ORIGINS")),
            log_level=read.choice("LOG_LEVEL", default.log_level, ("DEBUG", "INFO", "WARNING", "ERROR")),
            isolation=read.member("ISOLATION", default.isolation),
            max_sessions=read.integer("MAX_SESSIONS", default.max_sessions, low=1, high=MAX_SESSIONS),
            session_idle_seconds=read.seconds("SESSION_IDLE_SECONDS", default.session_idle_seconds),
            session_max_seconds=read.seconds("SESSION_MAX_SECONDS", default.session_max_seconds, high=30 * 86400),
            tools_allow=read.globs("TOOLS_ALLOW"),
            tools_deny=read.globs("TOOLS_DENY"),
            tool_pin=read.member("TOOL_PIN", default.tool_pin),
            pin_file=read.path("PIN_FILE"),
            auth=read.member("AUTH", default.auth),
            auth_tokens_dir=read.path("AUTH_TOKENS_DIR"),
            token_review_url=read.text("TOKEN_REVIEW_URL", default.token_review_url),
            token_review_ca=read.path("TOKEN_REVIEW_CA"),
            token_review_token_file=read.path("TOKEN_REVIEW_TOKEN_FILE"),
            token_review_audiences=read.items("TOKEN_REVIEW_AUDIENCES"),
            auth_allowed=read.globs("AUTH_ALLOWED"),
            max_calls_per_client=read.integer("MAX_CALLS_PER_CLIENT", default.max_calls_per_client, low=1, high=65536),
            calls_per_second_per_client=read.rate("CALLS_PER_SECOND_PER_CLIENT"),
            admin_token_sha256=read.sha256("ADMIN_TOKEN_SHA256"),
            drain_seconds=read.seconds("DRAIN_SECONDS", default.drain_seconds, high=3600),
        )
        if not settings.path.startswith("/"):
            raise read.invalid("PATH", settings.path, "a path that begins with /")
        if settings.transport == "streamable-http" and not _is_local_url(settings.upstream):
            raise read.invalid("UPSTREAM", settings.upstream, "http://127.0.0.1:PORT/PATH: the server in this pod")
        _check_guard(settings, read)
        return settings


def _check_guard(settings: Settings, read: "_Reader") -> None:
    """What only makes sense together is there together."""
    if settings.isolation is Isolation.SESSION and settings.transport != "stdio":
        raise read.invalid("ISOLATION", settings.isolation, "shared: a server that speaks HTTP itself is one process")
    if settings.tool_pin is not PinMode.OFF and settings.pin_file is None:
        raise read.invalid("PIN_FILE", "", f"the file with the admitted hash, for TOOL_PIN={settings.tool_pin}")
    if settings.auth is AuthMode.TOKENS and settings.auth_tokens_dir is None:
        raise read.invalid("AUTH_TOKENS_DIR", "", "the directory of the clients' tokens, for AUTH=tokens")
    if settings.auth is AuthMode.TOKEN_REVIEW:
        if not _is_https_origin(settings.token_review_url):
            raise read.invalid("TOKEN_REVIEW_URL", settings.token_review_url, "https://HOST:PORT of the API server")
        if settings.token_review_ca is None:
            raise read.invalid("TOKEN_REVIEW_CA", "", "the file with the API server's CA, for AUTH=token-review")
        if settings.token_review_token_file is None:
            raise read.invalid("TOKEN_REVIEW_TOKEN_FILE", "", "the file with a token of ours, for AUTH=token-review")


def _is_https_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        whole = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and whole
    except ValueError:
        return False


def _is_local_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost") and bool(parts.port)
    except ValueError:
        return False


class _Reader:
    """Each method returns the default for a variable that is absent or empty."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(PREFIX + name, "").strip() or default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise self.invalid(name, value, "one of " + ", ".join(choices))
        return value

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.text(name, str(default))
        if not text.isascii() or not text.isdigit() or not low <= int(text[:20]) <= high:
            raise self.invalid(name, text, f"a whole number from {low} to {high}")
        return int(text)

    def member(self, name: str, default: _Choice) -> _Choice:
        kind = type(default)
        return kind(self.choice(name, default.value, tuple(member.value for member in kind)))

    def seconds(self, name: str, default: float, *, high: int = 86400) -> float:
        text = self.text(name, str(default))
        value = _number(text)
        if not 0 < value <= high:
            raise self.invalid(name, text, f"a number of seconds greater than 0 and at most {high}")
        return value

    def rate(self, name: str) -> float:
        text = self.text(name, "0")
        value = _number(text)
        if not (value == 0 or 0.001 <= value <= 1_000_000):
            raise self.invalid(name, text, "0, or a number from 0.001 to 1000000")
        return value

    def path(self, name: str) -> Path | None:
        text = self.text(name, "")
        if text and (not text.startswith("/") or "\0" in text):
            raise self.invalid(name, text, "an absolute path")
        return Path(text) if text else None

    def items(self, name: str) -> tuple[str, ...]:
        return tuple(filter(None, (item.strip() for item in self.text(name, "").split(","))))

    def globs(self, name: str) -> tuple[str, ...]:
        text = self.text(name, "[]")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.invalid(name, text, "a JSON array of names or globs")
        try:
            Globs(value)
        except InvalidGlob as error:
            raise self.invalid(name, text, f"an array of usable globs: {error}") from error
        return tuple(value)

    def sha256(self, name: str) -> str:
        text = self.text(name, "").lower()
        if text and not re.fullmatch("[0-9a-f]{64}", text):
            # Not shown: what is here by mistake may be the token itself.
            raise InvalidSetting(f"{PREFIX}{name} is not usable; it must be empty or 64 hex digits")
        return text

    @staticmethod
    def invalid(name: str, value: str, wanted: str) -> InvalidSetting:
        return InvalidSetting(f"{PREFIX}{name} is {shown(repr(value))}; it must be {wanted}")


def _number(text: str) -> float:
    """nan for what is none: it is in no range."""
    try:
        return float(text)
    except ValueError:
        return math.nan
