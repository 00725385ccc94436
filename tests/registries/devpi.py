"""devpi-server with the releases of the tests, brought in by devpi-import.

They are in an index of the kind "mirror", since yanked files are known to that kind alone; `--offline-mode` and an
address of nobody keep it from asking any upstream. Peculiarities: hashes, requires-python and yanked are there; sizes,
times, status, metadata of files and provenance are not, and the addresses of files are relative.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registries import installs
from registries.processes import environment, served
from registries.releases import PypiRelease

_INDEX = "tests/seeded"
_IMPORT_SECONDS = 120
_NO_PASSWORDS = ["--argon2-memory-cost=8", "--argon2-parallelism=1", "--argon2-time-cost=1"]
"""Nobody logs in; its default, half a GiB in sixteen rounds, takes twenty seconds at each start."""
_NOBODY = "http://127.0.0.1:9/simple/"


@contextmanager
def devpi(releases: Iterable[PypiRelease], *, directory: Path) -> Iterator[str]:
    """The URL of the Simple API, without a slash at its end."""
    programs, data = installs.devpi(), directory / "server"
    every = list(releases)
    write_dump(every, dump=directory / "dump")
    argv = [str(programs / "devpi-import"), "--serverdir", str(data), "--no-root-pypi", str(directory / "dump")]
    done = subprocess.run(
        argv,
        env=environment(directory),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=_IMPORT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"devpi-import failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    swap(every, data=data)

    def start(port: int) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(port), "--serverdir", str(data)]
        return [str(programs / "devpi-server"), *where, *_NO_PASSWORDS, "--offline-mode"]

    with served(start, ready="/+api", log=directory / "log", home=directory) as origin:
        yield f"{origin}/{_INDEX}/+simple"


def write_dump(releases: Iterable[PypiRelease], *, dump: Path) -> None:
    """A folder as devpi-export makes it."""
    files: list[dict[str, Any]] = []
    projects: dict[str, dict[str, Any]] = {}
    for release in releases:
        place = Path("files") / release.project / release.version / release.filename
        (dump / place).parent.mkdir(parents=True, exist_ok=True)
        (dump / place).write_bytes(release.recorded)
        yanked = {"yanked": release.yanked} if release.yanked else {}
        version = {"name": release.name, "version": release.version, "requires_python": ">=3.9"} | yanked
        projects.setdefault(release.project, {})[release.version] = version
        mapping = {
            "url": f"http://127.0.0.1:9/files/{release.filename}",
            "hashes": {"sha256": release.sha256},
            "last_modified": release.published.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }
        files.append(
            {
                "type": "releasefile",
                "projectname": release.project,
                "version": release.version,
                "relpath": str(place),
                "entrymapping": mapping,
            }
        )
    config = {"type": "mirror", "volatile": True, "mirror_url": _NOBODY, "mirror_no_project_list": True}
    index = {"indexconfig": config, "projects": projects, "files": files}
    document = {"dumpversion": "2", "users": {"tests": {}}, "indexes": {_INDEX: index}}
    (dump / "dataindex.json").write_text(json.dumps(document))


def swap(releases: Iterable[PypiRelease], *, data: Path) -> None:
    """Puts the other bytes in the place of those whose digest the index has."""
    for release in releases:
        if release.served_files is None:
            continue
        places = list((data / "+files").rglob(release.filename))
        if len(places) != 1:
            raise RuntimeError(f"{release.filename} is in devpi's storage {len(places)} times")
        places[0].write_bytes(release.served)
