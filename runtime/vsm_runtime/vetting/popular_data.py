"""Lists of popular package names, read as data from the installed `guarddog` distribution (Apache-2.0).

The package is never imported: importing it would look for newer lists on the network. Its files are found through the
distribution's metadata, bounded in size, and identified by the digest of their bytes and the date inside. A list that
is absent, too large or of another shape is reported as absent, with the reason; nothing is guessed.
"""

import hashlib
import json
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.vetting.popular import RankedList

DISTRIBUTION = "guarddog"
LIST_MAX_BYTES = 8 * 1024 * 1024
LIST_MAX_NAMES = 100_000
NAME_MAX_CHARS = 214
_FILES = {
    Ecosystem.NPM: "guarddog/analyzer/metadata/resources/top_npm_packages.json",
    Ecosystem.PYPI: "guarddog/analyzer/metadata/resources/top_pypi_packages.json",
}


class NoList(Exception):  # noqa: N818 - a state of the installation, told to a person
    """The list cannot be used; the text says why."""


def installed_lists() -> tuple[RankedList, ...]:
    """Those of the lists that can be used; a registry without one is then not answered (`Names.source`)."""
    found = []
    for ecosystem in Ecosystem:
        try:
            found.append(installed_list(ecosystem))
        except NoList:
            continue
    return tuple(found)


def installed_list(ecosystem: Ecosystem) -> RankedList:
    """The list of one registry. Raises NoList."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise NoList(f"the distribution {DISTRIBUTION} is not installed") from None
    path = Path(str(distribution.locate_file(_FILES[ecosystem])))
    return read_list(path, ecosystem=ecosystem, dataset=f"{DISTRIBUTION}-{distribution.version}-top-{ecosystem}")


def read_list(path: Path, *, ecosystem: Ecosystem, dataset: str) -> RankedList:
    """One file `{"downloaded_timestamp": seconds, "packages": [most used first]}`. Raises NoList."""
    try:
        with path.open("rb") as file:
            raw = file.read(LIST_MAX_BYTES + 1)
    except OSError as error:
        raise NoList(f"{path.name} cannot be read: {error.strerror}") from None
    if len(raw) > LIST_MAX_BYTES:
        raise NoList(f"{path.name} is larger than {LIST_MAX_BYTES} bytes")
    try:
        document = json.loads(raw)
        taken_at = datetime.fromtimestamp(int(document["downloaded_timestamp"]), tz=UTC)
        names = document["packages"]
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError) as error:
        raise NoList(f"{path.name} is no list of names: {type(error).__name__}") from None
    if not isinstance(names, list) or not 0 < len(names) <= LIST_MAX_NAMES:
        raise NoList(f"{path.name} has no names, or more than {LIST_MAX_NAMES}")
    if not all(isinstance(name, str) and 0 < len(name) <= NAME_MAX_CHARS for name in names):
        raise NoList(f"{path.name} contains something else than names")
    return RankedList(
        ecosystem=ecosystem,
        names=tuple(dict.fromkeys(names)),
        dataset=dataset,
        digest=f"sha256:{hashlib.sha256(raw).hexdigest()}",
        as_of=taken_at.date().isoformat(),
    )
