"""Writing a sample as a directory, an npm tarball or a wheel-like zip."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sample:
    """One package and what it stands for."""

    name: str
    ecosystem: Literal["npm", "pypi"]
    files: Mapping[str, str]
    story: str


def write(sample: Sample, folder: Path) -> Path:
    """The package as a directory below `folder`."""
    top = folder / sample.name
    for name, text in sample.files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return top


def pack_npm(sample: Sample, folder: Path) -> Path:
    """The package as a registry would serve it: a gzipped tar with everything below package/."""
    path = folder / f"{sample.name}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in sorted(sample.files.items()):
            data = text.encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pack_wheel(sample: Sample, folder: Path) -> Path:
    """The package as a zip."""
    path = folder / f"{sample.name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(sample.files.items()):
            archive.writestr(name, text)
    return path
