"""Brings the launcher and a Python interpreter into a directory, for images that have neither (not even a libc).

The interpreter is started through its own dynamic loader, by the absolute path of the directory:

    DIR/ld.so --library-path DIR/lib DIR/python3 -I DIR/launcher.py --socket ... --control ... -- ARGV...

Copied is what a dry run of exactly that interpreter with `launcher.py` loaded shows to be in use: its mapped libraries
and the files of its modules, found relative to the executable as any Python finds its standard library. Nothing is
resolved by name in the foreign image, and nothing of ours enters the child's environment. Standard library only.
"""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

_DRY_RUN = """
import sys
import array, encodings.ascii, encodings.latin_1, encodings.utf_8, json, os, site, warnings  # some are imported late
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "dry_run"})
# Modules frozen into the executable have a file as well: the standard library is recognised by that of `os`.
files = sorted({m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)})
maps = sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if len(line.split(None, 5)) == 6})
print(json.dumps({"stdlib": os.path.dirname(os.__file__), "files": files, "maps": maps}))
"""


def install(target: str) -> None:
    """Fills `target`, which may exist, and prints one line that says so. Raises OSError or CalledProcessError."""
    directory = Path(target)
    launcher = Path(__file__).resolve().with_name("launcher.py")
    interpreter = _base_interpreter()
    output = subprocess.run(
        [str(interpreter), "-I", "-S", "-c", _DRY_RUN, str(launcher)], check=True, stdout=subprocess.PIPE, timeout=60
    ).stdout
    seen = json.loads(output)

    libraries = directory / "lib"
    standard_library = libraries / f"python{sys.version_info.major}.{sys.version_info.minor}"
    (standard_library / "lib-dynload").mkdir(parents=True, exist_ok=True)  # looked for even if all is built in
    _copy(interpreter, directory / "python3", mode=0o755)
    _copy(launcher, directory / "launcher.py", mode=0o644)

    extensions = set()
    for file in map(Path, seen["files"]):
        if not file.is_relative_to(seen["stdlib"]):
            continue
        copy = standard_library / file.relative_to(seen["stdlib"])
        if file.suffix == ".py":
            _copy_module(file, copy)
        else:
            extensions.add(os.path.realpath(file))
            _copy(file, copy, mode=0o755)
    for path in seen["maps"]:
        name = Path(path).name
        if not path.startswith("/") or ".so" not in name or os.path.realpath(path) in extensions:
            continue
        if name.startswith(("ld-", "ld.")):
            _copy(Path(path), directory / "ld.so", mode=0o755)
        else:
            _copy(Path(path), libraries / name, mode=0o755)
            for alias in _names_of(Path(path)) - {name}:
                (libraries / alias).unlink(missing_ok=True)
                (libraries / alias).symlink_to(name)
    if not (directory / "ld.so").exists() and any(".so" in path for path in seen["maps"]):
        raise FileNotFoundError(f"the dynamic loader of {interpreter} was not found among its mapped files")
    sys.stdout.write(f"installed the launcher and Python {sys.version.split()[0]} in {directory}\n")


def _base_interpreter() -> Path:
    """The real executable behind virtual environments and links."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    found = Path(f"/proc/{os.getpid()}/exe").resolve()
    return found if found.exists() else Path(base).resolve()


def _names_of(library: Path) -> set[str]:
    """Under what names others may ask for a library: those of the links beside it that lead to it."""
    real = os.path.realpath(library)
    stem = library.name.split(".so")[0].split("-")[0]
    return {
        entry.name
        for entry in library.parent.glob(f"{stem}*.so*")
        if entry.is_symlink() and os.path.realpath(entry) == real
    }


def _copy_module(source: Path, target: Path) -> None:
    _copy(source, target, mode=0o644)
    compiled = target.parent / "__pycache__" / f"{target.stem}.{sys.implementation.cache_tag}.pyc"
    # Unchecked: the copies never change, and their directory is read-only where they run.
    py_compile.compile(
        str(target), cfile=str(compiled), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    compiled.chmod(0o644)


def _copy(source: Path, target: Path, *, mode: int) -> None:
    """Replaces, rather than overwrites: an interpreter that runs from there keeps its file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.chmod(mode)
    partial.replace(target)
