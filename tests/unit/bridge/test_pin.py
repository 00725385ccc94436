"""The tool pin against a file that comes, changes, breaks and goes, the way a mounted ConfigMap does."""

import os
from pathlib import Path

import pytest

from vsm_runtime.bridge.pin import PinMode, PinVerdict, ToolPin

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CHANGED = PinVerdict(admitted=False, expected=A, reason="ToolsChanged")
NOT_ADMITTED = PinVerdict(admitted=False, expected=None, reason="ToolsNotAdmitted")
GUARDING = pytest.mark.parametrize("mode", [PinMode.FIRST_USE, PinMode.STRICT])


def admitted(digest: str) -> PinVerdict:
    return PinVerdict(admitted=True, expected=digest)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pins" / "admitted"


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def mount(path: Path, generation: str, content: str | None) -> None:
    """As the kubelet does it: a new directory, and one rename of the symlink that all files go through."""
    directory = path.parent / f"..{generation}"
    directory.mkdir(parents=True)
    if content is not None:
        (directory / path.name).write_text(content)
    if not path.is_symlink():
        path.symlink_to(Path("..data") / path.name)
    fresh = path.parent / "..data_tmp"
    fresh.symlink_to(directory.name)
    fresh.rename(path.parent / "..data")


class TestOff:
    def test_admits_everything_and_looks_nowhere(self) -> None:
        pin = ToolPin(PinMode.OFF, None)
        assert pin.check(A) == PinVerdict(admitted=True, expected=None)
        assert pin.check("") == PinVerdict(admitted=True, expected=None)
        assert not pin.changed_on_disk()


class TestStrict:
    def test_nothing_is_admitted_until_the_file_says_so(self, path: Path) -> None:
        pin = ToolPin(PinMode.STRICT, path)
        assert pin.check(A) == NOT_ADMITTED
        assert not pin.changed_on_disk()
        write(path, A + "\n")
        assert pin.changed_on_disk()
        assert pin.check(A) == admitted(A)
        assert not pin.changed_on_disk()

    def test_nothing_is_admitted_once_the_file_is_gone(self, path: Path) -> None:
        write(path, A)
        pin = ToolPin(PinMode.STRICT, path)
        assert pin.check(A).admitted
        path.unlink()
        assert pin.changed_on_disk()
        assert pin.check(A) == NOT_ADMITTED


class TestFirstUse:
    def test_first_list_of_this_process_is_the_admitted_one(self, path: Path) -> None:
        pin = ToolPin(PinMode.FIRST_USE, path)
        assert pin.check(A) == admitted(A)
        assert pin.check(B) == CHANGED
        assert pin.check(A) == admitted(A)

    def test_file_wins_over_what_was_first(self, path: Path) -> None:
        pin = ToolPin(PinMode.FIRST_USE, path)
        assert pin.check(B) == admitted(B)
        write(path, A)
        assert pin.check(B) == CHANGED
        assert pin.check(A) == admitted(A)

    def test_loss_of_the_file_admits_nothing_new(self, path: Path) -> None:
        write(path, A)
        pin = ToolPin(PinMode.FIRST_USE, path)
        assert pin.check(B) == CHANGED
        path.unlink()
        assert pin.check(B) == CHANGED
        assert pin.check(A) == admitted(A)

    def test_broken_file_is_no_occasion_for_a_first_use(self, path: Path) -> None:
        write(path, "")
        pin = ToolPin(PinMode.FIRST_USE, path)
        assert pin.check(B) == NOT_ADMITTED
        write(path, A)
        assert pin.check(B) == CHANGED

    def test_what_is_no_hash_is_never_remembered(self, path: Path) -> None:
        pin = ToolPin(PinMode.FIRST_USE, path)
        assert pin.check("") == NOT_ADMITTED
        assert pin.check(A) == admitted(A)


@GUARDING
@pytest.mark.parametrize(
    "content",
    [
        "",
        "sha256:",
        "a" * 64,
        A + "\n" + A,
        A.upper(),
        A + "0",
        "sha1:" + "a" * 64,
        b"\xff\xfe" * 30,
        A + " # mine",
        "x" * 5000,
    ],
)
def test_garbled_file_admits_nothing(path: Path, mode: PinMode, content: str | bytes) -> None:
    write(path, content)
    pin = ToolPin(mode, path)
    assert pin.check(A) == NOT_ADMITTED
    write(path, A)
    assert pin.changed_on_disk()
    assert pin.check(A) == admitted(A)


@GUARDING
def test_what_is_no_file_admits_nothing_and_holds_nobody_up(tmp_path: Path, mode: PinMode) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("directory", "pipe", "loop"):
        assert ToolPin(mode, tmp_path / name).check(A) == NOT_ADMITTED


@GUARDING
@pytest.mark.parametrize("step", ["open", "read"])
def test_unreadable_file_admits_nothing_and_is_tried_again(
    path: Path, mode: PinMode, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> int:
        raise PermissionError

    write(path, A)
    pin = ToolPin(mode, path)
    assert pin.check(A) == admitted(A)
    with monkeypatch.context() as patch:
        patch.setattr(f"vsm_runtime.bridge.pin.os.{step}", denied)
        assert pin.check(A) == NOT_ADMITTED
    assert pin.changed_on_disk()
    assert pin.check(A) == admitted(A)


@GUARDING
def test_swap_of_a_mounted_config_map_is_seen(path: Path, mode: PinMode) -> None:
    mount(path, "one", A)
    pin = ToolPin(mode, path)
    assert pin.check(A) == admitted(A)
    assert not pin.changed_on_disk()
    mount(path, "two", B)
    assert pin.changed_on_disk()
    assert pin.check(A) == PinVerdict(admitted=False, expected=B, reason="ToolsChanged")
    assert pin.check(B) == admitted(B)
    assert not pin.changed_on_disk()


def test_key_that_a_mounted_config_map_lacks_is_no_file_and_its_coming_is_seen(path: Path) -> None:
    mount(path, "one", None)
    pin = ToolPin(PinMode.STRICT, path)
    assert pin.check(A) == NOT_ADMITTED
    assert not pin.changed_on_disk()
    mount(path, "two", A)
    assert pin.changed_on_disk()
    assert pin.check(A) == admitted(A)


@GUARDING
def test_guard_without_a_path_is_a_mistake(mode: PinMode) -> None:
    with pytest.raises(ValueError, match="needs the path"):
        ToolPin(mode, None)
