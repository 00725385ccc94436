"""The shapes of published attacks are found, in each form they arrive in, and honest look-alikes are left alone."""

from pathlib import Path

import pytest

from vetting_samples import BENIGN, MALICIOUS, Sample, pack_npm, pack_wheel, write
from vsm_runtime.vetting.static import scan

GATE, WARN = 7.6, 5.0
BELOW_GATE = {"env-exfiltration-two-files"}
"""Found, but a chain over two files is followed by names only: it warns."""


@pytest.mark.parametrize("sample", MALICIOUS, ids=lambda sample: sample.name)
def test_an_attack_reaches_the_gate(sample: Sample, tmp_path: Path) -> None:
    report = scan(write(sample, tmp_path))
    assert report.risk >= (WARN if sample.name in BELOW_GATE else GATE), report.to_json()


@pytest.mark.parametrize("sample", MALICIOUS, ids=lambda sample: sample.name)
def test_the_worst_finding_names_a_file_of_the_package(sample: Sample, tmp_path: Path) -> None:
    report = scan(write(sample, tmp_path), purl="pkg:npm/x@1")
    worst = next(finding for finding in report.findings if finding.data.get("weight"))
    assert worst.file in sample.files
    assert worst.purl == "pkg:npm/x@1"


@pytest.mark.parametrize("sample", MALICIOUS, ids=lambda sample: sample.name)
def test_an_archive_is_judged_like_its_directory(sample: Sample, tmp_path: Path) -> None:
    pack = pack_npm if sample.ecosystem == "npm" else pack_wheel
    unpacked, packed = scan(write(sample, tmp_path)), scan(pack(sample, tmp_path))
    assert packed.risk == unpacked.risk
    assert [f.rule for f in packed.findings] == [f.rule for f in unpacked.findings]


@pytest.mark.parametrize("sample", BENIGN, ids=lambda sample: sample.name)
def test_an_honest_package_stays_below_a_warning(sample: Sample, tmp_path: Path) -> None:
    report = scan(write(sample, tmp_path))
    assert report.risk < WARN, report.to_json()


def test_everything_that_runs_is_counted_and_scanned(tmp_path: Path) -> None:
    for sample in MALICIOUS:
        report = scan(write(sample, tmp_path))
        assert report.executable_bytes > 0
        assert report.coverage == 1.0
        assert report.complete


def test_two_scans_are_equal_to_the_byte(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    for sample in MALICIOUS:
        write(sample, folder)
    assert scan(folder) == scan(folder)


def test_a_lifecycle_script_is_a_finding_of_install_time(tmp_path: Path) -> None:
    sample = next(one for one in BENIGN if one.name == "native-build")
    report = scan(write(sample, tmp_path))
    assert {"npm-lifecycle-script", "binding-gyp"} <= {f.rule for f in report.findings if f.check == "C3"}
    assert "install-code" in report.capabilities
