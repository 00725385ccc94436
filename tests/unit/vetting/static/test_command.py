"""`python -m vsm_runtime.vetting scan`: JSON on stdout, nothing else there, and an exit code that says how it went."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vsm_operator
import vsm_runtime
from vetting_samples import BENIGN, MALICIOUS, write
from vsm_runtime.vetting.static import command


def test_a_clean_package_is_exit_code_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(write(BENIGN[0], tmp_path))]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["risk"] == 0.0
    assert document["coverage"] == 1.0


def test_a_risky_package_is_exit_code_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(write(MALICIOUS[0], tmp_path)), "--purl", "pkg:npm/x@1"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["file"] == "package.json"


def test_what_cannot_be_read_is_exit_code_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tmp_path / "nothing")]) == 3
    assert not json.loads(capsys.readouterr().out)["complete"]


def test_the_module_is_a_program(tmp_path: Path) -> None:
    paths = [str(Path(module.__file__ or "").parents[1]) for module in (vsm_runtime, vsm_operator)]
    argv = [sys.executable, "-m", "vsm_runtime.vetting", "scan", str(write(BENIGN[0], tmp_path))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(argv, env=environment, capture_output=True, timeout=120, check=True)
    assert json.loads(done.stdout)["files"] == 2
