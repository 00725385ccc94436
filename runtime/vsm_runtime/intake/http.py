"""Registries over HTTP: bounded, retried, verified. Proxies and certificate authorities come from the environment.

Credentials in a registry's URL are sent to that origin only and never appear in a message.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError, without_credentials

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
ATTEMPTS = 4
T = TypeVar("T")
_ABSENT = frozenset({404, 405, 410})


@dataclass(frozen=True, slots=True)
class Document:
    """A registry's answer in one piece."""

    url: str
    content_type: str
    body: bytes

    def json(self) -> Any:
        """Raises IntakeError(RegistryUnreachable): a registry that answers nonsense may recover."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            message = f"{without_credentials(self.url)} answered something that is no JSON"
            raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, message) from error


class Budget:
    """Bytes that all downloads of one intake may take together; safe to use from several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, count: int, what: str) -> None:
        """Raises IntakeError(BundleTooLarge) naming what was being downloaded when the budget ran out."""
        with self._lock:
            self._taken += count
            if self._taken > self._max_bytes:
                message = f"the packed archives exceed {self._max_bytes} bytes, at {what}"
                raise IntakeError(IntakeReason.BUNDLE_TOO_LARGE, message)


class Registry:
    """One package registry. Safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        url = httpx.URL(base_url.rstrip("/"))
        self._auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        self.url = str(url.copy_with(username=None, password=None)).rstrip("/")
        self._origin = (url.scheme, url.host, url.port)
        self._sleep = sleep
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=16)
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=True, limits=limits, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, url: str, *, accept: str, max_bytes: int = MAX_DOCUMENT_BYTES) -> Document | None:
        """None when the registry says that there is no such thing."""

        def read(response: httpx.Response) -> Document:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise IntakeError(IntakeReason.RESOLUTION_FAILED, f"{url} answers with more than {max_bytes} bytes")
            return Document(str(response.url), response.headers.get("content-type", ""), bytes(body))

        return self._retried(url, headers={"Accept": accept}, read=read)

    def download(
        self, url: str, path: Path, *, algorithm: str, digest: bytes, budget: "Budget", what: str
    ) -> int | None:
        """Stores a file whose hash is `digest`; returns its size, None when it does not exist. Nothing else is kept."""

        def read(response: httpx.Response) -> int:
            hasher = hashlib.new(algorithm)
            size = 0
            with path.open("wb") as sink:
                for chunk in response.iter_raw():
                    size += len(chunk)
                    budget.take(len(chunk), what)
                    hasher.update(chunk)
                    sink.write(chunk)
            if hasher.digest() != digest:
                path.unlink()
                message = f"{what}: the downloaded file is not the one that the registry lists ({algorithm} differs)"
                raise IntakeError(IntakeReason.INTEGRITY_MISMATCH, message)
            return size

        # identity: an intermediary must not compress again what is compressed, and we hash what travels.
        return self._retried(url, headers={"Accept": "*/*", "Accept-Encoding": "identity"}, read=read)

    def _retried(self, url: str, *, headers: Mapping[str, str], read: Callable[[httpx.Response], T]) -> T | None:
        cause = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(0.5 * 2 ** (attempt - 1))
            try:
                with self._stream(url, headers) as response:
                    if response.status_code in _ABSENT:
                        return None
                    if response.is_success:
                        return read(response)
                    cause = f"answered {response.status_code}"
                    if response.status_code not in (408, 425, 429) and response.status_code < 500:
                        break
            except httpx.TransportError as error:
                cause = f"did not answer: {_describe(error)}"
            except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError) as error:
                cause = f"cannot be used: {_describe(error)}"
                break
        raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, f"{without_credentials(url)} {cause}")

    @contextmanager
    def _stream(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        target = httpx.URL(url)
        own = (target.scheme, target.host, target.port) == self._origin
        with self._client.stream("GET", target, headers=dict(headers), auth=self._auth if own else None) as response:
            yield response


def _describe(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]
