"""Sessions of legacy clients, without a table: the id itself holds what has to be remembered.

    v1.<protocol version>.<letters: s sampling, e elicitation>.<128 random bits>

So a session needs no memory, does not expire, and survives a restart of the bridge as well as of the server behind it.
The id holds nothing but the client's own claims about itself, which only affect that client; the random part makes it
unguessable, and it is what tells one client's requests from another's.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

_LETTERS = {"sampling": "s", "elicitation": "e"}
_FORM = re.compile(r"^v1\.([0-9]{4}-[0-9]{2}-[0-9]{2})\.([se]*)\.([A-Za-z0-9_-]{22})$")


@dataclass(frozen=True, slots=True)
class Session:
    """What a client said when it initialized."""

    protocol_version: str
    capabilities: frozenset[str]
    nonce: str

    @property
    def session_id(self) -> str:
        letters = "".join(letter for name, letter in _LETTERS.items() if name in self.capabilities)
        return f"v1.{self.protocol_version}.{letters}.{self.nonce}"


def begin(*, protocol_version: str, capabilities: object) -> Session:
    declared = capabilities if isinstance(capabilities, Mapping) else {}
    known = frozenset(name for name in _LETTERS if isinstance(declared.get(name), Mapping))
    return Session(protocol_version, known, secrets.token_urlsafe(16))


def resume(session_id: str) -> Session | None:
    """None for an id that no bridge has given out: the client has to initialize again."""
    match = _FORM.match(session_id)
    if match is None:
        return None
    letters = match[2]
    return Session(match[1], frozenset(name for name, letter in _LETTERS.items() if letter in letters), match[3])
