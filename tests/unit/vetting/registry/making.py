"""Documents of registries in both dialects, small and inert."""

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SRI = "sha512-" + "A" * 86 + "=="


def day(number: int) -> str:
    """So many days before NOW, as registries write it."""
    return (NOW - timedelta(days=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def release(version: str, **changed: Any) -> dict[str, Any]:
    """A version as the real registry describes it."""
    manifest: dict[str, Any] = {
        "name": "widget",
        "version": version,
        "repository": {"type": "git", "url": "git+https://github.com/acme/widget.git"},
        "_npmUser": {"name": "ann", "email": "ann@mail.invalid"},
        "maintainers": [{"name": "ann"}, {"name": "bob"}],
        "dist": {
            "integrity": SRI,
            "tarball": "https://registry.invalid/w.tgz",
            "signatures": [{"keyid": "k", "sig": "s"}],
        },
    }
    return {key: value for key, value in (manifest | changed).items() if value is not ...}


def packument(*releases: dict[str, Any], days: dict[str, int] | None = None, **changed: Any) -> dict[str, Any]:
    """All of them published a hundred days apart, the last one ten days ago, unless `days` says otherwise."""
    versions = {item["version"]: item for item in releases}
    ages = {version: 10 + 100 * (len(versions) - 1 - place) for place, version in enumerate(versions)} | (days or {})
    document: dict[str, Any] = {
        "name": "widget",
        "dist-tags": {"latest": releases[-1]["version"]} if releases else {},
        "versions": versions,
        "maintainers": [{"name": "ann"}, {"name": "bob"}],
        "time": {"created": day(2000), "modified": day(1)} | {version: day(age) for version, age in ages.items()},
    }
    return {key: value for key, value in (document | changed).items() if value is not ...}


def stripped(document: dict[str, Any]) -> dict[str, Any]:
    """The same from a mirror that keeps names, dates of its own, scripts and hashes."""
    kept = {
        version: {
            key: ({k: v for k, v in value.items() if k in ("integrity", "tarball")} if key == "dist" else value)
            for key, value in manifest.items()
            if key not in ("_npmUser", "maintainers", "deprecated")
        }
        for version, manifest in document["versions"].items()
    }
    times = {key: value for key, value in document["time"].items() if key not in ("created", "modified")}
    return {"name": document["name"], "dist-tags": document["dist-tags"], "versions": kept, "time": times}
