"""Clients' tokens judged by the API server: one TokenReview for all that present the same token, and remembered.

Invariants: no token is logged, part of a message or kept beyond one review; whatever clients send, the number of
reviews at once and the memory for their outcomes are bounded; without an answer nobody gets in.

The standard library's client in a few threads takes 3 MiB of memory where httpx takes 11 to 14: a third of the bridge.
Source: Kubernetes API, authentication.k8s.io/v1 TokenReview.
"""

import asyncio
import json
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from vsm_runtime.bridge.auth import Digest, Forbidden, Unauthorized, Unavailable, bearer_token, digest_of
from vsm_runtime.bridge.jsonrpc import Json
from vsm_runtime.bridge.logs import Throttle, shown
from vsm_runtime.bridge.toolfilter import Globs

ADMITTED_SECONDS = 60.0
REFUSED_SECONDS = 10.0
MAX_CACHED = 1024
"""Good tokens, and as many bad ones."""
MAX_REVIEWS = 32
"""At once, waiting for a thread or in one."""
REVIEW_SECONDS = 5.0
MAX_THREADS = 4
MAX_ANSWER_BYTES = 1 << 20

_log = logging.getLogger(__name__)
_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the API server says of a token that is good."""

    username: str
    groups: tuple[str, ...]


class Reviewer(Protocol):
    async def review(self, token: str) -> Identity | None:
        """None for a token that is not good. Raises Unavailable."""


class _Cache:
    """By the hash of the token; the oldest go first."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[Digest, tuple[float, Identity | None]] = OrderedDict()

    def get(self, key: Digest) -> tuple[Identity | None] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry[0]:
            del self._entries[key]
            return None
        return (entry[1],)

    def put(self, key: Digest, identity: Identity | None) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (self._clock() + self._seconds, identity)
        if len(self._entries) > MAX_CACHED:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class TokenReview:
    """Asks once for all that present the same token at the same time, and remembers the answer for a while."""

    def __init__(
        self, reviewer: Reviewer, *, allowed: tuple[str, ...], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reviewer = reviewer
        self._allowed = Globs(allowed)
        # Apart, so that nobody can make us forget good tokens by sending many bad ones.
        self._good = _Cache(ADMITTED_SECONDS, clock)
        self._bad = _Cache(REFUSED_SECONDS, clock)
        self._reviews: dict[Digest, asyncio.Task[Identity | None]] = {}
        self._refusals = Throttle(lines=10, per_seconds=10.0)

    async def identify(self, headers: Mapping[str, str]) -> str:
        identity = await self._identity(bearer_token(headers))
        if identity is None:
            raise Unauthorized("the cluster does not accept this token for this server, or no longer")
        if self._allowed and not any(map(self._allowed.match, (identity.username, *identity.groups))):
            self._refusals.say(_log, logging.WARNING, "refused: %s is not among those allowed", identity.username)
            raise Forbidden(f"{shown(identity.username)} is not among those who may use this server")
        return shown(identity.username)

    async def _identity(self, token: str) -> Identity | None:
        key = digest_of(token)
        known = self._good.get(key) or self._bad.get(key)
        if known is not None:
            return known[0]
        review = self._reviews.get(key)
        if review is None:
            if len(self._reviews) >= MAX_REVIEWS:
                raise Unavailable("too many tokens are being checked at once; try again")
            review = self._reviews[key] = asyncio.create_task(self._review(key, token))
            review.add_done_callback(_retrieved)
        # A client that hangs up must not take the answer from the others.
        return await asyncio.shield(review)

    async def _review(self, key: Digest, token: str) -> Identity | None:
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                identity = await self._reviewer.review(token)
        except TimeoutError:
            why = "the API server does not answer"
            self._refusals.say(_log, logging.WARNING, "a token could not be checked: %s", why)
            raise Unavailable("tokens cannot be checked now; try again") from None
        except Unavailable as error:
            self._refusals.say(_log, logging.WARNING, "a token could not be checked: %s", str(error))
            raise Unavailable("tokens cannot be checked now; try again") from None
        finally:
            del self._reviews[key]
        (self._bad if identity is None else self._good).put(key, identity)
        return identity


class ApiServer:
    """POST TokenReview. A connection each: answers are remembered, and CA and token are always the newest."""

    def __init__(self, *, url: str, ca_file: Path, token_file: Path, audiences: tuple[str, ...]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._ca_file = ca_file
        self._token_file = token_file
        self._audiences = audiences
        self._threads = ThreadPoolExecutor(MAX_THREADS, "token-review")

    async def review(self, token: str) -> Identity | None:
        spec: Json = {"token": token, **({"audiences": list(self._audiences)} if self._audiences else {})}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        content = json.dumps(body).encode()
        status, answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._post, content)
        if status in (401, 403):
            raise Unavailable(f"the API server answers {status}: this pod's service account may not review tokens")
        if status not in (200, 201):
            raise Unavailable(f"the API server answers a token review with {status}")
        try:
            return _identity(json.loads(answer), self._audiences)
        except (ValueError, RecursionError):
            raise Unavailable("the API server's answer is not a TokenReview") from None

    def _post(self, body: bytes) -> tuple[int, bytes]:
        """In a thread. Raises Unavailable; its text never has a token in it."""
        try:
            own_token = self._token_file.read_text().strip()
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the files for asking the API server cannot be used: {_kind(error)}") from None
        headers = {"Authorization": f"Bearer {own_token}", "Content-Type": "application/json"}
        connection = HTTPSConnection(self._host, self._port, context=context, timeout=REVIEW_SECONDS)
        try:
            connection.request("POST", _PATH, body, headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise Unavailable(f"the API server cannot be asked: {_kind(error)}") from None
        finally:
            connection.close()
        if len(answer) > MAX_ANSWER_BYTES:
            raise Unavailable("the API server's answer is too large for a TokenReview")
        return response.status, answer


def _identity(review: object, audiences: tuple[str, ...]) -> Identity | None:
    """ValueError for what is no TokenReview."""
    status = review.get("status") if isinstance(review, dict) else None
    if not isinstance(status, dict):
        raise ValueError("no status")  # noqa: TRY004 - the caller knows one kind of broken answer
    if status.get("authenticated") is not True:
        return None
    user = status.get("user")
    name = user.get("username") if isinstance(user, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError("no user name")
    # An API server that does not know audiences answers without them; the token may be meant for anybody then.
    meant_for = status.get("audiences")
    if audiences and not (isinstance(meant_for, list) and any(audience in meant_for for audience in audiences)):
        return None
    groups = user.get("groups") if isinstance(user, dict) else None
    names = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
    return Identity(name, tuple(names))


def _kind(error: Exception) -> str:
    """What went wrong. Only of errors that cannot quote a header is there more than the name."""
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {shown(error)}"
    return type(error).__name__


def _retrieved(task: asyncio.Task[Identity | None]) -> None:
    """Else asyncio reports the refusal of a client that did not wait for it."""
    if not task.cancelled():
        task.exception()
