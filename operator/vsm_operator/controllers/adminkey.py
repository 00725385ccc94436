"""The key from which the tokens for the bridges' admin ports follow: made once, kept in a Secret of ours.

A server's token is HMAC-SHA256(key, uid of the McpServer). Nothing has to be stored for it, one server's token is of no
use at another, and a pod carries only its SHA-256: whoever reads the pod learns nothing that opens the port.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable

from vsm_operator.errors import AlreadyExists, OperatorError
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import SECRET
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER
from vsm_operator.permissions import ADMIN_KEY_SECRET

_log = logging.getLogger(__name__)
_FIELD = "key"
_MIN_LENGTH = 32
_AGAIN_SECONDS = 5.0


class AdminKey:
    """Unknown at first; `run` finds or makes it."""

    def __init__(self, api: KubeApi, *, namespace: str, changed: Callable[[], None]) -> None:
        """`changed` is told once there is something new to say: the key, or why there is none."""
        self._api = api
        self._namespace = namespace
        self._changed = changed
        self._key = b""
        self.trouble = ""
        """Why there is no key; empty while it is there, or has not been looked for."""

    @property
    def known(self) -> bool:
        return bool(self._key)

    def token(self, uid: str) -> str:
        """Hex digits. The uid is that of the McpServer. ValueError while the key is not known."""
        if not self._key:
            raise ValueError("the admin key is not known yet")
        return hmac.new(self._key, uid.encode(), hashlib.sha256).hexdigest()

    def token_sha256(self, uid: str) -> str:
        """What the pod is told of its token."""
        return hashlib.sha256(self.token(uid).encode()).hexdigest()

    async def run(self) -> None:
        """Until cancelled. Once the key is known there is nothing left to do."""
        while True:
            if await self.look():
                await asyncio.Event().wait()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def look(self) -> bool:
        """One try to find the key, or to make it."""
        try:
            self._key = await self._find() or await self._make() or b""
            trouble = "" if self._key else f"{self._where} was made by somebody else just now"
        except (OperatorError, ValueError) as error:
            trouble = str(error)
        news = trouble != self.trouble or self.known
        self.trouble = trouble
        if trouble:
            _log.warning("there is no key for the admin ports of servers yet: %s", trouble)
        if news:
            self._changed()
        return self.known

    @property
    def _where(self) -> str:
        return f"Secret {self._namespace}/{ADMIN_KEY_SECRET}"

    async def _find(self) -> bytes | None:
        """ValueError when the Secret holds no key: it is not replaced, since somebody has put it there."""
        secret = await self._api.get(SECRET, SECRET.key(self._namespace, ADMIN_KEY_SECRET))
        if secret is None:
            return None
        try:
            key = base64.b64decode((secret.get("data") or {}).get(_FIELD, ""), validate=True)
        except (binascii.Error, TypeError):
            key = b""
        if len(key) < _MIN_LENGTH:
            raise ValueError(f"{self._where} has no field {_FIELD} of at least {_MIN_LENGTH} bytes: delete it")
        return key

    async def _make(self) -> bytes | None:
        """None when another replica was faster."""
        key = secrets.token_urlsafe(32)
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": ADMIN_KEY_SECRET,
                "namespace": self._namespace,
                "labels": {LABEL_MANAGED_BY: MANAGER},
            },
            "type": "Opaque",
            "stringData": {_FIELD: key},
        }
        try:
            await self._api.create(SECRET, manifest)
        except AlreadyExists:
            return await self._find()
        _log.info("made the key for the admin ports of servers", extra={"secret": self._where})
        return key.encode()
