"""What the test registries hold: releases as values, and the bytes of their archives, made when they are asked for.

Nothing here is ever run, and nothing in an archive points anywhere but to `.invalid` names or loopback. The same
release gives the same bytes, so that two registries have the same digests too.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from unit.intake.kit import file, npm_tarball, record_hash, sri, tgz

LONG_AGO = datetime(2025, 2, 3, 9, 30, tzinfo=UTC)
"""When everything was published that says nothing else."""
HONEST_REPOSITORY = "https://git.invalid/vsm-demo/packages"
FORK_REPOSITORY = "https://git.invalid/somebody-else/packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmRelease:
    """One version of an npm package. `files` are named from the package's own top folder."""

    name: str
    version: str = "1.0.0"
    files: Mapping[str, bytes] = field(default_factory=lambda: {"index.js": b"module.exports = 1\n"})
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """package.json, beside name, version, licence and repository."""
    published: datetime = LONG_AGO
    deprecated: str = ""
    repository: str = HONEST_REPOSITORY
    publisher: str = "vsm-demo"
    attested: str = ""
    """The repository that an attestation names; empty is no attestation."""
    served_files: Mapping[str, bytes] | None = None
    """Other contents than those whose digest the registry has recorded."""

    @property
    def package_json(self) -> dict[str, Any]:
        repository = {"repository": {"type": "git", "url": f"git+{self.repository}.git"}} if self.repository else {}
        fixed = {"name": self.name, "version": self.version, "license": "MIT", "main": "index.js"}
        return fixed | repository | dict(self.manifest)

    @property
    def filename(self) -> str:
        return f"{self.name.rsplit('/', 1)[-1]}-{self.version}.tgz"

    @property
    def recorded(self) -> bytes:
        """The archive that was published."""
        return self._archive(self.files)

    @property
    def served(self) -> bytes:
        """The archive that a download gives."""
        return self.recorded if self.served_files is None else self._archive(self.served_files)

    @property
    def dist(self) -> dict[str, Any]:
        """`shasum` and `integrity` of what was published, without the place."""
        data = self.recorded
        return {"shasum": hashlib.sha1(data).hexdigest(), "integrity": sri(data)}  # noqa: S324 - npm's field

    @property
    def has_install_script(self) -> bool:
        return bool({"preinstall", "install", "postinstall"} & set(self.package_json.get("scripts", {})))

    def _archive(self, files: Mapping[str, bytes]) -> bytes:
        return npm_tarball(self.package_json, *(file(f"package/{path}", files[path]) for path in sorted(files)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiRelease:
    """One version of a PyPI project, as one wheel or, if `source_only`, as one source archive."""

    name: str
    version: str = "1.0.0"
    files: Mapping[str, bytes] | None = None
    """From the top of site-packages (of the project, for a source archive); None is one small module."""
    requires: Sequence[str] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    source_only: bool = False
    published: datetime = LONG_AGO
    yanked: str = ""
    """Why; empty is not yanked."""
    status: str = "active"
    """PEP 792: active, archived, quarantined, deprecated."""
    repository: str = HONEST_REPOSITORY
    publisher: str = "vsm-demo"
    attested: str = ""
    served_files: Mapping[str, bytes] | None = None

    @property
    def project(self) -> str:
        """The normalised name (PEP 503)."""
        return self.name.lower().replace("_", "-").replace(".", "-")

    @property
    def module(self) -> str:
        return self.project.replace("-", "_")

    @property
    def filename(self) -> str:
        return f"{self.module}-{self.version}{'.tar.gz' if self.source_only else '-py3-none-any.whl'}"

    @property
    def recorded(self) -> bytes:
        return self._archive(self.files)

    @property
    def served(self) -> bytes:
        return self.recorded if self.served_files is None else self._archive(self.served_files)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.recorded).hexdigest()

    @property
    def metadata(self) -> bytes:
        """METADATA, which is PKG-INFO in a source archive."""
        lines = ["Metadata-Version: 2.4", f"Name: {self.name}", f"Version: {self.version}"]
        lines += ["Summary: A package for tests", "License-Expression: MIT", "Requires-Python: >=3.9"]
        lines += [f"Project-URL: Source, {self.repository}"] if self.repository else []
        lines += [f"Requires-Dist: {item}" for item in self.requires]
        return "\n".join([*lines, "Description-Content-Type: text/markdown", "", self.description, ""]).encode()

    def _archive(self, files: Mapping[str, bytes] | None) -> bytes:
        body = dict(files) if files is not None else {f"{self.module}/__init__.py": b"def main():\n    return 0\n"}
        return self._source_archive(body) if self.source_only else self._wheel(body)

    def _source_archive(self, body: Mapping[str, bytes]) -> bytes:
        top = f"{self.module}-{self.version}"
        contents = {"PKG-INFO": self.metadata, **body}
        return tgz(*(file(f"{top}/{path}", contents[path]) for path in sorted(contents)))

    def _wheel(self, body: Mapping[str, bytes]) -> bytes:
        info = f"{self.module}-{self.version}.dist-info"
        contents = dict(body) | {
            f"{info}/METADATA": self.metadata,
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if self.scripts:
            lines = [f"{script} = {target}" for script, target in self.scripts.items()]
            contents[f"{info}/entry_points.txt"] = "\n".join(["[console_scripts]", *lines, ""]).encode()
        rows = [f"{path},{record_hash(data)},{len(data)}\n" for path, data in contents.items()]
        contents[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for path, data in contents.items():
                archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
        return out.getvalue()
