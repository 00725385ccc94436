"""Dumps and snapshots: same answers in every form, age and holes told, hostile files bounded."""

import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from unit.vetting.advisories.kit import CRITICAL, TODAY, entry, npm, pypi
from vsm_operator.domain.vetting.model import SourceState
from vsm_runtime.vetting.advisories import snapshot
from vsm_runtime.vetting.advisories.collect import Report, collect
from vsm_runtime.vetting.advisories.dump import MAX_ENTRY_BYTES
from vsm_runtime.vetting.advisories.offline import OsvDump, Snapshot

TREE = [npm("left-thing", "1.0.0"), npm("bad-thing", "0.0.1"), pypi("Snake_Thing", "1.0"), npm("clean", "1.0.0")]
ENTRIES: list[dict[str, Any]] = [
    entry(aliases=["CVE-2026-1"], database_specific={"severity": "MODERATE"}),
    entry("GHSA-zzzz-zzzz-zzzz", withdrawn="2026-01-01T00:00:00Z"),
    entry("MAL-2026-5", name="bad-thing", events=[{"introduced": "0"}]),
    entry(
        "PYSEC-2026-1",
        name="snake.thing",
        ecosystem="PyPI",
        versions=["1.0"],
        severity=[{"type": "CVSS_V3", "score": CRITICAL}],
    ),
    entry("MAL-2026-6", name="bad-snake", ecosystem="PyPI", events=[{"introduced": "0"}]),
    entry("GHSA-yyyy-yyyy-yyyy", name="unrelated"),
]


