"""uv as a resolver, wheels only, for the interpreter that will run the server. Nothing is built or installed."""

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import packaging
from packaging.tags import Tag
from packaging.version import Version
from uv import find_uv_bin

from vsm_operator.domain.intake import IntakeReason
from vsm_operator.domain.packages import PackageRef
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.tools import Finished, last_lines, run_tool, tool_environment

_COMPILE = (
    "pip", "compile", "--no-config", "--generate-hashes", "--only-binary", ":all:", "--no-header", "--no-sources",
    "--no-python-downloads", "--index-strategy", "first-index", "--color", "never", "--no-progress",
)  # fmt: skip
_NETWORK = re.compile(
    r"failed to fetch|error sending request|connection refused|dns error|timed? ?out|HTTP status server error"
    r"|request failed after|tcp connect error|certificate",
    re.IGNORECASE,
)
_URL_DEPENDENCY = re.compile(r"URL dependenc|included as a (?:URL|Git|path)|direct URL|git operation", re.IGNORECASE)
_NO_WHEEL = re.compile(r"no (?:usable )?wheels|building from source is disabled|no-build|has no .*wheel", re.IGNORECASE)
_PROBE = """
import json, platform, sys
sys.path.insert(0, sys.argv[1])
from packaging.tags import sys_tags
print(json.dumps({"version": platform.python_version(), "tags": [str(tag) for tag in sys_tags()]}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python as wheels see it: its version and the tags it accepts, best first."""

    version: Version
    tags: tuple[Tag, ...]

    @property
    def name(self) -> str:
        """For example cp311/manylinux_2_36_x86_64."""
        return f"{self.tags[0].interpreter}/{self.tags[0].platform}"


@lru_cache(maxsize=4)
def interpreter(python: str) -> Interpreter:
    """Asks `python`, isolated from any environment. Raises IntakeError(InternalError)."""
    library = str(Path(packaging.__file__).parent.parent)
    finished = run_tool(
        [python, "-I", "-c", _PROBE, library], cwd=Path("/"), env={"LC_ALL": "C.UTF-8"}, timeout_seconds=30
    )
    try:
        raw = json.loads(finished.stdout)
        tags = tuple(Tag(*str(tag).split("-")) for tag in raw["tags"])
        return Interpreter(Version(raw["version"]), tags)
    except (ValueError, TypeError, KeyError) as error:
        message = f"{python} does not answer: {last_lines(finished.stderr)}"
        raise IntakeError(IntakeReason.INTERNAL_ERROR, message) from error


def default_index() -> str:
    """The index that Python's own client asks when nobody tells it another one."""
    return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url).rstrip("/")


def resolve(package: PackageRef, *, index: str, python: str, environ: Mapping[str, str], scratch: Path) -> str:
    """uv's answer as a requirements file with hashes. The name travels in a file; credentials in the environment."""
    home = scratch / "uv-home"
    home.mkdir()
    wanted, answer = home / "requirements.in", home / "requirements.txt"
    wanted.write_text(f"{package.name}=={package.version}\n", encoding="utf-8")
    env = tool_environment(environ, home=home) | {"UV_DEFAULT_INDEX": index}
    if urlsplit(index).scheme == "http":
        env["UV_INSECURE_HOST"] = urlsplit(index).netloc.rpartition("@")[2]
    argv = [find_uv_bin(), *_COMPILE, "--python", python, "--cache-dir", str(home / "cache"), "-o", str(answer)]
    finished = run_tool([*argv, str(wanted)], cwd=home, env=env)
    if finished.code != 0 or not answer.is_file():
        raise explain(finished)
    return answer.read_text(encoding="utf-8")


def explain(finished: Finished) -> IntakeError:
    """What uv's failure means. Pure."""
    said = last_lines(finished.stderr, count=12, max_length=1000)
    if _URL_DEPENDENCY.search(said):
        message = f"the tree needs a package from outside the index, which is not accepted. uv says: {said}"
        return IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, message)
    if _NETWORK.search(said):
        return IntakeError(IntakeReason.REGISTRY_UNREACHABLE, f"uv could not reach the index: {said}")
    if _NO_WHEEL.search(said):
        return IntakeError(IntakeReason.NO_WHEEL, f"a dependency is published as source only. uv says: {said}")
    return IntakeError(IntakeReason.RESOLUTION_FAILED, f"uv cannot resolve the dependencies: {said}")
