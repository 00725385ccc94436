"""kopf, used for one thing: keeping watches alive and handing over what they say. The only module that imports it.

One handler for every kind; it passes the raw object on and decides nothing. No handler detects changes, so kopf writes
nothing: its storages are replaced by ones that hold nothing, which also makes an event five times cheaper.
Several reactors may run in one process: kopf watches either everywhere or in named namespaces, never both.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import kopf

from vsm_operator.kube.auth import Credentials
from vsm_operator.kube.kinds import Kind
from vsm_operator.kube.manifest import MANAGER
from vsm_operator.runtime.router import Watch

_log = logging.getLogger(__name__)

_DOMAIN = "vsm-mcp.io"

Observe = Callable[[Kind, str | None, Mapping[str, Any]], None]
"""Kind, event type (None: from a listing) and raw object. Must not raise for long, must not wait at all."""


class Reactor:
    """Watches of one scope: all of them cluster-wide, or all in the same namespaces."""

    def __init__(
        self,
        *,
        watches: Sequence[Watch],
        namespaces: tuple[str, ...],
        credentials: Credentials,
        observe: Observe,
        spawned: Callable[[], None] = lambda: None,
    ) -> None:
        """`spawned` is called when kopf has just taken the signal handlers, so that they can be taken back."""
        self._namespaces = namespaces
        self._credentials = credentials
        self._observe = observe
        self._spawned = spawned
        self._stop = asyncio.Event()
        self._settings = _settings(watches)
        self._registry = kopf.OperatorRegistry()
        kopf.on.login(registry=self._registry)(self._login)
        for watch in watches:
            kind = watch.kind
            kopf.on.event(
                group=kind.group,
                version=kind.version,
                plural=kind.plural,
                id=f"observe-{kind.plural}",
                param=kind,
                registry=self._registry,
            )(self._handle)

    async def run(self) -> None:
        """Until `stop`. Raises what ended a watch for good: the process must not live on half blind."""
        tasks = await kopf.spawn_tasks(
            registry=self._registry,
            settings=self._settings,
            standalone=True,
            # kopf's own guess asks for the user's name, and an arbitrary uid has none.
            identity=MANAGER,  # type: ignore[arg-type]
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )
        self._spawned()
        await kopf.run_tasks(tasks, ignored=_NotKopfs())

    def stop(self) -> None:
        self._stop.set()

    async def _handle(self, **raw: Any) -> None:
        event = raw["event"]
        self._observe(raw["param"], event["type"], event["object"])

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        """Also asked again after a 401, hence `renew`."""
        header = await self._credentials.tokens.current(renew=True)
        scheme, _space, token = (header or "").partition(" ")
        return kopf.ConnectionInfo(
            server=self._credentials.server,
            ca_path=self._credentials.ca_path,
            insecure=not self._credentials.verify,
            certificate_path=self._credentials.certificate_path,
            private_key_path=self._credentials.private_key_path,
            scheme=scheme or None,
            token=token or None,
        )


def _settings(watches: Sequence[Watch]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.finalizer = f"{_DOMAIN}/unused"  # should a handler ever need one, it carries our name
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 2.0
    settings.queueing.worker_limit = None  # with a limit, workers that linger would bound the rate of events
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.watching.inactivity_timeout = 70
    settings.watching.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.enforce_retry_after = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.scanning.disabled = True  # kinds are waited for before kopf starts
    settings.execution.max_workers = 1
    settings.process.ultimate_exiting_timeout = None  # the manager bounds its own end
    for watch in watches:
        if watch.selector:
            kind = watch.kind
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = watch.selector
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    return settings


class _NotKopfs(Collection[asyncio.Task[Any]]):
    """At its end, kopf cancels every task that it did not know before; with this it takes all of them for known.
    Its own have been stopped one by one before that."""

    def __contains__(self, task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is compared, nothing is stored."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """No handler has progress."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence
