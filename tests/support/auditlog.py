"""The API server's audit log: who wrote what and when. Only the local cluster keeps one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One request that was meant to change something, whatever came of it."""

    at: datetime
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int

    def __str__(self) -> str:
        path = "/".join(part for part in (self.namespace, self.resource, self.name, self.subresource) if part)
        return f"{self.at:%H:%M:%S.%f} {self.verb} {path} {self.code}"


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Reads the file anew each time; `since` keeps it short."""

    path: Path

    def writes(
        self, user: str, *, since: datetime, until: datetime | None = None, namespace: str | None = None
    ) -> list[Write]:
        """In order of arrival, without those that renew a Lease."""
        found = []
        for write in self._all_writes(user):
            if write.at < since or (until is not None and write.at > until) or write.resource == "leases":
                continue
            if namespace is None or write.namespace == namespace:
                found.append(write)
        return sorted(found, key=lambda write: write.at)

    def _all_writes(self, user: str) -> Iterator[Write]:
        marker = json.dumps(user)
        for path in sorted(self.path.parent.glob(f"{self.path.stem}*{self.path.suffix}")):
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    if marker in line and (write := _read(json.loads(line), user)):
                        yield write


def _read(entry: dict, user: str) -> Write | None:  # type: ignore[type-arg]
    if entry["verb"] not in WRITING or entry["user"]["username"] != user or entry["stage"] != "ResponseComplete":
        return None
    target = entry.get("objectRef") or {}
    return Write(
        at=datetime.fromisoformat(entry["requestReceivedTimestamp"]).astimezone(UTC),
        verb=entry["verb"],
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
    )
