"""Where things are: this checkout, what it keeps under .local, and the cache that all checkouts of a user share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checkout:
    """Paths only; nothing is made here."""

    root: Path
    cache: Path

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Checkout:
        """The checkout that this file is in, and the cache folder of the user who runs it."""
        root = Path(__file__).resolve().parents[2]
        cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(root=root, cache=Path(cache) / "vsm-operator")

    @property
    def kubeconfig(self) -> Path:
        return self.root / ".local" / "kubeconfig"

    @property
    def tools(self) -> Path:
        return self.root / ".local" / "bin"

    @property
    def state(self) -> Path:
        return self.root / ".local" / "state"

    @property
    def log(self) -> Path:
        return self.root / ".local" / "logs" / "devenv.log"

    @property
    def environment(self) -> dict[str, str]:
        """Keeps what kubectl and helm remember out of the user's home, and the user's plugins out of here."""
        cache = self.root / ".local" / "cache"
        folders = {
            "KUBECACHEDIR": "kube",
            "HELM_CACHE_HOME": "helm",
            "HELM_CONFIG_HOME": "helm",
            "HELM_DATA_HOME": "helm",
        }
        return {variable: str(cache / folder) for variable, folder in folders.items()}

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def name(self) -> str:
        """Short and unlike that of any other checkout of this machine."""
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()
        return f"vsm-{digest[:8]}"
