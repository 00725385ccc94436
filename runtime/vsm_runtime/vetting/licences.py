"""What a package says about its licence, as one normalised SPDX expression that the policy can be evaluated against.

Input is text from packages: bounded, never guessed at. The result is an expression of known ids and LicenseRefs, `FILE`
where only a file tells, `UNKNOWN` where something was read and not understood, or nothing was said. Whether it is
allowed or denied is the verdict's business; `licence_state` says that the question was answered.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from license_expression import ExpressionError, Licensing, get_spdx_licensing  # type: ignore[import-untyped]
from packaging.metadata import parse_email

from vsm_operator.domain.vetting.model import SourceState

FILE: Final = "FILE"
UNKNOWN: Final = "UNKNOWN"
UNLICENSED: Final = "LicenseRef-UNLICENSED"
"""npm's word for "nobody is given any right"."""
SOURCE_ID: Final = "licences"
MAX_EXPRESSION_LENGTH = 500
MAX_EXPRESSION_DEPTH = 16
MAX_PARTS = 50
MAX_METADATA_BYTES = 1024 * 1024

_SEE_FILE = re.compile(r"see +licen[cs]e +in +\S.{0,200}", re.IGNORECASE)
_LICENSE_REF = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]{1,100}:)?LicenseRef-[A-Za-z0-9.-]{1,100}")
_BSD = "BSD-2-Clause OR BSD-3-Clause"
_SYNONYMS: Final = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd": _BSD,
    "bsd license": _BSD,
    "2-clause bsd": "BSD-2-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "modified bsd license": "BSD-3-Clause",
    "gpl": "GPL-1.0-or-later",
    "gplv2": "GPL-2.0-only",
    "gplv2+": "GPL-2.0-or-later",
    "gplv3": "GPL-3.0-only",
    "gplv3+": "GPL-3.0-or-later",
    "lgpl": "LGPL-2.0-or-later",
    "lgplv3": "LGPL-3.0-only",
    "lgplv3+": "LGPL-3.0-or-later",
    "agplv3": "AGPL-3.0-only",
    "agplv3+": "AGPL-3.0-or-later",
    "isc license": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "public domain": "LicenseRef-Public-Domain",
    "unlicense": "Unlicense",
    "the unlicense": "Unlicense",
}
"""Names in use that are no SPDX ids; a name without a version means any version, or the choice that it leaves open."""
_CLASSIFIERS: Final = {
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "Artistic License": "Artistic-2.0",
    "BSD License": _BSD,
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License (GPL)": "GPL-1.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-2.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Other/Proprietary License": UNLICENSED,
    "Public Domain": "LicenseRef-Public-Domain",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
"""The last part of a licence classifier. A classifier that is not here is not understood, and says so."""


def npm_licence(manifest: Mapping[str, Any]) -> str:
    """`license` or the historic `licenses` of a package.json: text, {type}, or a list, which means a choice."""
    for field in ("license", "licence", "licenses"):
        value = manifest.get(field)
        if value not in (None, "", [], {}):
            return _npm_value(value)
    return UNKNOWN


def pypi_licence(metadata: str | bytes) -> str:
    """From a wheel's METADATA or an sdist's PKG-INFO."""
    if len(metadata) > MAX_METADATA_BYTES:
        return UNKNOWN
    try:
        raw, _ = parse_email(metadata)
    except (ValueError, LookupError, RecursionError):
        return UNKNOWN
    return pypi_fields(
        expression=raw.get("license_expression"),
        text=raw.get("license"),
        classifiers=raw.get("classifiers", ()),
        files=raw.get("license_files", ()),
    )


def pypi_info(info: Mapping[str, Any]) -> str:
    """From `info` of the index's JSON API."""
    return pypi_fields(
        expression=info.get("license_expression"),
        text=info.get("license"),
        classifiers=info.get("classifiers"),
        files=info.get("license_files"),
    )


def pypi_fields(*, expression: object, text: object, classifiers: object, files: object) -> str:
    """PEP 639's field wins. Without it, free text and classifiers hold together: where they differ, both apply."""
    if isinstance(expression, str) and expression.strip():
        return spdx(expression) or UNKNOWN
    classified = _classified(classifiers)
    said = _free_text(text) if isinstance(text, str) and text.strip() else None
    if said not in (None, FILE, UNKNOWN):
        adds = classified is not None and not _ids(classified) <= _ids(str(said))
        return _joined([str(said), str(classified)], "AND") if adds else str(said)
    if classified is not None:
        return classified
    return said or (FILE if isinstance(files, Sequence) and len(files) else UNKNOWN)


def spdx(text: str) -> str | None:
    """The expression in canonical spelling; None when it is none, or names a licence that SPDX does not know."""
    if len(text) > MAX_EXPRESSION_LENGTH or not text.isascii() or _depth(text) > MAX_EXPRESSION_DEPTH:
        return None
    try:
        parsed = _licensing().parse(text.strip())
        if parsed is None:
            return None
        strangers = _licensing().unknown_license_keys(parsed)
    except (ExpressionError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return None  # "()" alone makes the parser look for what is not there
    if not all(_LICENSE_REF.fullmatch(str(name)) for name in strangers):
        return None
    rendered = str(parsed.render("{symbol.key}"))
    return rendered if len(rendered) <= 2 * MAX_EXPRESSION_LENGTH else None


def licence_state(purls: Iterable[str]) -> SourceState | None:
    """That these packages' licence fields were read; None for no package: an empty list would mean the whole tree."""
    read = tuple(sorted(set(purls)))
    return SourceState(id=SOURCE_ID, status="ok", feeds=("C11", "G12"), purls=read) if read else None


def _npm_value(value: object) -> str:
    if isinstance(value, dict):
        named = value.get("type") or value.get("name")
        value = named if isinstance(named, str) else None
    if isinstance(value, list):
        if len(value) > MAX_PARTS:
            return UNKNOWN
        parts = [UNKNOWN if isinstance(item, list) else _npm_value(item) for item in value]
        known = [part for part in parts if part not in (FILE, UNKNOWN)]
        # A choice that was understood stays a choice; what was not understood is one branch less.
        return _joined(known, "OR") if known else parts[0]
    if not isinstance(value, str) or not value.strip():
        return UNKNOWN
    text = value.strip()
    if text.upper() == "UNLICENSED":
        return UNLICENSED
    return _free_text(text)


def _free_text(text: str) -> str:
    stripped = text.strip()
    if _SEE_FILE.fullmatch(stripped[:300]):
        return FILE
    if len(stripped) > MAX_EXPRESSION_LENGTH or stripped.count("\n") > 3:
        return FILE  # the whole licence pasted into the field: no better and no worse than a file
    named = " ".join(stripped.lower().split()).removesuffix(".")
    return _SYNONYMS.get(named) or spdx(stripped) or UNKNOWN


def _classified(classifiers: object) -> str | None:
    """None when no classifier speaks of a licence. Several of them do not say how they combine, so all apply."""
    if not isinstance(classifiers, list | tuple):
        return None
    found = []
    for each in classifiers[:1000]:
        if not isinstance(each, str) or not each.startswith("License ::"):
            continue
        last = each.rpartition("::")[2].strip()
        if last != "OSI Approved":
            found.append(_CLASSIFIERS.get(last))
    if not found or len(found) > MAX_PARTS:
        return None
    if any(each is None for each in found):
        return UNKNOWN
    return _joined([each for each in found if each], "AND")


def _joined(parts: Sequence[str], operator: str) -> str:
    unique = sorted(set(parts))
    if UNKNOWN in unique:
        return UNKNOWN
    if len(unique) == 1:
        return unique[0]
    return spdx(f" {operator} ".join(f"({part})" if " " in part else part for part in unique)) or UNKNOWN


def _ids(expression: str) -> set[str]:
    return {word for word in re.split(r"[\s()]+", expression) if word and word not in ("AND", "OR", "WITH", "")}


def _depth(text: str) -> int:
    """Opening brackets; more than this many in any arrangement is nobody's licence."""
    return text.count("(")


@lru_cache(maxsize=1)
def _licensing() -> Licensing:
    return get_spdx_licensing()
