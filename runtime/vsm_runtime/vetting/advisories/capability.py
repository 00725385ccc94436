"""What a registry can answer at all, remembered for a day, so that a mirror is probed once and not once a package.

Only structural answers are kept: "no such endpoint" and "answers, and knows something". An outage is never remembered.
A damaged or missing file means "not known"; writing is an attempt, since the cache may be read-only.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One file a registry in `directory` (None: nothing is remembered). `today` is the day that answers count for."""

    directory: Path | None
    today: str

    def get(self, registry: str, endpoint: str) -> bool | None:
        """None when it has to be probed."""
        known = self._read(registry).get(endpoint)
        return known if isinstance(known, bool) else None

    def put(self, registry: str, endpoint: str, *, answers: bool) -> None:
        if self.directory is None:
            return
        known = {**self._read(registry), endpoint: answers}
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.directory, prefix=".capabilities-")
            with os.fdopen(handle, "w", encoding="utf-8") as sink:
                json.dump({"day": self.today, "endpoints": known}, sink, sort_keys=True)
            Path(name).replace(self._path(self.directory, registry))
        except OSError:
            return

    def _read(self, registry: str) -> dict[str, object]:
        if self.directory is None:
            return {}
        try:
            with self._path(self.directory, registry).open("rb") as source:
                raw = json.loads(source.read(MAX_FILE_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        fresh = isinstance(raw, dict) and raw.get("day") == self.today and isinstance(raw.get("endpoints"), dict)
        return dict(raw["endpoints"]) if fresh else {}

    @staticmethod
    def _path(directory: Path, registry: str) -> Path:
        return directory / f"capabilities-{hashlib.sha256(registry.encode()).hexdigest()[:16]}.json"
