"""KubeApi: the few calls that we make to the API server. Raw dicts in and out, one httpx.AsyncClient underneath.

Every failure leaves as one of `errors`; no httpx exception does. Every request waits for the limiter, and a mutating
one then asks the fence, in this order: a request that waited may have outlived our leadership.
"""

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import httpx

from vsm_operator import __version__
from vsm_operator.errors import Conflict, Fenced, NotServed, ServerError, Throttled, Unreachable
from vsm_operator.kube.answers import error_for, retry_after_seconds
from vsm_operator.kube.auth import Credentials
from vsm_operator.kube.kinds import Key, Kind
from vsm_operator.kube.limits import Limiter, NoLimit
from vsm_operator.kube.manifest import MANAGER, STATUS_MANAGER, Manifest
from vsm_operator.kube.wire import encoded

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
PAGE_SIZE = 500
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_APPLY = "application/apply-patch+yaml"  # a JSON body is YAML
_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_JSON = "application/json"


class Fence(Protocol):
    """Whether we may still write."""

    def valid(self) -> bool: ...


class Unfenced:
    """For programs that are no operator, and for the lease itself."""

    def valid(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One answered or failed request, for metrics. `code` is 0 when there was no answer."""

    verb: str
    resource: str
    code: int
    seconds: float
    writes: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole collection at one version."""

    items: list[Manifest]
    resource_version: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a collection. Every page of one listing carries the same version."""

    items: list[Manifest]
    resource_version: int


@dataclass(slots=True)
class _Shared:
    """What siblings (`fenced`, `unlimited`) have in common."""

    http: httpx.AsyncClient
    credentials: Credentials
    observe: Callable[[Call], None]
    writes: int = 0


class KubeApi:
    """Use as an async context manager, or call `close`."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        holder: str = "",
        limiter: Limiter | None = None,
        observe: Callable[[Call], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`holder` names this replica in the User-Agent, so that an audit log tells leaders apart."""
        agent = f"{MANAGER}/{__version__}"
        http = httpx.AsyncClient(
            base_url=credentials.server,
            headers={"User-Agent": f"{agent} ({holder})" if holder else agent, "Accept": _JSON},
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
            timeout=TIMEOUT,
            transport=transport,
            # A proxy from the environment is for the world outside; the API server is reached directly.
            trust_env=False,
            verify=True if transport else credentials.ssl_context(),
        )
        self._shared = _Shared(http, credentials, observe or (lambda _: None))
        self._limiter: Limiter = limiter or NoLimit()
        self._fence: Fence = Unfenced()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every connection, also those of siblings."""
        await self._shared.http.aclose()

    def fenced(self, fence: Fence) -> "KubeApi":
        """The same connections; writes are withheld (Fenced) when `fence` is not valid."""
        return self._sibling(self._limiter, fence)

    def unlimited(self) -> "KubeApi":
        """The same connections without a queue in front: for the lease, whose deadline does not wait."""
        return self._sibling(NoLimit(), Unfenced())

    @property
    def writes(self) -> int:
        """Mutating requests sent so far, siblings included."""
        return self._shared.writes

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """None when there is no such object."""
        response = await self._send("get", kind, "GET", kind.object_path(key), about=str(key))
        return None if response.status_code == 404 else self._body(response, about=str(key))

    async def list(self, kind: Kind, *, namespace: str | None = None, selector: str | None = None) -> Listing:
        """Everything at once; `pages` is for collections that may be large."""
        items: list[Manifest] = []
        version = 0
        async for page in self.pages(kind, namespace=namespace, selector=selector):
            items += page.items
            version = page.resource_version
        return Listing(items, version)

    async def pages(
        self, kind: Kind, *, namespace: str | None = None, selector: str | None = None
    ) -> AsyncIterator[Page]:
        """Consistent, and at most PAGE_SIZE objects in memory.

        Errors: NotServed; Conflict (410) when the listing took so long that its version expired.
        """
        about = f"{kind.plural} in {namespace}" if namespace else kind.plural
        parameters = {"limit": str(PAGE_SIZE)} | ({"labelSelector": selector} if selector else {})
        while True:
            path = kind.collection_path(namespace)
            response = await self._send("list", kind, "GET", path, about=about, parameters=parameters)
            if response.status_code == 404:
                raise NotServed(f"the API server does not serve {kind.plural}.{kind.group or 'core'}/{kind.version}")
            body = self._body(response, about=about)
            # Items of a list come without these two, and everything downstream expects whole manifests.
            for item in body.get("items") or ():
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            metadata = body.get("metadata") or {}
            yield Page(body.get("items") or [], version_of(metadata))
            token = metadata.get("continue")
            if not token:
                return
            parameters["continue"] = token

    async def apply(self, kind: Kind, manifest: Manifest, *, manager: str = MANAGER, force: bool = True) -> Manifest:
        """Server-side apply: creates or corrects, and takes disputed fields over unless `force` is False."""
        parameters = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._write("apply", kind, "PATCH", manifest, media_type=_APPLY, parameters=parameters)

    async def apply_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply of /status. A resourceVersion in the metadata makes it a Conflict when the object moved.

        A uid there would be ignored: for /status the API server takes the metadata from the stored object.
        """
        parameters = {"fieldManager": STATUS_MANAGER, "force": "true"}
        return await self._write(
            "apply", kind, "PATCH", manifest, media_type=_APPLY, parameters=parameters, subresource="status"
        )

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Errors: AlreadyExists."""
        path = kind.collection_path(kind.key_of(manifest).namespace)
        return await self._write("create", kind, "POST", manifest, path=path, parameters={"fieldManager": MANAGER})

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """The whole object; a resourceVersion in the metadata makes it a Conflict when somebody was faster."""
        return await self._write("update", kind, "PUT", manifest, parameters={"fieldManager": MANAGER})

    async def merge_patch(self, kind: Kind, key: Key, patch: Mapping[str, Any]) -> Manifest:
        """JSON merge patch: null removes a key."""
        response = await self._send(
            "patch", kind, "PATCH", kind.object_path(key), about=str(key), content=patch, media_type=_MERGE
        )
        return self._body(response, about=str(key))

    async def json_patch(self, kind: Kind, key: Key, operations: Sequence[Mapping[str, Any]]) -> Manifest:
        """RFC 6902. A "test" that fails is an InvalidSpec, like a result that the API server does not accept."""
        response = await self._send(
            "patch", kind, "PATCH", kind.object_path(key), about=str(key), content=operations, media_type=_JSON_PATCH
        )
        return self._body(response, about=str(key))

    async def delete(self, kind: Kind, key: Key, *, uid: str, propagation: str = "Background") -> Manifest | None:
        """Only the object of that uid. None when it is gone now, else the object while finalizers hold it.

        Deleting what is gone, or what has made room for a namesake, succeeds: the goal is reached.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        }
        try:
            response = await self._send(
                "delete", kind, "DELETE", kind.object_path(key), about=str(key), content=options
            )
        except Conflict:
            # The message does not say reliably whether the precondition failed.
            live = await self.get(kind, key)
            if live is None or live["metadata"]["uid"] != uid:
                return None
            raise
        if response.status_code == 404:
            return None
        body = self._body(response, about=str(key))
        return body if body.get("kind") == kind.kind and body["metadata"].get("deletionTimestamp") else None

    async def _write(
        self,
        verb: str,
        kind: Kind,
        method: str,
        manifest: Manifest,
        *,
        parameters: Mapping[str, str],
        media_type: str = _JSON,
        subresource: str = "",
        path: str = "",
    ) -> Manifest:
        key = kind.key_of(manifest)
        path = path or kind.object_path(key) + (f"/{subresource}" if subresource else "")
        response = await self._send(
            verb,
            kind,
            method,
            path,
            about=str(key),
            parameters=parameters,
            content=manifest,
            media_type=media_type,
            subresource=subresource,
        )
        return self._body(response, about=str(key))

    async def _send(
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        *,
        about: str,
        parameters: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | Sequence[Any] | None = None,
        media_type: str = _JSON,
        subresource: str = "",
    ) -> httpx.Response:
        """An answer below 400, or 404. Anything else is raised."""
        writes = method != "GET"
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        payload = None if content is None else encoded(content)
        for renew in (False, True):
            await self._limiter.acquire()
            if writes and not self._fence.valid():
                raise Fenced(f"{verb} {about}: not sent, since another replica may be the leader by now")
            headers = {"Content-Type": media_type} if payload is not None else {}
            if token := await self._shared.credentials.tokens.current(renew=renew):
                headers["Authorization"] = token
            request = self._shared.http.build_request(
                method, path, params=dict(parameters or {}), content=payload, headers=headers
            )
            self._shared.writes += writes
            started = time.monotonic()
            code = 0
            try:
                response = await self._shared.http.send(request)
                code = response.status_code
            except TRANSPORT_ERRORS as error:
                raise Unreachable(f"{verb} {about}: no answer from the API server ({describe(error)})") from error
            finally:
                seconds = time.monotonic() - started
                self._shared.observe(Call(verb=verb, resource=resource, code=code, seconds=seconds, writes=writes))
            if code != 401:
                break
            _log.info("the API server refused our credentials; reading them again")
        if code == 429:
            pause = retry_after_seconds(response.headers)
            self._limiter.pause(pause)
            raise Throttled(f"{verb} {about}: the API server asks for a pause", retry_after_seconds=pause)
        if code >= 400 and (code != 404 or verb in {"apply", "create", "update", "patch"}):
            raise error_for(code, _status_of(response), what=f"{verb} {about}")
        return response

    def _body(self, response: httpx.Response, *, about: str) -> Manifest:
        body = _decoded(response)
        if not isinstance(body, dict):
            raise ServerError(f"{about}: the API server's answer is not a JSON object")
        return body

    def _sibling(self, limiter: Limiter, fence: Fence) -> "KubeApi":
        sibling = object.__new__(KubeApi)
        sibling._shared, sibling._limiter, sibling._fence = self._shared, limiter, fence
        return sibling


TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, OSError)
"""Everything that httpx raises while a request is sent; a test compares this with what httpx exports."""


def describe(error: Exception) -> str:
    """Timeouts have no text of their own."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def version_of(metadata: Mapping[str, Any]) -> int:
    """resourceVersion as a number, 0 when it is none. Comparable within one kind."""
    text = str(metadata.get("resourceVersion", ""))
    return int(text) if text.isascii() and text.isdigit() else 0


def _decoded(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _status_of(response: httpx.Response) -> Mapping[str, Any]:
    body = _decoded(response)
    return body if isinstance(body, dict) else {}
