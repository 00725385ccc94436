"""The environment of the bridge, read once. A malformed value stops the start and names its variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

PREFIX = "VSM_BRIDGE_"


class InvalidSetting(ValueError):  # noqa: N818
    """The text names the variable, what it holds and what it should."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names are those of the variables, without the prefix and in lower case."""

    transport: str = "stdio"
    """stdio or streamable-http."""
    socket: str = "/run/mcp/server.sock"
    control: str = "/run/mcp/control.sock"
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

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises InvalidSetting. An empty value is the same as none."""
        read, default = _Reader(environ), cls()
        settings = cls(
            transport=read.choice("TRANSPORT", default.transport, ("stdio", "streamable-http")),
            socket=read.text("SOCKET", default.socket),
            control=read.text("CONTROL", default.control),
            upstream=read.text("UPSTREAM", default.upstream),
            host=read.text("HOST", default.host),
            port=read.integer("PORT", default.port, low=0, high=65535),
            path=read.text("PATH", default.path),
            admin_port=read.integer("ADMIN_PORT", default.admin_port, low=0, high=65535),
            max_message_bytes=read.integer("MAX_MESSAGE_BYTES", default.max_message_bytes, low=1024, high=1 << 30),
            request_timeout_seconds=read.seconds("REQUEST_TIMEOUT_SECONDS", default.request_timeout_seconds),
            handshake_timeout_seconds=read.seconds("HANDSHAKE_TIMEOUT_SECONDS", default.handshake_timeout_seconds),
            allowed_origins=frozenset(filter(None, (o.strip() for o in read.text("ALLOWED_ORIGINS", "").split(",")))),
            log_level=read.choice("LOG_LEVEL", default.log_level, ("DEBUG", "INFO", "WARNING", "ERROR")),
        )
        if not settings.path.startswith("/"):
            raise read.invalid("PATH", settings.path, "a path that begins with /")
        if settings.transport == "streamable-http" and not _is_local_url(settings.upstream):
            raise read.invalid("UPSTREAM", settings.upstream, "http://127.0.0.1:PORT/PATH: the server in this pod")
        return settings


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

    def seconds(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= 86400:
            raise self.invalid(name, text, "a number of seconds greater than 0 and at most 86400")
        return value

    @staticmethod
    def invalid(name: str, value: str, wanted: str) -> InvalidSetting:
        return InvalidSetting(f"{PREFIX}{name} is {value!r}; it must be {wanted}")
