"""Clients of 2026-07-28: every request stands for itself, the server never asks, streams are requests too."""

import itertools

from vsm_runtime.bridge import checks, jsonrpc
from vsm_runtime.bridge.asgi import respond, respond_json
from vsm_runtime.bridge.checks import Rejected
from vsm_runtime.bridge.desk import Desk, Visit, own_key
from vsm_runtime.bridge.eras import (
    CLIENT_CAPABILITIES_KEY,
    LATEST_MODERN,
    LOG_LEVEL_KEY,
    LOG_LEVELS,
    SERVER_INFO_KEY,
    Client,
    Era,
    Peer,
    askable,
    discover_result,
)
from vsm_runtime.bridge.feeds import LIST_CHANGES, MAX_URIS, SUBSCRIPTION_KEY, Feed
from vsm_runtime.bridge.jsonrpc import Json, Kind, meta_of, params_of
from vsm_runtime.bridge.streams import serve_feed
from vsm_runtime.bridge.subscriptions import offered_by
from vsm_runtime.bridge.supervisor import Supervisor

_numbers = itertools.count()
"""Of requests. No session has an identity like these, so nobody can claim one."""


class ModernEndpoint:
    """POST only."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def post(self, visit: Visit, message: Json, kind: Kind) -> None:
        """Raises Rejected, Disconnected."""
        if kind is Kind.NOTIFICATION:
            # None is defined for this direction; a client cancels by hanging up.
            return await respond(visit.request.send, 202)
        if kind is Kind.RESPONSE:
            why = "a client of this version answers within its next request, not with a response"
            raise Rejected(400, jsonrpc.INVALID_REQUEST, why)
        checks.modern_request(message, visit.headers)
        client, method = modern_client(message, visit.principal, visit.key), message["method"]
        if method == "server/discover":
            peer = self._desk.peer(self._desk.pool.main)
            answer = jsonrpc.result(message["id"], discover_result(peer))
            return await respond_json(visit.request.send, 200, answer)
        key = own_key(client, visit)
        supervisor = self._desk.running(key)
        if supervisor is None:
            with self._desk.counted(visit, key):
                supervisor = await self._desk.begin(visit, key)
        self._desk.peer(supervisor)
        if method == "tools/list":
            return await self._desk.list_tools(visit, message, client, supervisor)
        if method == "subscriptions/listen":
            return await self._listen(visit, message, client, supervisor)
        return await self._desk.call(visit, message, client, supervisor)

    async def _listen(self, visit: Visit, message: Json, client: Client, supervisor: Supervisor) -> None:
        request_id, board, peer = message["id"], supervisor.hub.board, self._desk.peer(supervisor)
        feed, honoured = wanted_feed(message, peer)
        if board.full:
            raise Rejected(503, jsonrpc.BUSY, "too many streams are open already; try again later")
        about: Json = {SUBSCRIPTION_KEY: request_id}
        params: Json = {"_meta": about, "notifications": honoured}
        last: Json = {"resultType": "complete", "_meta": {**about, SERVER_INFO_KEY: peer.server_info}}
        with self._desk.counted(visit, own_key(client, visit)):
            board.add(feed)
            try:
                await serve_feed(
                    visit.request,
                    feed,
                    first=jsonrpc.notification("notifications/subscriptions/acknowledged", params),
                    last=jsonrpc.result(request_id, last),
                )
            finally:
                board.remove(feed)


def modern_client(message: Json, principal: str, key: str) -> Client:
    """Stateless: each request is a client of its own. Raises Rejected."""
    meta = meta_of(message)
    level = meta.get(LOG_LEVEL_KEY)
    if level is not None and level not in LOG_LEVELS:
        raise Rejected(400, jsonrpc.INVALID_PARAMS, f"{LOG_LEVEL_KEY} must be one of {', '.join(LOG_LEVELS)}")
    return Client(
        Era.MODERN,
        LATEST_MODERN,
        identity=f"modern {next(_numbers)}",
        capabilities=askable(meta.get(CLIENT_CAPABILITIES_KEY)),
        log_level=level,
        principal=principal,
        key=key,
    )


def wanted_feed(message: Json, peer: Peer) -> tuple[Feed, Json]:
    """The feed for a subscriptions/listen, and the part of its filter that can be honoured. Raises Rejected."""
    wishes = params_of(message).get("notifications")
    if not isinstance(wishes, dict):
        raise Rejected(400, jsonrpc.INVALID_PARAMS, "params.notifications must be an object")
    honoured: Json = {
        member: True
        for member, (_, part) in LIST_CHANGES.items()
        if wishes.get(member) is True and offered_by(peer, part, "listChanged")
    }
    uris = wishes.get("resourceSubscriptions", [])
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise Rejected(400, jsonrpc.INVALID_PARAMS, "notifications.resourceSubscriptions must be a list of URIs")
    if len(uris) > MAX_URIS:
        raise Rejected(400, jsonrpc.INVALID_PARAMS, f"a stream may name at most {MAX_URIS} resources")
    if uris and offered_by(peer, "resources", "subscribe"):
        honoured["resourceSubscriptions"] = uris
    lists = frozenset(method for member, (method, _) in LIST_CHANGES.items() if member in honoured)
    feed = Feed(lists=lists, subscription_id=message["id"])
    feed.uris.update(honoured.get("resourceSubscriptions", ()))
    return feed, honoured
