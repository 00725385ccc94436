"""What outlives a run: the record, the lock, and what a person is told when something failed."""

import fcntl
import io
import os
from pathlib import Path

import pytest

from localcluster import probes, record
from localcluster.errors import ComponentError, LocalClusterError, tail
from localcluster.locks import exclusive
from localcluster.progress import Progress, wait_until
from localcluster.record import Record

MADE = Record(
    kubernetes="1.34", host_address="10.213.0.1", node_address="10.213.0.2",
    kubernetes_binaries="/cache/k", addon_binaries="/cache/a", complete=True,
)  # fmt: skip


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    record.write(tmp_path / "cluster.json", MADE)

    assert record.read(tmp_path / "cluster.json") == MADE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kubernetes": "1.34"}', '{"surprise": 1}', "null"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.json").write_text(text)

    assert record.read(tmp_path / "cluster.json") is None


def hold(lock: Path, said: io.StringIO) -> None:
    with exclusive(lock, progress=Progress(said), wait_seconds=0):
        with lock.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert lock.read_text().strip() == str(os.getpid())


def test_a_second_run_waits_for_the_first_and_names_it(tmp_path: Path) -> None:
    lock, said = tmp_path / ".local" / "lock", io.StringIO()
    refused = pytest.raises(LocalClusterError, match=f"process {os.getpid()} has held")

    with exclusive(lock, progress=Progress(said)), refused:
        hold(lock, said)

    assert f"waiting for another run in this checkout (process {os.getpid()})" in said.getvalue()


def test_the_lock_is_free_again_after_a_run_and_after_a_killed_one(tmp_path: Path) -> None:
    lock, said = tmp_path / "lock", io.StringIO()
    lock.write_text("999999\n")

    hold(lock, said)
    hold(lock, said)

    assert said.getvalue() == ""


def test_a_failure_shows_the_component_the_end_of_its_log_and_the_next_command(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    text = ComponentError("etcd", "not ready within 90 s", log=log).explain()

    assert text.startswith("etcd: not ready within 90 s\n")
    assert "line 99" in text
    assert "line 50" not in text
    assert "localcluster logs etcd" in text


def test_a_component_without_a_log_is_still_explained(tmp_path: Path) -> None:
    assert "(nothing)" in ComponentError("etcd", "gone", log=tmp_path / "absent").explain()


def test_only_the_end_of_a_huge_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (1 << 20) + b"\nlast\n")

    lines = tail(log)

    assert lines[-1] == "last"
    assert sum(map(len, lines)) <= 16 * 1024


def test_every_step_says_how_long_after_the_start_it_was_reached() -> None:
    said, now = io.StringIO(), iter([100.0, 112.3])

    Progress(said, clock=lambda: next(now)).step("kube-apiserver ready")

    assert said.getvalue() == "[  12.3s] kube-apiserver ready\n"


def test_waiting_asks_at_least_once_and_gives_up_in_time() -> None:
    asked: list[int] = []

    assert wait_until(lambda: asked.append(1), timeout_seconds=0) is None
    assert asked == [1]
    assert wait_until(lambda: "found", timeout_seconds=0) == "found"


@pytest.mark.parametrize(
    ("node", "ready"),
    [
        (None, False),
        ({}, False),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, False),
        ({"status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}, False),
        ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True),
    ],
)
def test_a_node_is_ready_only_when_it_says_so(node: dict[str, object] | None, ready: bool) -> None:
    assert probes.is_ready(node) is ready


def test_a_dns_question_is_laid_out_as_the_standard_says() -> None:
    assert (
        probes.dns_query("a.bc") == b"\x76\x73\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x01\x00\x01"
    )
