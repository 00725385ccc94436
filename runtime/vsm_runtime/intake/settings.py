"""What an intake is told by its environment. Frozen, read once; a malformed value names its variable."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the whole tree of one package."""

    max_unpacked_bytes: int = 1024**3
    max_packages: int = 2000
    max_files: int = 200_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Empty registry URLs mean the default of the ecosystem's own client."""

    npm_registry: str
    pypi_index: str
    oci_url: str
    oci_repository: str
    oci_credentials_dir: Path | None
    scratch: Path
    server_python: str
    """The interpreter that will run Python servers: it decides which wheels fit."""
    limits: Limits
    environ: Mapping[str, str]
    """Proxies and certificate authorities for the resolvers; nothing else is taken from it."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises IntakeError(InvalidRequest)."""
        credentials = environ.get("VSM_OCI_CREDENTIALS_DIR", "")
        return cls(
            npm_registry=_url(environ, "VSM_NPM_REGISTRY"),
            pypi_index=_url(environ, "VSM_PYPI_INDEX"),
            oci_url=_url(environ, "VSM_OCI_URL", required=True),
            oci_repository=environ.get("VSM_OCI_REPOSITORY", "vsm/bundles"),
            oci_credentials_dir=Path(credentials) if credentials else None,
            scratch=Path(environ.get("VSM_INTAKE_SCRATCH", "/scratch")),
            server_python=environ.get("VSM_SERVER_PYTHON") or _base_python(),
            limits=Limits(
                max_unpacked_bytes=_count(environ, "VSM_INTAKE_MAX_UNPACKED_BYTES", Limits().max_unpacked_bytes),
                max_packages=_count(environ, "VSM_INTAKE_MAX_PACKAGES", Limits().max_packages),
                max_files=_count(environ, "VSM_INTAKE_MAX_FILES", Limits().max_files),
            ),
            environ=dict(environ),
        )


def _base_python() -> str:
    """The interpreter our own virtual environment was made from: the image's python3."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _url(environ: Mapping[str, str], name: str, *, required: bool = False) -> str:
    value = environ.get(name, "").strip()
    if not value and not required:
        return ""
    if not value.startswith(("http://", "https://")) or any(c.isspace() for c in value):
        raise IntakeError(IntakeReason.INVALID_REQUEST, f"{name} must be an http:// or https:// URL")
    return value.rstrip("/")


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name, "").strip()
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise IntakeError(IntakeReason.INVALID_REQUEST, f"{name} must be a positive whole number, not {value[:40]!r}")
    return int(value)
