"""The real registries, Verdaccio and devpi, installed once per lock file into the user's cache, apart from everything.

npm and uv compare every archive with the lock's hashes; no package's own scripts run, and wheels only are taken.

node/package.json overrides node-fetch: Verdaccio's tree asks for it by a tag, which mirrors may not have.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from devenv.checkout import Checkout
from support.nodejs import node

_HERE = Path(__file__).parent
_TIMEOUT_SECONDS = 300


def verdaccio() -> list[str]:
    """The argument vector that starts the npm registry."""
    manifests = [_HERE / "node" / name for name in ("package.json", "package-lock.json")]
    place = _once("verdaccio", manifests, _install_npm)
    return [node(), str(place / "node_modules/verdaccio/bin/verdaccio")]


def devpi() -> Path:
    """The folder of the programs devpi-import and devpi-server."""
    return _once("devpi", [_HERE / "python" / "requirements.lock"], _install_pypi) / "bin"


def npm() -> list[str]:
    """The argument vector of the npm that comes with our Node."""
    top = Path(node()).parents[1]
    return [node(), str(top / "lib/node_modules/npm/bin/npm-cli.js")]


def _once(name: str, locks: list[Path], install: Callable[[Path, list[Path]], None]) -> Path:
    """The finished folder for these lock files; another process that wants it too waits."""
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in locks)).hexdigest()[:16]
    parent = Checkout.find(os.environ).cache / "registries"
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / f"{name}-{key}"
    with (parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            install(target, locks)
            (target / ".complete").touch()
    return target


def _install_npm(target: Path, locks: list[Path]) -> None:
    for path in locks:
        shutil.copy(path, target)
    _run([*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=target)


def _install_pypi(target: Path, locks: list[Path]) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(target)], cwd=target.parent)
    python = str(target / "bin/python")
    strict = ["--require-hashes", "--only-binary", ":all:", "--no-deps"]
    _run([uv, "pip", "install", "--quiet", "--python", python, *strict, "-r", str(locks[0])], cwd=target)


def _run(argv: list[str], *, cwd: Path) -> None:
    env = os.environ | {"PATH": f"{Path(node()).parent}:{os.environ['PATH']}"}
    done = subprocess.run(argv, cwd=cwd, env=env, stdout=sys.stderr, timeout=_TIMEOUT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(argv[0]).name} could not install what the registries need; its messages are above")
