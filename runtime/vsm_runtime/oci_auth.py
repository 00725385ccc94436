"""Proving who we are to an OCI registry: nothing, basic, or the token flow of the distribution specification.

Credentials go to the registry's own origin and to the token service that it names, which must be HTTPS unless the
registry itself is reached over HTTP. They are never part of an error or of a repr.
"""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_CHALLENGE = re.compile(r'([a-zA-Z0-9_]+)="([^"]*)"')
_MAX_TOKEN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of one registry."""

    username: str
    password: str = field(repr=False)

    @classmethod
    def from_directory(cls, directory: Path) -> "Credentials":
        """The files `username` and `password` of a mounted Secret. Raises OSError."""
        name, word = ((directory / key).read_text(encoding="utf-8").strip() for key in ("username", "password"))
        return cls(name, word)

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Authenticator:
    """Remembers what a registry accepted, per kind of access."""

    def __init__(
        self, registry: httpx.URL, *, repository: str, credentials: Credentials | None, client: httpx.Client
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._credentials = credentials
        self._client = client
        self._accepted: dict[bool, str] = {}

    def headers(self, url: str, *, writing: bool) -> dict[str, str]:
        """Nothing for another origin than the registry's: an upload location may lead anywhere."""
        target = httpx.URL(url)
        same = (target.scheme, target.host, target.port) == (
            self._registry.scheme,
            self._registry.host,
            self._registry.port,
        )
        value = self._accepted.get(writing)
        return {"Authorization": value} if same and value is not None else {}

    def learn(self, refused: httpx.Response, *, writing: bool) -> bool:
        """Takes a 401 apart; whether asking again makes sense."""
        challenge = refused.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        fresh: str | None = None
        if scheme.lower() == "basic" and self._credentials is not None:
            fresh = self._credentials.basic
        elif scheme.lower() == "bearer":
            fresh = self._token(dict(_CHALLENGE.findall(rest)), writing=writing)
        again = fresh is not None and fresh != self._accepted.get(writing)
        if again and fresh is not None:
            self._accepted[writing] = fresh
        return again

    def _token(self, challenge: dict[str, str], *, writing: bool) -> str | None:
        realm = httpx.URL(challenge.get("realm", ""))
        if realm.scheme not in ("https", self._registry.scheme):
            return None
        actions = "pull,push" if writing else "pull"
        params = {"scope": challenge.get("scope") or f"repository:{self._repository}:{actions}"}
        params |= {"service": challenge["service"]} if "service" in challenge else {}
        headers = {"Authorization": self._credentials.basic} if self._credentials is not None else {}
        response = self._client.get(realm, params=params, headers=headers)
        if not response.is_success or len(response.content) > _MAX_TOKEN_BYTES:
            return None
        try:
            answer = response.json()
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError):
            return None
        return f"Bearer {token}" if isinstance(token, str) and token else None
