import json
import os
import select
import sys
from pathlib import Path

import pytest

from vsm_operator.domain.intake import IntakeFailure, IntakeReason, parse_outcome
from vsm_runtime.intake.__main__ import main
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.settings import Settings
from vsm_runtime.intake.tools import MAX_OUTPUT_BYTES, last_lines, run_tool, tool_environment

KEY = "0" * 32


def outcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: str) -> tuple[int, IntakeFailure]:
    """Without a single URL in the environment: whatever got as far as the network would fail with another reason."""
    monkeypatch.setenv("VSM_INTAKE_REQUEST", request)
    monkeypatch.setenv("VSM_TERMINATION_LOG", str(tmp_path / "log"))
    monkeypatch.delenv("VSM_OCI_URL", raising=False)
    code = main()
    found = parse_outcome((tmp_path / "log").read_text())
    assert isinstance(found, IntakeFailure)
    return code, found


@pytest.mark.parametrize("ecosystem", ["npm", "pypi"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a;rm -rf /", id="shell"),
        pytest.param("$(id)", id="substitution"),
        pytest.param("../x", id="parent directory"),
        pytest.param("--flag", id="option"),
        pytest.param("@scope/", id="scope only"),
        pytest.param("s\u0435rver-memory", id="cyrillic letter"),
        pytest.param("server\u200b", id="zero width space"),
        pytest.param("a" * 300, id="300 characters"),
        pytest.param("", id="empty"),
        pytest.param("a\n", id="newline"),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ecosystem: str, name: str
) -> None:
    request = json.dumps({"ecosystem": ecosystem, "name": name, "version": "1.0.0", "key": KEY})
    code, failure = outcome(monkeypatch, tmp_path, request)
    assert (code, failure.reason) == (10, IntakeReason.INVALID_REQUEST)
    assert f"is no {ecosystem} package name" in failure.message


@pytest.mark.parametrize("ecosystem", ["npm", "pypi"])
@pytest.mark.parametrize("version", ["^1.0.0", ">=1", "latest", "*", "1.x", "https://x.invalid/a.tgz", "", "1.0.0; ls"])
def test_a_range_a_tag_or_a_url_is_no_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ecosystem: str, version: str
) -> None:
    request = json.dumps({"ecosystem": ecosystem, "name": "demo", "version": version, "key": KEY})
    code, failure = outcome(monkeypatch, tmp_path, request)
    assert (code, failure.reason) == (10, IntakeReason.INVALID_REQUEST)
    assert "exact" in failure.message


@pytest.mark.parametrize("request_text", ["", "nonsense", "[]", '{"ecosystem": "cargo"}'])
def test_a_malformed_request_is_an_invalid_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_text: str
) -> None:
    assert outcome(monkeypatch, tmp_path, request_text)[1].reason is IntakeReason.INVALID_REQUEST


def test_the_outcome_is_also_the_last_line_of_stdout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = outcome(monkeypatch, tmp_path, "")[1]
    assert parse_outcome(capsys.readouterr().out) == failure


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VSM_OCI_URL", ""),
        ("VSM_OCI_URL", "ftp://x"),
        ("VSM_NPM_REGISTRY", "registry.invalid"),
        ("VSM_PYPI_INDEX", "https://x invalid"),
        ("VSM_INTAKE_MAX_FILES", "0"),
        ("VSM_INTAKE_MAX_PACKAGES", "lots"),
        ("VSM_INTAKE_MAX_UNPACKED_BYTES", "1Gi"),
    ],
)
def test_a_malformed_setting_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(IntakeError, match=name) as caught:
        Settings.from_env({"VSM_OCI_URL": "http://oci.invalid"} | {name: value})
    assert caught.value.reason is IntakeReason.INVALID_REQUEST


def test_settings_have_the_documented_bounds() -> None:
    limits = Settings.from_env({"VSM_OCI_URL": "http://oci.invalid/"}).limits
    assert (limits.max_unpacked_bytes, limits.max_packages, limits.max_files) == (1024**3, 2000, 200_000)


def test_a_resolver_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    child = f"import time; held = open({str(alive)!r}, 'w'); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    reading = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(IntakeError, match="did not finish within 2 s") as caught:
            run_tool([sys.executable, "-c", parent], cwd=tmp_path, env={}, timeout_seconds=2)
        assert caught.value.reason.retryable
        # The end of the pipe is seen when nobody holds it any more; a child that lives on keeps it for a minute.
        ready, _, _ = select.select([reading], [], [], 10)
        assert ready == [reading]
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_only_the_end_of_a_flood_of_output_is_kept(tmp_path: Path) -> None:
    program = "import sys\nfor n in range(200000): print('line', n)\nsys.exit(3)"
    finished = run_tool([sys.executable, "-c", program], cwd=tmp_path, env={})
    assert finished.code == 3
    assert len(finished.stdout) <= MAX_OUTPUT_BYTES
    assert finished.stdout.endswith("line 199999\n")


def test_a_resolver_sees_proxies_and_authorities_and_nothing_else_of_ours(tmp_path: Path) -> None:
    environ = {
        "HTTPS_PROXY": "http://proxy.invalid",
        "SSL_CERT_FILE": "/ca.pem",
        "VSM_OCI_URL": "http://oci.invalid",
        "NPM_TOKEN": "hunter2",
        "NODE_OPTIONS": "--require=/evil.js",
        "UV_INDEX": "https://elsewhere.invalid",
    }
    assert tool_environment(environ, home=tmp_path) == {
        "HTTPS_PROXY": "http://proxy.invalid",
        "SSL_CERT_FILE": "/ca.pem",
        "NODE_EXTRA_CA_CERTS": "/ca.pem",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }


def test_the_last_lines_are_short_and_without_credentials() -> None:
    text = "\n".join(["noise"] * 50 + ["error: https://user:hunter2@index.invalid/simple", "", "   end  "])
    said = last_lines(text, count=2)
    assert said == "error: https://index.invalid/simple end"
    assert len(last_lines("x" * 10_000)) <= 800
