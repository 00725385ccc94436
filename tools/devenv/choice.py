"""Which cluster is used, and the reason, which is always printed.

Order: what the person says; what an earlier run of this checkout made; kind where an engine answers; else a local one.
An existing kubeconfig context is only ever used when it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from devenv.errors import DevenvError

Kind = Literal["context", "kind", "local"]
Engine = Literal["docker", "podman"]
ENGINES: tuple[Engine, ...] = ("docker", "podman")


@dataclass(frozen=True, slots=True)
class Choice:
    """A cluster to be used. `name` is the context's for "context"; `engine` is set for "kind"."""

    kind: Kind
    reason: str
    name: str = ""
    engine: Engine | None = None

    @property
    def wanted(self) -> str:
        """As the variable CLUSTER would say it."""
        return f"context:{self.name}" if self.kind == "context" else self.kind


class Earlier(Protocol):
    """What a run before this one recorded."""

    @property
    def cluster(self) -> str: ...


def choose(
    wanted: str,
    *,
    earlier: Earlier | None,
    engine_answers: Callable[[Engine], bool],
    contexts: Callable[[], Sequence[str]],
) -> Choice:
    """`wanted` is CLUSTER. The probes are only asked as far as the answer needs them."""
    if earlier is not None and wanted not in {"", earlier.cluster}:
        raise DevenvError(
            f"this checkout uses CLUSTER={earlier.cluster} since an earlier `make up`; "
            f"run `make down` before changing to CLUSTER={wanted}"
        )
    said = f"CLUSTER={wanted} says so" if wanted else "an earlier `make up` of this checkout uses it"
    target = wanted or (earlier.cluster if earlier else "")
    if target.startswith("context:"):
        return _context(target.removeprefix("context:"), reason=said, contexts=contexts())
    if target == "local":
        return Choice("local", said)
    engine = next((engine for engine in ENGINES if engine_answers(engine)), None)
    if target == "kind":
        if engine is None:
            raise DevenvError("CLUSTER=kind needs Docker or Podman, and neither answers `docker info` or `podman info`")
        return Choice("kind", said, engine=engine)
    if engine is not None:
        return Choice("kind", f"{engine} answers on this machine", engine=engine)
    return Choice("local", "neither Docker nor Podman answers on this machine")


def _context(name: str, *, reason: str, contexts: Sequence[str]) -> Choice:
    if name not in contexts:
        known = ", ".join(contexts) or "none at all"
        raise DevenvError(f"the kubeconfig has no context {name!r}; it has: {known}")
    return Choice("context", reason, name=name)
