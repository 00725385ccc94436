"""The npm packages of the test registries, by what is wrong with them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from registries import inert
from registries.releases import FORK_REPOSITORY, HONEST_REPOSITORY, LONG_AGO, NpmRelease

SDK = {"vsm-demo-sdk": "^1.0.0"}
MCP_NAME = "invalid.git.vsm-demo/notes"


def npm_releases(now: datetime) -> tuple[NpmRelease, ...]:
    """Everything; only what must be young depends on `now`."""
    return (*_harmless(), *_code(), *_names(now), *_sources(), *_facts(now))


def server(name: str, **more: Any) -> NpmRelease:
    """A server that would be harmless without `more`, whose `manifest` and `files` are added to its own."""
    command = name.rsplit("/", 1)[-1]
    manifest = {
        "description": "Keeps notes",
        "bin": {command: "server.js"},
        "dependencies": SDK,
        "keywords": ["mcp"],
        **more.pop("manifest", {}),
    }
    files: Mapping[str, bytes] = {"server.js": inert.SERVER_JS, "README.md": b"# Notes\n", **more.pop("files", {})}
    return NpmRelease(name=name, manifest=manifest, files=files, **more)


def _harmless() -> tuple[NpmRelease, ...]:
    """A server with a tree of four, in two versions; and the libraries that the others need too."""
    library = {"index.js": inert.LIBRARY_JS, "README.md": b"# A library\n"}
    return (
        server("@vsm-demo/notes-server", version="1.1.0", manifest={"mcpName": MCP_NAME}),
        server("@vsm-demo/notes-server", version="1.2.0", manifest={"mcpName": MCP_NAME}),
        NpmRelease(name="vsm-demo-sdk", version="1.0.0", files=library, manifest={"dependencies": {}}),
        NpmRelease(
            name="vsm-demo-sdk",
            version="1.4.0",
            files=library,
            manifest={"dependencies": {"vsm-demo-schema": "^2.0.0", "vsm-demo-colour": "~1.0.0"}},
        ),
        NpmRelease(name="vsm-demo-schema", version="2.3.1", files=library),
        NpmRelease(name="vsm-demo-colour", version="1.0.2", files=library),
        NpmRelease(name="vsm-demo-colour", version="1.1.0", files=library),
    )


def _code() -> tuple[NpmRelease, ...]:
    """What the archive itself shows."""
    return (
        server(
            "vsm-case-postinstall",
            manifest={"scripts": {"postinstall": "node fetch.js", "preinstall": inert.DOWNLOADER_COMMAND}},
            files={"fetch.js": inert.DOWNLOADER_JS},
        ),
        server("vsm-case-environment", files={"index.js": inert.ENVIRONMENT_JS}),
        server("vsm-case-binding-gyp", files={"binding.gyp": inert.BINDING_GYP}),
        server("vsm-case-obfuscated", files={"index.js": inert.OBFUSCATED_JS}),
        server("vsm-case-hidden-unicode", files={"index.js": inert.HIDDEN_UNICODE_JS}),
        server("vsm-case-dependency-environment", manifest={"dependencies": {"vsm-case-collector": "^1.0.0"}}),
        NpmRelease(name="vsm-case-collector", files={"index.js": inert.ENVIRONMENT_JS}),
        server("vsm-case-tampered", served_files={"index.js": inert.TAMPERED_JS}),
        server("vsm-case-tampered-dependency", manifest={"dependencies": {"vsm-case-swapped": "1.0.0"}}),
        NpmRelease(name="vsm-case-swapped", served_files={"index.js": inert.TAMPERED_JS}),
    )


def _names(now: datetime) -> tuple[NpmRelease, ...]:
    """Deception by name; the unscoped copies are young and from another owner."""
    young: dict[str, Any] = {
        "published": now - timedelta(days=20),
        "repository": FORK_REPOSITORY,
        "publisher": "somebody-else",
    }
    return (
        NpmRelease(name="expresss", manifest={"description": "Fast, unopinionated web framework"}, **young),
        server("server-filesystem", **young),
        server("@modelcontextprotoco1/server-filesystem", **young),
        NpmRelease(name="child_process", publisher="somebody-else", repository=""),
        NpmRelease(name="fs", publisher="somebody-else", repository=""),
        server("vsm-case-builtin-name", manifest={"dependencies": {"child_process": "^1.0.0", **SDK}}),
        server("vsm-case-builtin-name-below", manifest={"dependencies": {"vsm-case-middle-man": "^1.0.0"}}),
        NpmRelease(name="vsm-case-middle-man", manifest={"dependencies": {"child_process": "*"}}),
        server("vsm-case-alias", manifest={"dependencies": {"tidy-runner": "npm:child_process@^1.0.0", **SDK}}),
    )


def _sources() -> tuple[NpmRelease, ...]:
    """Dependencies that are something else tomorrow."""
    specs = {
        "git": "git+https://git.invalid/vsm-demo/helper.git",
        "http": "https://files.invalid/helper.tgz",
        "file": "file:../helper",
        "ssh": "git+ssh://git@git.invalid/vsm-demo/helper.git",
    }
    return tuple(
        server(f"vsm-case-{kind}-dependency", manifest={"dependencies": {"vsm-case-helper": spec}})
        for kind, spec in specs.items()
    )


def _facts(now: datetime) -> tuple[NpmRelease, ...]:
    """What only the registry, or a list of advisories, can know."""
    return (
        server("vsm-case-fresh", version="1.0.0"),
        server("vsm-case-fresh", version="1.0.1", published=now - timedelta(hours=2)),
        server("vsm-case-fresh-dependency", manifest={"dependencies": {"vsm-case-young": "^1.0.0"}}),
        NpmRelease(name="vsm-case-young", published=now - timedelta(hours=2)),
        server("vsm-case-deprecated", deprecated="no longer maintained; use another one"),
        server("vsm-case-vulnerable", manifest={"dependencies": {"vsm-demo-middle": "^1.0.0"}}),
        NpmRelease(name="vsm-demo-middle", manifest={"dependencies": {"vsm-demo-parser": "1.2.0"}}),
        NpmRelease(name="vsm-demo-parser", version="1.2.0"),
        NpmRelease(name="vsm-demo-parser", version="1.2.5"),
        server("vsm-case-known-malware"),
        NpmRelease(
            name="vsm-case-holding",
            version="0.0.1-security",
            files={"README.md": b"# Security holding package\n"},
            manifest={"description": "security holding package"},
            repository="https://git.invalid/registry/security-holder",
            publisher="npm",
        ),
        server("vsm-case-attested", attested=HONEST_REPOSITORY),
        server("vsm-case-provenance", attested=FORK_REPOSITORY),
        server("vsm-case-provenance-regression", version="1.0.0", attested=HONEST_REPOSITORY),
        server(
            "vsm-case-provenance-regression",
            version="1.0.1",
            published=LONG_AGO + timedelta(days=30),
            publisher="somebody-else",
        ),
    )
