"""One project's page of a Python package index: the Simple API as JSON (PEP 691) or as HTML (PEP 503). Parsing is pure.

Download URLs are taken from here only, and relative ones are normal: mirrors use them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.http import Document, Registry

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1, */*;q=0.01"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One distribution file."""

    filename: str
    url: str
    """Absolute."""
    version: Version
    tags: frozenset[Tag]
    """Empty for a source distribution."""
    build: tuple[Any, ...]
    sha256: str
    """Hexadecimal; empty when the index gives no sha256."""
    requires_python: str
    yanked: str
    """Why it was withdrawn; empty when it was not."""

    @property
    def is_wheel(self) -> bool:
        return bool(self.tags)

    def runs_on(self, python: Version) -> bool:
        """Whether Requires-Python lets this interpreter have it; an unreadable condition does not, as with pip."""
        try:
            return python in SpecifierSet(self.requires_python, prereleases=True)
        except InvalidSpecifier:
            return False


class PypiIndex:
    """Read-only view of one index."""

    def __init__(self, http: Registry) -> None:
        self._http = http

    def files(self, name: str) -> tuple[IndexFile, ...] | None:
        """All files of a project; None when the index does not know it. `name` is normalised (PEP 503)."""
        document = self._http.get(f"{self._http.url}/{quote(name, safe='')}/", accept=_ACCEPT)
        return None if document is None else parse_page(document)


def parse_page(document: Document) -> tuple[IndexFile, ...]:
    """Raises IntakeError(RegistryUnreachable) for a page that is neither of the two formats."""
    kind = document.content_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        raw = document.json()
        files = raw.get("files") if isinstance(raw, dict) else None
        if not isinstance(files, list):
            raise IntakeError(IntakeReason.REGISTRY_UNREACHABLE, f"{document.url} is no page of a package index")
        rows: Iterable[Mapping[str, Any]] = [row for row in files if isinstance(row, dict)]
    else:
        parser = _Anchors()
        parser.feed(document.body.decode("utf-8", errors="replace"))
        parser.close()
        document = Document(urljoin(document.url, parser.base), document.content_type, b"")
        rows = parser.rows
    parsed = (_file(row, base=document.url) for row in rows)
    return tuple(file for file in parsed if file is not None)


def _file(row: Mapping[str, Any], *, base: str) -> IndexFile | None:
    """None for what is neither wheel nor source distribution: eggs, installers, signatures."""
    filename, url = str(row.get("filename") or ""), str(row.get("url") or "")
    tags: frozenset[Tag] = frozenset()
    build: tuple[Any, ...] = ()
    try:
        if filename.endswith(".whl"):
            _, version, build, tags = parse_wheel_filename(filename)
        else:
            _, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    hashes = row.get("hashes")
    sha256 = str(hashes.get("sha256") or "").lower() if isinstance(hashes, dict) else ""
    yanked = row.get("yanked")
    return IndexFile(
        filename=filename,
        url=urljoin(base, url),
        version=version,
        tags=tags,
        build=build,
        sha256=sha256 if _SHA256.fullmatch(sha256) else "",
        requires_python=str(row.get("requires-python") or ""),
        yanked="" if yanked in (None, False) else (yanked[:200] if isinstance(yanked, str) and yanked else "yanked"),
    )


class _Anchors(HTMLParser):
    """The links of a PEP 503 page in the shape of the JSON rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "base" and not self.base:
            self.base = values.get("href", "")
        if tag != "a" or not values.get("href"):
            return
        url, fragment = urldefrag(values["href"])
        algorithm, _, digest = fragment.partition("=")
        self.rows.append(
            {
                "filename": unquote(url.partition("?")[0].rsplit("/", 1)[-1]),
                "url": url,
                "hashes": {algorithm: digest} if digest else {},
                "requires-python": values.get("data-requires-python"),
                "yanked": (values["data-yanked"] or True) if "data-yanked" in values else False,
            }
        )


def best_wheel(files: Iterable[IndexFile], *, tags: Sequence[Tag], python: Version) -> IndexFile | None:
    """The wheel that pip would take: the most specific tag, then the highest build number."""
    rank = {tag: number for number, tag in enumerate(tags)}

    def preference(file: IndexFile) -> tuple[int, int, str]:
        build = file.build[0] if file.build else -1
        return min(rank[tag] for tag in file.tags & rank.keys()), -build, file.filename

    fitting = [file for file in files if file.tags & rank.keys() and file.runs_on(python)]
    return min(fitting, key=preference, default=None)


def check_root(
    files: Sequence[IndexFile] | None, *, name: str, version: str, tags: Sequence[Tag], python: Version
) -> IndexFile:
    """The wheel of the requested version; raises IntakeError that says what there is instead. Pure."""
    if not files:
        message = f"the package index has no project {name!r}: check the spelling"
        raise IntakeError(IntakeReason.UNKNOWN_PACKAGE, message)
    wanted = Version(version)
    here = [file for file in files if file.version == wanted]
    what = f"{name} {version}"
    if not here:
        message = f"Python package {name!r} has no version {version}: {_suggest(wanted, {f.version for f in files})}"
        raise IntakeError(IntakeReason.NO_SUCH_VERSION, message)
    wheels = [file for file in here if file.is_wheel]
    if not wheels:
        message = f"{what} is published as source only; a source build would run its code, so a wheel is required"
        raise IntakeError(IntakeReason.NO_WHEEL, message)
    found = best_wheel(wheels, tags=tags, python=python)
    if found is not None:
        return found
    if not any(file.runs_on(python) for file in wheels):
        message = f"{what} requires Python {wheels[0].requires_python}, servers run on {python}"
        raise IntakeError(IntakeReason.RESOLUTION_FAILED, message)
    offered = sorted({str(tag) for file in wheels for tag in file.tags})
    message = f"{what} has no wheel for {tags[0]}; it offers {', '.join(offered[:6])}"
    raise IntakeError(IntakeReason.NO_WHEEL, message)


def _suggest(wanted: Version, versions: Iterable[Version]) -> str:
    ordered = sorted(versions)
    stable = [version for version in ordered if not version.is_prerelease] or ordered
    near = [v for v in ordered if v < wanted][-2:] + [v for v in ordered if v > wanted][:2]
    return f"the newest is {stable[-1]}, the nearest are {', '.join(map(str, near))}"
