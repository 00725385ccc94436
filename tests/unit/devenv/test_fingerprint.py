"""Content decides; times and places do not."""

from __future__ import annotations

import os
from pathlib import Path

from devenv import fingerprint


def tree(root: Path) -> Path:
    (root / "a").mkdir(parents=True)
    (root / "a" / "one.py").write_text("1")
    (root / "two").write_text("2")
    return root


def key(root: Path) -> str:
    return fingerprint.of_files(root, [root / "a", root / "two"])


def test_the_same_tree_elsewhere_and_later_has_the_same_key(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "x"), tree(tmp_path / "y")
    os.utime(second / "two", (1, 1))
    assert key(first) == key(second)


def test_content_name_and_executable_bit_change_the_key(tmp_path: Path) -> None:
    root = tree(tmp_path / "x")
    keys = [key(root)]
    (root / "two").write_text("3")
    keys.append(key(root))
    (root / "two").chmod(0o755)
    keys.append(key(root))
    (root / "a" / "one.py").rename(root / "a" / "uno.py")
    keys.append(key(root))
    assert len(set(keys)) == len(keys)


def test_what_python_and_the_linters_leave_behind_does_not_count(tmp_path: Path) -> None:
    root = tree(tmp_path / "x")
    before = key(root)
    (root / "a" / "__pycache__").mkdir()
    (root / "a" / "__pycache__" / "one.cpython-311.pyc").write_text("x")
    assert key(root) == before


def test_a_missing_file_is_not_an_empty_one(tmp_path: Path) -> None:
    root = tree(tmp_path / "x")
    without = fingerprint.of_files(root, [root / "three"])
    (root / "three").touch()
    assert fingerprint.of_files(root, [root / "three"]) != without


def test_texts_do_not_run_into_each_other() -> None:
    assert fingerprint.of_texts(["ab", "c"]) != fingerprint.of_texts(["a", "bc"])
