"""Who a client is, by its bearer token: one of a mounted Secret's, here, or one that the API server vouches for, in
`tokenreview`.

Invariants: no token is logged or part of a message; tokens are kept as hashes only and compared in constant time; what
cannot be decided is refused.
"""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from vsm_runtime.bridge.logs import Throttle, shown
from vsm_runtime.bridge.settings import AuthMode, Settings

MAX_TOKEN_CHARS = 16 << 10
MIN_TOKEN_CHARS = 16
"""Of a token in a Secret: what is shorter can be guessed, and is not used."""
MAX_TOKENS = 1024
RELOAD_SECONDS = 1.0
"""A removed token is good for this long at most, once the kubelet has brought the change."""

_log = logging.getLogger(__name__)
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
Digest = bytes


class Refusal(Exception):  # noqa: N818
    """The text is for the client, and holds nothing that it does not know already."""

    status: ClassVar[int]


class Unauthorized(Refusal):
    """No token, or none that is good. Goes with WWW-Authenticate: Bearer."""

    status = 401


class Forbidden(Refusal):
    """It is clear who it is, and that it may not."""

    status = 403


class Unavailable(Refusal):
    """Nobody can tell now."""

    status = 503


class Authenticator(Protocol):
    async def identify(self, headers: Mapping[str, str]) -> str:
        """The client's name; "" where nobody is asked for one. Raises a Refusal. Header names are in lower case."""


def authenticator(settings: Settings) -> Authenticator:
    """Reads no file yet."""
    if settings.auth is AuthMode.TOKENS and settings.auth_tokens_dir is not None:
        return TokenFiles(settings.auth_tokens_dir)
    if settings.auth is AuthMode.TOKEN_REVIEW and settings.token_review_ca and settings.token_review_token_file:
        from vsm_runtime.bridge.tokenreview import ApiServer, TokenReview  # noqa: PLC0415 - only where it is used

        return TokenReview(
            ApiServer(
                url=settings.token_review_url,
                ca_file=settings.token_review_ca,
                token_file=settings.token_review_token_file,
                audiences=settings.token_review_audiences,
            ),
            allowed=settings.auth_allowed,
        )
    if settings.auth is AuthMode.NONE:
        return Anybody()
    raise ValueError(f"authentication by {settings.auth.value} lacks settings")


def bearer_token(headers: Mapping[str, str]) -> str:
    """Raises Unauthorized."""
    value = headers.get("authorization")
    if not value:
        raise Unauthorized("this server wants a token: Authorization: Bearer TOKEN")
    found = _BEARER.fullmatch(value) if len(value) <= MAX_TOKEN_CHARS else None
    if found is None:
        raise Unauthorized("the Authorization header is not of the form: Bearer TOKEN")
    return found[1]


class Anybody:
    """Every client, by no name."""

    async def identify(self, headers: Mapping[str, str]) -> str:  # noqa: ARG002
        return ""


class TokenFiles:
    """One file a client: its name is the client's, its content the token. Read again when something in it changed."""

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._looked_at = float("-inf")
        self._signature: object = None
        self._clients: tuple[tuple[Digest, str], ...] = ()
        self._problems = Throttle(lines=1, per_seconds=60.0)

    async def identify(self, headers: Mapping[str, str]) -> str:
        presented = digest_of(bearer_token(headers))
        self._look()
        client = ""
        for digest, name in self._clients:
            # All of them, always: the time taken tells nothing about which one was near.
            if hmac.compare_digest(digest, presented):
                client = name
        if not client:
            raise Unauthorized("this token is not known here")
        return client

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < RELOAD_SECONDS:
            return
        self._looked_at = now
        try:
            paths = sorted(path for path in self._directory.iterdir() if not path.name.startswith("."))
        except OSError as error:
            self._clients, self._signature = (), None
            self._problems.say(_log, logging.WARNING, "the clients' tokens cannot be read: %s", str(error))
            return
        signature = [_signature(path) for path in paths]
        if signature != self._signature:
            self._clients = _read_clients(paths)
            self._signature = signature


def _signature(path: Path) -> tuple[object, ...]:
    """Without numbers for what is not there: a name may for a moment lead nowhere while a mounted Secret changes."""
    try:
        status = path.stat()
    except OSError:
        return (path.name,)
    return (path.name, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def _read_clients(paths: list[Path]) -> tuple[tuple[Digest, str], ...]:
    """A file that cannot be used costs its own client the access, and nobody else."""
    clients: dict[Digest, str] = {}
    for path in paths[:MAX_TOKENS]:
        name = shown(path.name)
        try:
            token = _read_token(path)
        except OSError as error:
            _log.warning("the token of client %s cannot be read: %s", name, error.strerror)
            continue
        if token is None:
            why = f"a token has {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} of A-Z a-z 0-9 . _ ~ + / - and = at its end"
            _log.warning("the token of client %s is not used: %s", name, why)
        elif (other := clients.setdefault(digest_of(token), name)) != name:
            _log.warning("the token of client %s is that of %s too, and counts as that one's", name, other)
    if len(paths) > MAX_TOKENS:
        _log.warning("there are %d clients' tokens; only the first %d are used", len(paths), MAX_TOKENS)
    _log.info("%d clients' tokens are known", len(clients))
    return tuple(clients.items())


def _read_token(path: Path) -> str | None:
    """None for what is no token, or none that may be used. Raises OSError."""
    if not path.is_file():  # a pipe would hold us up
        return None
    with path.open("rb") as file:
        text = file.read(MAX_TOKEN_CHARS + 2).decode("latin-1").strip()
    fits = MIN_TOKEN_CHARS <= len(text) <= MAX_TOKEN_CHARS
    return text if fits and _BEARER.fullmatch(f"Bearer {text}") else None


def digest_of(token: str) -> Digest:
    return hashlib.sha256(token.encode()).digest()
