"""What this machine's network asks of us: a company's CA, a package index of its own, its Debian mirrors.

All of it is found, used while something is built, and kept out of what is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SYSTEM_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_CA_FOLDER = Path("/usr/local/share/ca-certificates")
CA_VARIABLES = ("VSM_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def ca_bundle(
    environ: Mapping[str, str], *, system: Path = SYSTEM_CA_BUNDLE, local: Path = LOCAL_CA_FOLDER
) -> Path | None:
    """The CA bundle that downloads need, or None where the usual public one is enough.

    One that a variable names, else the system's if somebody added certificates to it in Debian's way.
    """
    for variable in CA_VARIABLES:
        named = environ.get(variable)
        if named and Path(named).is_file():
            return Path(named)
    added = local.is_dir() and any(local.rglob("*.crt"))
    return system if added and system.is_file() else None


def package_index(environ: Mapping[str, str]) -> str | None:
    """The Python package index that the user's variables name; may carry a password, so it is never printed."""
    return next((environ[variable] for variable in INDEX_VARIABLES if environ.get(variable)), None)


def debian_sources(index_targets: str, *, suite: str) -> list[str]:
    """The host's own apt lines for `suite`, from `apt-get indextargets`; [] where it is another distribution.

    Shape: lines "URI RELEASE COMPONENT ORIGIN" with the archives of third parties among them; only Debian's count.
    """
    lines = []
    for target in index_targets.splitlines():
        fields = target.split()
        if len(fields) != 4:
            continue
        uri, release, component, origin = fields
        if origin == "Debian" and component == "main" and release.split("-")[0] == suite:
            lines.append(f"deb {uri} {release} {component}")
    return list(dict.fromkeys(lines)) if any(f" {suite} main" in line for line in lines) else []


def apt_proxy_options(apt_config: str) -> list[str]:
    """What of `apt-config dump` another apt needs as well to reach the mirrors."""
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::https::CAInfo", "Acquire::Check-Valid-Until")
    return [line.rstrip(";") for line in apt_config.splitlines() if line.startswith(tuple(f"{w} " for w in wanted))]
