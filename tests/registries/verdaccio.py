"""Verdaccio with the releases of the tests in its storage; it has no uplink, so it knows nothing else.

Its storage is written before it starts: publishing by a client would stamp everything with the time of now and refuse
what is not honest. Peculiarities: no audit, no attestations, no keys; no `hasInstallScript` of its own making.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registries import installs
from registries.npm_dialects import stamp
from registries.processes import served
from registries.releases import NpmRelease

_CONFIG = """\
storage: {storage}
uplinks: {{}}
auth: {{htpasswd: {{file: {top}/htpasswd, max_users: -1}}}}
packages: {{"**": {{access: $all, publish: nobody, unpublish: nobody}}}}
middlewares: {{}}
web: {{enable: false}}
log: {{type: stdout, format: json, level: warn}}
"""


@contextmanager
def verdaccio(releases: Iterable[NpmRelease], *, directory: Path) -> Iterator[str]:
    """The registry's URL, without a slash at its end."""
    storage = directory / "storage"
    seed(releases, storage=storage)
    config = directory / "config.yaml"
    config.write_text(_CONFIG.format(storage=storage, top=directory))

    def argv(port: int) -> list[str]:
        return [*installs.verdaccio(), "--config", str(config), "--listen", f"127.0.0.1:{port}"]

    with served(argv, ready="/-/ping", log=directory / "log", home=directory) as origin:
        yield origin


def seed(releases: Iterable[NpmRelease], *, storage: Path) -> None:
    """Writes one folder a package, as the local storage plugin has them."""
    packages: dict[str, list[NpmRelease]] = {}
    for release in releases:
        packages.setdefault(release.name, []).append(release)
    for name, versions in packages.items():
        folder = storage / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps(_document(name, versions)))
        for release in versions:
            (folder / release.filename).write_bytes(release.served)
    database = {"list": sorted(packages), "secret": hashlib.sha256(b"tests").hexdigest()[:32]}
    (storage / ".verdaccio-db.json").write_text(json.dumps(database))


def _document(name: str, releases: list[NpmRelease]) -> dict[str, Any]:
    times = {release.version: stamp(release.published) for release in releases}
    return {
        "_id": name,
        "_rev": "1-0",
        "_attachments": {r.filename: {"shasum": r.dist["shasum"], "version": r.version} for r in releases},
        "_distfiles": {},
        "_uplinks": {},
        "name": name,
        "dist-tags": {"latest": releases[-1].version},
        "time": {"created": min(times.values()), "modified": max(times.values())} | times,
        "readme": "",
        "users": {},
        "versions": {release.version: _version(release) for release in releases},
    }


def _version(release: NpmRelease) -> dict[str, Any]:
    person = {"name": release.publisher, "email": f"{release.publisher}@people.invalid"}
    tarball = f"http://registry.invalid/{release.name}/-/{release.filename}"  # only the file name matters
    entry = release.package_json | {
        "_id": f"{release.name}@{release.version}",
        "_npmUser": person,
        "maintainers": [person],
        "dist": release.dist | {"tarball": tarball},
    }
    return entry | ({"deprecated": release.deprecated} if release.deprecated else {})
