"""A small client of the OCI distribution API: monolithic pushes, verified pulls, basic and token authentication.

Every byte that comes in is checked against the digest that was asked for. Whatever goes wrong is an OciError whose
`retryable` says if time alone can help; transient failures were retried by then, downloads from where they broke off.
"""

import hashlib
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from vsm_runtime.oci_auth import Authenticator, Credentials

MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.vsm-mcp.bundle.v1"
FACTS_MEDIA_TYPE = "application/vnd.vsm-mcp.facts.v1+json"
LAYER_MEDIA_TYPE = "application/vnd.vsm-mcp.bundle.layer.v1.tar+gzip"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_FACTS_BYTES = 16 * 1024 * 1024

T = TypeVar("T")
_ATTEMPTS = 5
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_CHUNK_BYTES = 256 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


class OciError(Exception):
    """The registry did not do what was asked; the text is for people and holds no credentials."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class OciCorruptError(OciError):
    """What the registry delivered is not what its digest says."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The exact bytes of a manifest and their digest."""

    body: bytes
    digest: str


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def check_digest(digest: str) -> str:
    """`digest` itself; raises ValueError when it is no sha256 digest."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r} is no digest of the form sha256:<64 hexadecimal digits>")
    return digest


class OciClient:
    """One repository in one registry. Not for several threads."""

    def __init__(
        self,
        url: str,
        repository: str,
        *,
        credentials: Credentials | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not _REPOSITORY.fullmatch(repository):
            raise ValueError(f"{repository[:80]!r} is no repository name")
        self._base = f"{url.rstrip('/')}/v2/{repository}"
        self._repository = repository
        self._client = httpx.Client(timeout=_TIMEOUT, follow_redirects=True, transport=transport)
        self._auth = Authenticator(httpx.URL(url), repository=repository, credentials=credentials, client=self._client)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def manifest(self, reference: str) -> Manifest | None:
        """By tag or digest; None when there is none. Verified when `reference` is a digest."""
        url = f"{self._base}/manifests/{reference}"

        def read(response: httpx.Response) -> Manifest | None:
            if response.status_code == 404:
                return None
            body = _read_bounded(response, MAX_MANIFEST_BYTES)
            digest = digest_of(body)
            if reference.startswith("sha256:") and digest != reference:
                raise OciCorruptError(f"the registry delivers another manifest than {reference}")
            return Manifest(body, digest)

        return self._request("GET", url, read, ok=(200, 404), headers={"Accept": MANIFEST_MEDIA_TYPE})

    def blob(self, digest: str, *, max_bytes: int) -> bytes:
        """A small blob, verified."""

        def read(response: httpx.Response) -> bytes:
            body = _read_bounded(response, max_bytes)
            if digest_of(body) != digest:
                raise OciCorruptError(f"the registry delivers other content than {digest}")
            return body

        return self._request("GET", self._blob_url(digest), read, ok=(200,))

    def chunks(self, digest: str, *, max_bytes: int) -> Iterator[bytes]:
        """A blob in pieces, none of them empty, resumed when interrupted. Unverified until the iterator has ended."""
        hasher, size = hashlib.sha256(), 0
        for attempt in range(_ATTEMPTS):
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
            try:
                with self._answer("GET", self._blob_url(digest), ok=(200, 206), headers=headers) as response:
                    known = size if response.status_code == 200 else 0  # the registry cannot resume
                    for chunk in response.iter_raw():  # unbuffered: what has arrived is kept
                        fresh, known = chunk[known:], max(0, known - len(chunk))
                        size += len(fresh)
                        if size > max_bytes:
                            raise OciCorruptError(f"blob {digest} is larger than the {max_bytes} bytes it may have")
                        hasher.update(fresh)
                        if fresh:
                            yield fresh
                break
            except OciError as error:
                self._pause_or_raise(error, attempt, _ATTEMPTS)
        if f"sha256:{hasher.hexdigest()}" != digest:
            raise OciCorruptError(f"the registry delivers other content than {digest}")

    def has_blob(self, digest: str) -> bool:
        return self._request("HEAD", self._blob_url(digest), lambda r: r.status_code == 200, ok=(200, 404))

    def push_blob(self, digest: str, source: Path | bytes) -> None:
        """Does nothing when the registry has it already; two who push the same blob do no harm."""
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if self.has_blob(digest):
            return
        for attempt in itertools.count():
            place = self._request("POST", f"{self._base}/blobs/uploads/", _location, ok=(202,))
            target = str(place.copy_merge_params({"digest": digest}))
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            try:
                # An upload session that broke is never continued: a new one costs little next to doubt.
                self._request("PUT", target, _ignore, ok=(201,), headers=headers, body=source, attempts=1)
            except OciError as error:
                self._pause_or_raise(error, attempt, _ATTEMPTS)
            else:
                return

    def push_manifest(self, reference: str, body: bytes) -> None:
        """Puts a manifest under a tag, or under its digest."""
        headers = {"Content-Type": MANIFEST_MEDIA_TYPE}
        url = f"{self._base}/manifests/{reference}"
        self._request("PUT", url, _ignore, ok=(201,), headers=headers, body=body)

    def _blob_url(self, digest: str) -> str:
        return f"{self._base}/blobs/{check_digest(digest)}"

    def _request(
        self,
        method: str,
        url: str,
        read: Callable[[httpx.Response], T],
        *,
        ok: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Path | bytes | None = None,
        attempts: int = _ATTEMPTS,
    ) -> T:
        """`read` gets the open response; what it raises ends the request, a broken connection starts it again."""
        for attempt in itertools.count():
            try:
                with self._answer(method, url, ok=ok, headers=headers, body=body) as response:
                    return read(response)
            except OciError as error:
                self._pause_or_raise(error, attempt, attempts)
        raise AssertionError("itertools.count ended")

    def _pause_or_raise(self, error: OciError, attempt: int, attempts: int) -> None:
        if not error.retryable or attempt + 1 >= attempts:
            raise error
        self._sleep(min(0.5 * 2.0**attempt, 8.0))

    @contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        *,
        ok: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Path | bytes | None = None,
    ) -> Iterator[httpx.Response]:
        """An answer with one of the statuses `ok`; whatever breaks before the block ends is an OciError."""
        try:
            with self._authenticated(method, url, headers or {}, body) as response:
                if response.status_code not in ok:
                    raise _refusal(method, url, response)
                yield response
        except httpx.TransportError as error:
            message = f"{method} {_shown(url)}: {type(error).__name__} {error}".strip()
            raise OciError(message, retryable=True) from error
        except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.StreamError) as error:
            raise OciError(f"{method} {_shown(url)}: {error}", retryable=False) from error

    @contextmanager
    def _authenticated(
        self, method: str, url: str, headers: Mapping[str, str], body: Path | bytes | None
    ) -> Iterator[httpx.Response]:
        """The answer after authentication, which the first request of a kind may have to learn first."""
        writing = method not in ("GET", "HEAD")
        with self._sent(method, url, {**headers, **self._auth.headers(url, writing=writing)}, body) as response:
            learned = response.status_code == 401 and self._auth.learn(response, writing=writing)
            if not learned:
                yield response
                return
        with self._sent(method, url, {**headers, **self._auth.headers(url, writing=writing)}, body) as response:
            yield response

    @contextmanager
    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: Path | bytes | None
    ) -> Iterator[httpx.Response]:
        with ExitStack() as stack:
            content = stack.enter_context(body.open("rb")) if isinstance(body, Path) else body
            yield stack.enter_context(self._client.stream(method, url, headers=dict(headers), content=content))


def _ignore(_: httpx.Response) -> None:
    return None


def _location(response: httpx.Response) -> httpx.URL:
    return response.url.join(response.headers.get("location", ""))


def _read_bounded(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise OciCorruptError(f"{_shown(str(response.url))} is larger than the {max_bytes} bytes that it may have")
    return bytes(body)


def _refusal(method: str, url: str, response: httpx.Response) -> OciError:
    status = response.status_code
    why = {401: ": the credentials are not accepted", 403: ": access is denied", 404: ": there is no such thing"}
    retryable = status in (408, 425, 429) or status >= 500
    return OciError(f"{method} {_shown(url)} answered {status}{why.get(status, '')}", retryable=retryable)


def _shown(url: str) -> str:
    """Without credentials and without the state that upload locations carry."""
    return str(httpx.URL(url).copy_with(username=None, password=None, query=None))
