"""Keeps one server alive: connect, introduce, list tools, serve until it is gone, wait, again.

Readiness has one owner: the hub is open exactly between a complete handshake with tools/list and the first sign of the
server's end, and that sign closes it synchronously, before anything here gets to run. No list of tools leaves here that
the gate has not judged.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from vsm_runtime.bridge.backoff import HEALTHY_SECONDS, Backoff
from vsm_runtime.bridge.eras import Peer
from vsm_runtime.bridge.gate import Gate, NotAdmitted
from vsm_runtime.bridge.handshake import HandshakeFailed, introduce, list_tools
from vsm_runtime.bridge.hub import Hub
from vsm_runtime.bridge.jsonrpc import Malformed
from vsm_runtime.bridge.link import ConnectFailed, Connector, Ending, Link, LinkBusy
from vsm_runtime.bridge.questions import Owner
from vsm_runtime.bridge.status import Blocked, Failure, Reason, State, Status
from vsm_runtime.bridge.subscriptions import Subscriptions
from vsm_runtime.bridge.toolbook import Listing, summarise
from vsm_runtime.bridge.toolfilter import ToolFilter

_log = logging.getLogger(__name__)
RELIST_PAUSE_SECONDS = 1.0
"""At most one tools/list of ours in this time, however often a server says that its tools changed."""


class Supervisor:
    """One task; `status` is its only output beside the hub."""

    def __init__(
        self,
        *,
        connector: Connector,
        gate: Gate,
        tool_filter: ToolFilter,
        handshake_timeout_seconds: float,
        on_restart: Callable[[], None] = lambda: None,
        on_listed: Callable[[Iterable[str]], None] = lambda _: None,
        owner: Owner | None = None,
    ) -> None:
        self.hub = Hub(on_end=self._on_end, on_tools_changed=self._on_tools_changed, owner=owner)
        self.subscriptions = Subscriptions(self.hub)
        self.status = Status()
        self.tried = asyncio.Event()
        """It has served, or failed, once."""
        self._connector = connector
        self._gate = gate
        self._tool_filter = tool_filter
        self._handshake_timeout_seconds = handshake_timeout_seconds
        self._on_restart = on_restart
        self._on_listed = on_listed
        self._backoff = Backoff()
        self._probe = True
        self._tools_changed = asyncio.Event()
        self._link: Link | None = None
        self._listing: asyncio.Task[Listing] | None = None

    @property
    def ready(self) -> bool:
        return self.hub.peer is not None

    async def run(self) -> None:
        """Until cancelled; then the server is given the time to leave that its transport grants."""
        self._gate.on_close.append(self._on_blocked)
        try:
            while True:
                await self._gate.opened()
                self.status.blocked = None
                self.status.state = State.STARTING
                failure, healthy_seconds = await self._one_life()
                self._note(failure, healthy_seconds)
                await asyncio.sleep(self.status.retry_seconds)
                self.status.restarts += 1
                self._on_restart()
        finally:
            self._gate.on_close.remove(self._on_blocked)
            await self._end("the bridge is shutting down")

    async def list_tools(self) -> Listing:
        """All tools that clients may see, as they are now. Whoever asks at the same time shares one listing.

        Raises NotAdmitted, HandshakeFailed, LinkBusy, ConnectionError, TimeoutError.
        """
        peer = self.hub.peer
        if peer is None:
            raise ConnectionError("the server is not running")
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._judged_listing(peer))
            self._listing.add_done_callback(_retrieve)
        return await asyncio.shield(self._listing)

    async def _judged_listing(self, peer: Peer) -> Listing:
        async with asyncio.timeout(self._handshake_timeout_seconds):
            listing = await list_tools(self.hub, peer)
        self.status.tools = book = summarise(listing, self._tool_filter)
        self._gate.judge(book.digest)
        self._on_listed(book.visible)
        shown = [tool for tool in listing.tools if tool["name"] in book.visible]
        return Listing(shown, listing.ttl_ms, listing.cache_scope)

    def _on_blocked(self, blocked: Blocked) -> None:
        self.status.blocked = blocked
        self.hub.detach(f"the server is stopped: {blocked.sentence}")
        self.status.state = State.BLOCKED

    def _note(self, failure: Failure, healthy_seconds: float) -> None:
        self.tried.set()
        if failure.reason in (Reason.TOOLS_CHANGED, Reason.TOOLS_NOT_ADMITTED):
            # Not its fault as a process: it starts at once when the tools are admitted.
            self.status.retry_seconds, self.status.last_failure = 0.0, failure
            self.status.state = State.BLOCKED
            _log.error("the server is stopped: %s", failure.message)
            return
        self.status.retry_seconds = self._backoff.after(healthy_seconds)
        self.status.consecutive_failures = self._backoff.failures
        self.status.last_failure = failure
        self.status.state = State.BACKOFF
        _log.warning(
            "the server is down: %s: %s; next start in %g s; last words: %s",
            failure.reason.value,
            failure.message,
            self.status.retry_seconds,
            " | ".join(failure.ending.stderr_tail[-3:]) or "none",
        )

    async def _one_life(self) -> tuple[Failure, float]:
        """Returns how it failed and for how many seconds it had been ready. Never raises but for cancellation."""
        step = "connecting"
        ready_at: float | None = None
        reason, problem = Reason.EXITED, ""
        try:
            async with asyncio.timeout(self._handshake_timeout_seconds):
                self.hub.prepare()
                self._link = await self._connector.connect(self.hub)
                self.hub.attach(self._link)
                step = "the handshake"
                peer = await introduce(
                    self.hub, probe_seconds=self._handshake_timeout_seconds / 4 if self._probe else 0.0
                )
                step = "tools/list"
                self.status.peer = peer
                listing = await self._judged_listing(peer)
            self.hub.open(peer)
            if self.ready:
                ready_at = time.monotonic()
                self.status.state = State.READY
                self.tried.set()
                _log.info("ready: %s, %d tools", peer.server_info["name"], len(listing.tools))
                self.subscriptions.opened()
                if self.status.restarts:
                    self.hub.board.publish_all()
                await self._serve()
        except NotAdmitted as error:
            reason, problem = error.blocked.reason, str(error)
        except ConnectFailed as error:
            reason, problem = Reason.CONNECT_FAILED, str(error)
        except TimeoutError:
            seconds = f"{self._handshake_timeout_seconds:g} s"
            if step == "connecting":
                reason, problem = Reason.CONNECT_FAILED, f"nothing to connect to within {seconds}"
            else:
                reason, problem = Reason.HANDSHAKE_TIMEOUT, f"{step} was not completed within {seconds}"
        except (HandshakeFailed, Malformed, LinkBusy) as error:
            reason, problem = Reason.HANDSHAKE_ERROR, str(error)
        except ConnectionError:
            # It went away in the middle. If it was the probe that it could not bear, it is spared that from now on.
            self._probe = self._probe and step != "the handshake"
        healthy_seconds = 0.0 if ready_at is None else time.monotonic() - ready_at
        ending = await self._end("the server ended before it answered; it is being started again")
        if self.status.blocked is not None:
            reason, problem = self.status.blocked.reason, self.status.blocked.sentence
        elif reason is Reason.EXITED:
            during = "" if ready_at is not None else f" during {step}"
            reason = Reason.OOM_KILLED if ending.oom_killed else reason
            problem = ending.message + during
        return Failure(reason, problem, ending, time.time()), healthy_seconds

    async def _end(self, why: str) -> Ending:
        self.hub.detach(why)
        link, self._link = self._link, None
        return await link.close() if link is not None else Ending("never started")

    def _on_end(self) -> None:
        # How it ended is known in a moment; that it did must not be told later than to the clients.
        self.status.state = State.BACKOFF
        self.status.last_failure = Failure(Reason.EXITED, "the server has just ended", Ending(""), time.time())

    def _on_tools_changed(self) -> None:
        self._tools_changed.set()

    async def _serve(self) -> None:
        """Until the server is gone: forgets old failures after a while, and keeps the list of tools current."""
        gone = asyncio.create_task(self.hub.gone.wait())
        healthy = asyncio.create_task(asyncio.sleep(HEALTHY_SECONDS))
        relist = asyncio.create_task(self._keep_tools_current())
        try:
            await asyncio.wait((gone, healthy), return_when=asyncio.FIRST_COMPLETED)
            if healthy.done():
                self.status.consecutive_failures = 0
            await gone
        finally:
            for task in (gone, healthy, relist):
                task.cancel()
            await asyncio.gather(gone, healthy, relist, return_exceptions=True)

    async def _keep_tools_current(self) -> None:
        while True:
            await self._tools_changed.wait()
            self._tools_changed.clear()
            try:
                await self.list_tools()
                self.hub.board.publish("notifications/tools/list_changed", {})
            except (HandshakeFailed, Malformed, LinkBusy, TimeoutError) as error:
                _log.warning("the server says that its tools changed, but does not list them: %s", error)
            except (ConnectionError, NotAdmitted):
                return
            await asyncio.sleep(RELIST_PAUSE_SECONDS)


def _retrieve(task: asyncio.Task[Listing]) -> None:
    """Nobody may be waiting for it any more; its outcome is not an error of the event loop."""
    if not task.cancelled():
        task.exception()
