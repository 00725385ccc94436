"""The bundle registry's credentials and address: made and found here, so that neither has to be configured."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import bcrypt

from vsm_operator.errors import AlreadyExists
from vsm_operator.kube.client import KubeApi
from vsm_operator.kube.kinds import SECRET
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER
from vsm_operator.resources.registry import Registry
from vsm_operator.settings import Settings

_log = logging.getLogger(__name__)
_LOOK_EVERY_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 2.0


async def ensure_credentials(api: KubeApi, settings: Settings) -> None:
    """Creates the embedded registry's credentials once. An existing Secret is left as it is, whoever made it."""
    if not settings.registry_embedded:
        return
    name = settings.registry_credentials_secret
    if await api.get(SECRET, SECRET.key(settings.namespace, name)) is not None:
        return
    password = secrets.token_urlsafe(32)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": settings.namespace, "labels": {LABEL_MANAGED_BY: MANAGER}},
        "type": "Opaque",
        "stringData": {"username": "vsm-intake", "password": password, "htpasswd": f"vsm-intake:{hashed}\n"},
    }
    try:
        await api.create(SECRET, manifest)
    except AlreadyExists:
        return  # another replica was faster
    _log.info("made the bundle registry's credentials", extra={"secret": f"{settings.namespace}/{name}"})


class RegistryLocator:
    """Keeps the registry's current address. One DNS look-up a minute; a change re-queues every server."""

    def __init__(self, settings: Settings, *, changed: Callable[[], None]) -> None:
        self._url = settings.registry_pull_url
        self._changed = changed
        self._address = ""
        self.trouble = ""
        """Why the name does not resolve; empty while it does."""
        self.looked = False
        """Whether there was a first look-up, with whatever outcome."""

    @property
    def current(self) -> Registry | None:
        """None until the name has resolved once; a later failure keeps the last address."""
        return Registry(self._url, self._address) if self._address else None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            found = await self.look()
            await asyncio.sleep(_LOOK_EVERY_SECONDS if found else _LOOK_AGAIN_SECONDS)

    async def look(self) -> bool:
        """One look-up."""
        parts = urlsplit(self._url)
        host = parts.hostname or ""
        try:
            loop = asyncio.get_running_loop()
            entries = await loop.getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
        except OSError as error:
            self.trouble = (
                f"the bundle registry {host} does not resolve ({error.strerror or error}): is its Service there, "
                "and is VSM_REGISTRY_PULL_URL right?"
            )
            if not self.looked:
                self.looked = True
                self._changed()
            return False
        self.looked, self.trouble = True, ""
        addresses = sorted(str(entry[4][0]) for entry in entries)
        # The old address is kept while it is still among the answers: round-robin DNS must not restart every pod.
        if self._address not in addresses:
            self._address = addresses[0]
            self._changed()
        return True
