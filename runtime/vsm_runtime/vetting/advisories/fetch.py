"""One registry asked for JSON: bounded in bytes, packed or not, and in time; nothing is followed to another place.

Every way to fail ends in SourceTrouble with a status and a short reason that names neither URL nor credentials. The
only success is status 200 with a body of the expected shape.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec

from vsm_operator.domain.vetting.model import SourceStatus

MAX_ANSWER_BYTES = 16 * 1024 * 1024
DEADLINE_SECONDS = 30.0
ATTEMPTS = 2
RETRY_PAUSE_SECONDS = 0.5
_READ_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_ABSENT = frozenset({404, 405, 410, 501})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIECE_BYTES = 64 * 1024
T = TypeVar("T")


class SourceTrouble(Exception):  # noqa: N818 - an answer, not a defect
    """The source gave nothing usable. `absent`: it says that it has no such endpoint or document at all."""

    def __init__(self, status: SourceStatus, reason: str, *, absent: bool = False, passing: bool = False) -> None:
        super().__init__(reason)
        self.status: SourceStatus = status
        self.reason = reason
        self.absent = absent
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one question may cost."""

    max_answer_bytes: int = MAX_ANSWER_BYTES
    deadline_seconds: float = DEADLINE_SECONDS


class JsonSource:
    """A registry's base URL, userinfo taken out of it. Safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        *,
        bounds: Bounds = Bounds(),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        url = httpx.URL(base_url.rstrip("/"))
        self._auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        self.url = str(url.copy_with(username=None, password=None)).rstrip("/")
        self._bounds, self._sleep, self._clock = bounds, sleep, clock
        self._ssl = httpx.create_ssl_context()

    def get(self, path: str, *, shape: type[T]) -> T:
        return self._asked("GET", path, content=None, shape=shape)

    def post(self, path: str, *, body: Mapping[str, object], shape: type[T]) -> T:
        return self._asked("POST", path, content=msgspec.json.encode(body), shape=shape)

    def _asked(self, method: str, path: str, *, content: bytes | None, shape: type[T]) -> T:
        """Raises SourceTrouble. What may pass is tried once more within the same deadline."""
        deadline = self._clock() + self._bounds.deadline_seconds
        for attempt in range(ATTEMPTS):
            try:
                body = self._once(method, path, content=content, deadline=deadline)
            except SourceTrouble as trouble:
                last = attempt + 1 == ATTEMPTS or self._clock() + RETRY_PAUSE_SECONDS >= deadline
                if not trouble.passing or last:
                    raise
                self._sleep(RETRY_PAUSE_SECONDS)
                continue
            return decoded(body, shape)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, *, content: bytes | None, deadline: float) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            with (
                self._client(deadline) as client,
                client.stream(method, self.url + path, content=content, headers=headers) as response,
            ):
                if response.status_code != 200:
                    code = response.status_code
                    raise SourceTrouble(
                        "unavailable", f"answered {code}", absent=code in _ABSENT, passing=code in _PASSING
                    )
                pieces = _unpacked(response.iter_raw(), encoding=response.headers.get("content-encoding", ""))
                return self._collected(pieces, deadline=deadline)
        except httpx.TimeoutException as error:
            raise SourceTrouble("unavailable", "did not answer in time") from error
        except (httpx.TransportError, httpx.StreamError) as error:
            reason = f"cannot be reached ({type(error).__name__})"
            raise SourceTrouble("unavailable", reason, passing=True) from error
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise SourceTrouble("error", f"cannot be asked ({type(error).__name__})") from error
        except (OSError, ValueError, RuntimeError) as error:
            # What a socket or client says that was closed under somebody's hands.
            raise SourceTrouble("unavailable", "did not answer in time") from error

    @contextmanager
    def _client(self, deadline: float) -> Iterator[httpx.Client]:
        """A client of its own for each question: it is closed at the deadline, whatever it is waiting for.

        Timeouts of reads alone do not bound an answer, not even its headers: each byte starts a new one. Redirects are
        not followed: neither our question nor our credentials belong to another place.
        """
        with httpx.Client(timeout=_READ_TIMEOUT, auth=self._auth, verify=self._ssl, follow_redirects=False) as client:
            alarm = threading.Timer(max(0.0, deadline - self._clock()), client.close)
            alarm.daemon = True
            alarm.start()
            try:
                yield client
            finally:
                alarm.cancel()

    def _collected(self, pieces: Iterator[bytes], *, deadline: float) -> bytes:
        body = bytearray()
        for piece in pieces:
            body += piece
            if len(body) > self._bounds.max_answer_bytes:
                raise SourceTrouble("error", f"answered more than {self._bounds.max_answer_bytes} bytes")
            if self._clock() > deadline:  # a drip keeps every single read alive
                raise SourceTrouble("unavailable", "did not finish its answer in time")
        return bytes(body)


def decoded(body: bytes, shape: type[T]) -> T:
    """Fields outside of `shape` are skipped without being built. Raises SourceTrouble(error) for any other shape."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SourceTrouble("error", "answered something that is not the expected JSON") from error


def _unpacked(pieces: Iterator[bytes], *, encoding: str) -> Iterator[bytes]:
    """In small pieces, so that a bound on their sum holds for packed answers as well."""
    if encoding.lower() in ("", "identity"):
        yield from pieces
        return
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise SourceTrouble("error", "answered in an encoding that was not asked for")
    inflate = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            waiting = piece
            while waiting and not inflate.eof:
                yield inflate.decompress(waiting, _PIECE_BYTES)
                waiting = inflate.unconsumed_tail
        while not inflate.eof and (rest := inflate.decompress(inflate.unconsumed_tail, _PIECE_BYTES)):
            yield rest
    except zlib.error as error:
        raise SourceTrouble("error", "answered a damaged gzip stream") from error
    if not inflate.eof:
        raise SourceTrouble("error", "answered a gzip stream without an end")
