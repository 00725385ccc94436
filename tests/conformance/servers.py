"""The fixture, alone on HTTP, or on stdio behind a real launcher and bridge; both on loopback."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from unit.bridge.rig import Rig

SERVER = Path(__file__).with_name("everything_server.py")
ASKING = SERVER.with_name("asking.py")
UNPACK = """\
import json, os, pathlib, sys
home = pathlib.Path("/tmp/everything")
home.mkdir(exist_ok=True)
for name, text in json.loads(os.environ["EVERYTHING"]).items():
    (home / name).write_text(text)
os.execv(sys.executable, [sys.executable, str(home / "everything_server.py"), sys.argv[1]])
"""
CHILDREN = {
    "legacy": "stdio-legacy",
    "modern": "stdio-dual",
    "legacy http": "http-legacy",
    "modern http": "http-dual",
}
"""What is behind the bridge: how the fixture is started."""


def command(mode: str) -> list[str]:
    return [sys.executable, str(SERVER), mode]


def packed() -> str:
    """The fixture as JSON, text by file name, to be started where this checkout is not; see UNPACK."""
    return json.dumps({path.name: path.read_text() for path in (ASKING, *SERVER.parent.glob("everything_*.py"))})


@contextmanager
def native(mode: str = "http-dual") -> Iterator[str]:
    """The URL of the fixture that serves HTTP itself."""
    process = subprocess.Popen(command(mode), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@contextmanager
def bridged(child: str, *, launcher: str = "", **settings: str) -> Iterator[Rig]:
    """A bridge that is ready, with the fixture behind it."""
    mode, rig = CHILDREN[child], Rig()
    with ExitStack() as stack:
        stack.callback(rig.stop)
        try:
            if mode.startswith("http"):
                upstream = stack.enter_context(native(mode))
                rig.start_bridge(TRANSPORT="streamable-http", UPSTREAM=upstream, **settings).ready()
            else:
                rig.start(command(mode), bridge=settings, launcher=launcher).ready()
        except AssertionError as error:
            error.add_note(f"the bridge says:\n{rig.log('bridge')[-2000:]}")
            raise
        yield rig