def folder(path: Path, entries: list[Any]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(entries):
        content = each if isinstance(each, bytes) else json.dumps(each).encode()
        (path / f"{number:03}.json").write_bytes(content)
    return path


def zipped(path: Path, entries: list[Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, each in enumerate(entries):
            archive.writestr(f"{number:03}.json", each if isinstance(each, bytes) else json.dumps(each))
    return path


def asked(dump: Path, **options: Any) -> Report:
    return collect([OsvDump(path=dump, today=TODAY, **options)], TREE)


def told(report: Report) -> list[tuple[str, str, str]]:
    return [(finding.check, finding.purl, str(finding.data["id"])) for finding in report.findings]


WANTED = [
    ("C1", "pkg:pypi/Snake_Thing@1.0", "PYSEC-2026-1"),
    ("G2", "pkg:npm/bad-thing@0.0.1", "MAL-2026-5"),
    ("C1", "pkg:npm/left-thing@1.0.0", "GHSA-aaaa-bbbb-cccc"),
]


def feeding(report: Report, status: str) -> set[tuple[str, str]]:
    return {
        (feed, purl)
        for state in report.sources
        if state.status == status
        for feed in state.feeds
        for purl in state.purls
    }


def test_a_directory_a_zip_and_a_directory_of_zips_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "many" / "npm").mkdir(parents=True)
    zipped(tmp_path / "many" / "npm" / "all.zip", ENTRIES)
    forms = [folder(tmp_path / "plain", ENTRIES), zipped(tmp_path / "all.zip", ENTRIES), tmp_path / "many"]
    reports = [asked(form) for form in forms]
    assert [told(report) for report in reports] == [WANTED] * 3
    assert reports[0] == reports[1] == reports[2]
    assert feeding(reports[0], "ok") == {(feed, subject.purl) for feed in ("C1", "G2", "G5") for subject in TREE}
    assert {state.as_of for state in reports[0].sources} == {"2026-11-22"}
    assert [dataset.name for dataset in reports[0].datasets] == ["osv-dump"]


def test_the_cached_form_says_the_same_and_is_built_once(tmp_path: Path) -> None:
    dump = zipped(tmp_path / "all.zip", ENTRIES)
    first = asked(dump, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    built = kept.stat().st_mtime_ns
    assert asked(dump, cache=tmp_path / "cache") == first == asked(dump)
    assert kept.stat().st_mtime_ns == built


def test_a_dump_that_changed_is_read_again(tmp_path: Path) -> None:
    dump = folder(tmp_path / "dump", ENTRIES)
    asked(dump, cache=tmp_path / "cache")
    (dump / "new.json").write_text(json.dumps(entry("MAL-2026-9", name="clean", events=[{"introduced": "0"}])))
    assert ("G2", "pkg:npm/clean@1.0.0", "MAL-2026-9") in told(asked(dump, cache=tmp_path / "cache"))


def test_a_damaged_cache_is_built_again(tmp_path: Path) -> None:
    dump = zipped(tmp_path / "all.zip", ENTRIES)
    asked(dump, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"PK\x03\x04 nothing")
    assert told(asked(dump, cache=tmp_path / "cache")) == WANTED


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert told(asked(zipped(tmp_path / "all.zip", ENTRIES), cache=tmp_path / "file" / "cache")) == WANTED


def test_old_data_are_stale_and_still_tell_what_they_know(tmp_path: Path) -> None:
    old = [each | {"modified": "2026-11-20T00:00:00Z"} for each in ENTRIES]
    report = asked(folder(tmp_path, old))
    assert told(report) == WANTED
    assert {state.status for state in report.sources} == {"stale"}
    assert {state.status for state in asked(tmp_path, max_age_hours=72).sources} == {"ok"}


def test_a_date_in_the_future_does_not_make_data_fresh(tmp_path: Path) -> None:
    late = [each | {"modified": "2030-01-01T00:00:00Z"} for each in ENTRIES]
    assert {state.status for state in asked(folder(tmp_path, late)).sources} == {"error"}
    old = [each | {"modified": "2026-01-01T00:00:00Z"} for each in ENTRIES]
    mixed = asked(folder(tmp_path / "mixed", [*old, entry("GHSA-x", modified="2030-01-01T00:00:00Z")]))
    assert {state.status for state in mixed.sources} == {"stale"}


def test_a_body_without_malware_entries_is_no_malware_list(tmp_path: Path) -> None:
    report = asked(folder(tmp_path, [each for each in ENTRIES if not each["id"].startswith("MAL-")]))
    assert {feed for feed, _ in feeding(report, "ok")} == {"C1", "G5"}
    assert feeding(report, "unavailable") == {("G2", subject.purl) for subject in TREE}


def test_a_body_of_one_ecosystem_does_not_answer_for_the_other(tmp_path: Path) -> None:
    report = asked(folder(tmp_path, [each for each in ENTRIES if each["affected"][0]["package"]["ecosystem"] == "npm"]))
    assert {purl for _, purl in feeding(report, "ok")} == {each.purl for each in TREE if "npm" in each.purl}
    assert {purl for _, purl in feeding(report, "unavailable")} == {"pkg:pypi/Snake_Thing@1.0"}


@pytest.mark.parametrize(
    "hole",
    [
        b"{",
        b"",
        b"\xff",
        b"[]",
        b"[" * 300_000,
        b'{"id": "X-1", "modified": "never"}',
        b" " * (MAX_ENTRY_BYTES + 1),
        json.dumps(entry() | {"affected": [{"package": {"ecosystem": "npm", "name": ["x"]}}]}).encode(),
    ],
    ids=["cut", "empty", "binary", "list", "deep", "no date", "huge", "wrong type"],
)
@pytest.mark.parametrize("cached", [False, True])
def test_a_body_with_a_hole_is_not_conclusive(tmp_path: Path, hole: bytes, cached: bool) -> None:
    dump = folder(tmp_path / "dump", [*ENTRIES, hole])
    report = asked(dump, cache=tmp_path / "cache" if cached else None)
    assert told(report) == WANTED
    assert {state.status for state in report.sources} == {"error"}
    assert {state.reason for state in report.sources} == {"1 of its entries cannot be read"}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("kind", ["missing", "text", "cut", "empty", "fifo"])
def test_what_is_no_dump_is_no_answer(tmp_path: Path, kind: str, cached: bool) -> None:
    dump = tmp_path / "all.zip"
    if kind == "fifo":
        os.mkfifo(dump)
    elif kind == "cut":
        dump.write_bytes(zipped(tmp_path / "whole.zip", ENTRIES).read_bytes()[:-60])
    elif kind != "missing":
        dump.write_bytes(b"hello" if kind == "text" else b"")
    report = asked(dump, cache=tmp_path / "cache" if cached else None)
    assert report.findings == ()
    assert {state.status for state in report.sources} <= {"error", "unavailable"}
    assert {purl for state in report.sources for purl in state.purls} == {subject.purl for subject in TREE}
    assert all(str(tmp_path) not in state.reason for state in report.sources)


def test_an_empty_directory_answers_nothing(tmp_path: Path) -> None:
    assert feeding(asked(tmp_path), "ok") == set()


def test_a_zip_that_lies_about_its_table_of_contents_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "all.zip", ENTRIES)
    content = bytearray(path.read_bytes())
    with path.open("ab") as sink:
        sink.truncate(600 * 1024 * 1024)  # sparse
        sink.seek(0, os.SEEK_END)
        struct.pack_into("<L", content, len(content) - 22 + 12, 500 * 1024 * 1024)
        sink.write(content[-22:])
    begun = time.perf_counter()
    report = asked(path)
    assert {state.status for state in report.sources} == {"error"}
    assert time.perf_counter() - begun < 2


def test_links_to_directories_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    dump = folder(tmp_path / "dump", ENTRIES[:1])
    other = folder(tmp_path / "other", ENTRIES[1:])
    (dump / "loop").symlink_to(dump)
    (dump / "hidden").symlink_to(other)
    (dump / "mal.json").symlink_to(other / "001.json")
    assert told(asked(dump)) == [WANTED[1], WANTED[2]]


def built(tmp_path: Path, entries: list[Any], name: str = "snapshot.zip") -> Path:
    target = tmp_path / name
    snapshot.build(folder(tmp_path / f"{name}.d", entries), target, today=TODAY)
    return target


def shown(path: Path | None) -> Report:
    return collect([Snapshot(path=path, today=TODAY)], TREE)


def test_a_snapshot_says_what_its_dump_says(tmp_path: Path) -> None:
    report = shown(built(tmp_path, ENTRIES))
    assert told(report) == WANTED
    dumped = asked(tmp_path / "snapshot.zip.d")
    strip = ("source", "as_of")
    assert [{**finding.data, **dict.fromkeys(strip)} for finding in report.findings] == [
        {**finding.data, **dict.fromkeys(strip)} for finding in dumped.findings
    ]
    assert {state.status for state in report.sources} == {"ok"}


def test_the_same_dump_gives_the_same_bytes_whatever_its_order(tmp_path: Path) -> None:
    first = built(tmp_path, ENTRIES, "a.zip")
    shutil.copytree(tmp_path / "a.zip.d", tmp_path / "b.zip.d")
    snapshot.build(tmp_path / "b.zip.d", tmp_path / "b.zip", today=TODAY)
    assert first.read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("member", ["manifest.json", "shard"])
def test_a_snapshot_that_was_changed_is_an_error(tmp_path: Path, member: str) -> None:
    path = built(tmp_path, ENTRIES)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    shard = next(name for name in contents if b"bad-thing" in contents[name] and name != "manifest.json")
    chosen = shard if member == "shard" else member
    contents[chosen] = contents[chosen].replace(b"MAL-2026-5", b"MAL-2026-4") if member == "shard" else b"{}"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    report = shown(path)
    assert {state.status for state in report.sources} == {"error"}
    assert feeding(report, "error") == {(feed, subject.purl) for feed in ("C1", "G2", "G5") for subject in TREE}


@pytest.mark.parametrize("path", [None, Path("/nonexistent/snapshot.zip")], ids=["none", "gone"])
def test_no_snapshot_is_unavailable(path: Path | None) -> None:
    assert {state.status for state in shown(path).sources} == {"unavailable"}


def test_an_empty_snapshot_answers_nothing(tmp_path: Path) -> None:
    assert feeding(shown(built(tmp_path, [])), "ok") == set()


def test_the_command_builds_a_snapshot_and_says_what_is_in_it(tmp_path: Path) -> None:
    dump = folder(tmp_path / "dump", ENTRIES)
    command = [sys.executable, "-m", "vsm_runtime.vetting.advisories.snapshot", str(dump), "--output"]
    done = subprocess.run([*command, str(tmp_path / "out.zip")], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["malware"] == {"npm": 1, "pypi": 1}
    (dump / "hole.json").write_text("{")
    holed = subprocess.run([*command, str(tmp_path / "out.zip")], capture_output=True, timeout=60, check=False)
    assert holed.returncode == 3
    failed = subprocess.run(
        [*command[:3], str(tmp_path / "nothing"), "--output", str(tmp_path / "no.zip")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (failed.returncode, failed.stdout) == (1, "")


def test_states_always_name_packages(tmp_path: Path) -> None:
    """A state without purls would speak for the whole tree."""
    states: list[SourceState] = list(asked(folder(tmp_path, ENTRIES)).sources)
    states += collect([OsvDump(path=tmp_path, today=TODAY), Snapshot(path=None, today=TODAY)], []).sources
    assert all(state.purls for state in states)
