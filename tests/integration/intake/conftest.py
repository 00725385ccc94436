"""A real OCI registry over one volume, as the chart deploys it: read-write with a password, and read-only without."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest

from integration.intake.registries import NpmServer, PypiServer
from vsm_operator.domain.intake import IntakeFailure, IntakeRequest, IntakeResult, parse_outcome
from vsm_operator.domain.packages import Ecosystem, PackageRef

USERNAME, PASSWORD = "vsm", "a test's password"
_ROOT = Path(__file__).resolve().parents[3]
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  maintenance: {{readonly: {{enabled: {readonly}}}}}
http: {{addr: "127.0.0.1:{port}", secret: test}}
{auth}
"""


@dataclass(frozen=True, slots=True)
class OciRegistry:
    push_url: str
    pull_url: str
    credentials: Path


def _binary() -> Path | None:
    """$VSM_REGISTRY_BINARY, or what `make up` built into the user's cache."""
    named = os.environ.get("VSM_REGISTRY_BINARY")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vsm-operator"
    built = sorted(cache.glob("localcluster/addons-*/registry"), key=lambda path: path.stat().st_mtime)
    return built[-1] if built else None


@pytest.fixture(scope="session")
def oci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    binary = _binary()
    if binary is None:
        pytest.skip("no OCI registry: `make up` builds one, or set VSM_REGISTRY_BINARY to the binary of distribution")
    top = tmp_path_factory.mktemp("oci")
    word = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (top / "htpasswd").write_text(f"{USERNAME}:{word}\n")
    (top / "username").write_text(USERNAME)
    (top / "password").write_text(PASSWORD)
    auth = f"auth: {{htpasswd: {{realm: vsm, path: {top / 'htpasswd'}}}}}"
    with ExitStack() as stack:
        push = stack.enter_context(_process(binary, top, readonly=False, auth=auth))
        pull = stack.enter_context(_process(binary, top, readonly=True, auth=""))
        yield OciRegistry(push.url, pull.url, top)


class _process:  # noqa: N801 - a context manager
    """One registry process, up when the block begins and gone when it ends."""

    def __init__(self, binary: Path, top: Path, *, readonly: bool, auth: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        config = top / f"{port}.yml"
        values = {"storage": top / "storage", "readonly": str(readonly).lower(), "port": port, "auth": auth}
        config.write_text(_CONFIG.format(**values))
        self._argv = [str(binary), "serve", str(config)]

    def __enter__(self) -> "_process":
        env = {"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"}
        self._process = subprocess.Popen(self._argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"{self.url}/v2/", trust_env=False)
            except httpx.TransportError:
                assert self._process.poll() is None, "the registry ended at once"
                assert time.monotonic() < deadline, "the registry does not answer"
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Intake:
    """Runs the intake and the loader as their pods do: as processes, told by their environment."""

    oci: OciRegistry
    directory: Path
    npm: NpmServer
    pypi: PypiServer
    log: str = ""
    """stderr of the last run."""

    def run(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        ecosystem: str = "npm",
        key: str = "",
        umask: int = 0o022,
        scratch: str = "scratch",
        **environ: str,
    ) -> IntakeResult | IntakeFailure:
        env = self.environment(name, version, ecosystem=ecosystem, key=key, scratch=scratch) | environ
        before = os.umask(umask)
        try:
            done = subprocess.run(self.argv(), env=env, capture_output=True, text=True, timeout=120, check=False)
        finally:
            os.umask(before)
        self.log = done.stderr
        outcome = parse_outcome(Path(env["VSM_TERMINATION_LOG"]).read_text())
        assert outcome is not None, done.stderr
        assert outcome == parse_outcome(done.stdout)
        expected = 0 if isinstance(outcome, IntakeResult) else 11 if outcome.reason.retryable else 10
        assert done.returncode == expected
        left = list(Path(env["VSM_INTAKE_SCRATCH"]).iterdir())
        assert left == [], "the scratch directory is not as it was found"
        return outcome

    def environment(
        self, name: str, version: str, *, ecosystem: str, key: str = "", scratch: str = "scratch"
    ) -> dict[str, str]:
        work = self.directory / scratch
        work.mkdir(exist_ok=True)
        registries = (self.npm.origin, self.pypi.index)
        request = IntakeRequest.of(PackageRef(Ecosystem(ecosystem), name, version), registries=registries)
        raw = json.loads(request.to_json()) | ({"key": key} if key else {})
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": f"{_ROOT / 'operator'}:{_ROOT / 'runtime'}",
            "PYTHONWARNINGS": "error",
            "HOME": str(self.directory),
            "VSM_INTAKE_REQUEST": json.dumps(raw),
            "VSM_NPM_REGISTRY": self.npm.origin,
            "VSM_PYPI_INDEX": self.pypi.index,
            "VSM_OCI_URL": self.oci.push_url,
            "VSM_OCI_REPOSITORY": "vsm/bundles",
            "VSM_OCI_CREDENTIALS_DIR": str(self.oci.credentials),
            "VSM_INTAKE_SCRATCH": str(work),
            "VSM_TERMINATION_LOG": str(self.directory / f"termination-{scratch}"),
        }

    @staticmethod
    def argv() -> list[str]:
        return [sys.executable, "-m", "vsm_runtime.intake"]

    def failure(self, name: str, version: str = "1.0.0", **more: str) -> IntakeFailure:
        outcome = self.run(name, version, **more)  # type: ignore[arg-type]
        assert isinstance(outcome, IntakeFailure), outcome
        return outcome

    def success(self, name: str, version: str = "1.0.0", **more: object) -> IntakeResult:
        outcome = self.run(name, version, **more)  # type: ignore[arg-type]
        assert isinstance(outcome, IntakeResult), outcome
        return outcome

    def load(self, digest: str, *, target: str = "bundle") -> Path:
        """The tree of a bundle, from the read-only registry."""
        place = self.directory / target
        env = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{_ROOT / 'operator'}:{_ROOT / 'runtime'}",
            "PYTHONWARNINGS": "error",
            "VSM_BUNDLE_URL": self.oci.pull_url,
            "VSM_BUNDLE_REPOSITORY": "vsm/bundles",
            "VSM_BUNDLE_DIGEST": digest,
            "VSM_BUNDLE_TARGET": str(place),
            "VSM_TERMINATION_LOG": str(self.directory / "load-termination"),
        }
        argv = [sys.executable, "-m", "vsm_runtime.load"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return place


@pytest.fixture
def make_intake(oci: OciRegistry, tmp_path: Path) -> Iterator[Callable[..., Intake]]:
    """An intake over fresh registries; `mirror=True` gives them the dialect of a plain mirror."""
    with ExitStack() as stack:

        def make(*, mirror: bool = False) -> Intake:
            npm = stack.enter_context(NpmServer(mirror=mirror))
            pypi = stack.enter_context(PypiServer(mirror=mirror))
            directory = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            return Intake(oci, directory, npm, pypi)

        yield make
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def intake(make_intake: Callable[..., Intake]) -> Intake:
    return make_intake()
