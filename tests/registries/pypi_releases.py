"""The PyPI projects of the test registries, by what is wrong with them."""

from datetime import datetime, timedelta
from typing import Any

from registries import inert
from registries.releases import FORK_REPOSITORY, HONEST_REPOSITORY, LONG_AGO, PypiRelease

SDK = "vsm-demo-sdk>=1,<2"
MCP_NAME = "mcp-name: invalid.git.vsm-demo/notes"


def pypi_releases(now: datetime) -> tuple[PypiRelease, ...]:
    """Everything; only what must be young depends on `now`."""
    return (*_harmless(), *_code(), *_names(now), *_sources(), *_facts(now))


def server(name: str, **more: Any) -> PypiRelease:
    """A server that would be harmless without `more`, whose `files` and `requires` are its own and more."""
    module = name.replace("-", "_")
    files = {f"{module}/__init__.py": inert.SERVER_PY, **more.pop("files", {})}
    requires = (SDK, *more.pop("requires", ()))
    return PypiRelease(name=name, files=files, requires=requires, scripts={name: f"{module}:main"}, **more)


def _harmless() -> tuple[PypiRelease, ...]:
    library = {"vsm_demo_sdk/__init__.py": inert.LIBRARY_PY}
    return (
        server("vsm-demo-notes-server", version="1.1.0", description=f"# Notes\n\n<!-- {MCP_NAME} -->\n"),
        server("vsm-demo-notes-server", version="1.2.0", description=f"# Notes\n\n<!-- {MCP_NAME} -->\n"),
        PypiRelease(name="vsm-demo-sdk", version="1.4.0", files=library, requires=("vsm-demo-schema>=2",)),
        PypiRelease(name="vsm-demo-sdk", version="2.0.0", files=library),
        PypiRelease(name="vsm-demo-schema", version="2.3.1"),
    )


def _code() -> tuple[PypiRelease, ...]:
    """What the archive itself shows."""
    return (
        PypiRelease(name="vsm-case-setup", source_only=True, files={"setup.py": inert.SETUP_PY}),
        server("vsm-case-environment", files={"vsm_case_environment/_start.py": inert.ENVIRONMENT_PY}),
        server("vsm-case-pth", files={"vsm_case_pth.pth": inert.PTH_LINE}),
        server("vsm-case-obfuscated", files={"vsm_case_obfuscated/_start.py": inert.OBFUSCATED_PY}),
        server("vsm-case-hidden-unicode", files={"vsm_case_hidden_unicode/_start.py": inert.HIDDEN_UNICODE_PY}),
        server("vsm-case-dependency-pth", requires=("vsm-case-pth-below==1.0.0",)),
        PypiRelease(name="vsm-case-pth-below", files={"vsm_case_pth_below.pth": inert.PTH_LINE}),
        server("vsm-case-tampered", served_files={"vsm_case_tampered/__init__.py": inert.TAMPERED_PY}),
        server("vsm-case-tampered-dependency", requires=("vsm-case-swapped==1.0.0",)),
        PypiRelease(name="vsm-case-swapped", served_files={"vsm_case_swapped/__init__.py": inert.TAMPERED_PY}),
    )


def _names(now: datetime) -> tuple[PypiRelease, ...]:
    young: dict[str, Any] = {
        "published": now - timedelta(days=20),
        "repository": FORK_REPOSITORY,
        "publisher": "somebody-else",
    }
    return (
        PypiRelease(name="reqeusts", **young),
        PypiRelease(name="subprocess", publisher="somebody-else", repository=""),
        server("vsm-case-builtin-name", requires=("subprocess>=1",)),
        server("vsm-case-builtin-name-below", requires=("vsm-case-middle-man>=1",)),
        PypiRelease(name="vsm-case-middle-man", requires=("subprocess",)),
    )


def _sources() -> tuple[PypiRelease, ...]:
    """Dependencies that are something else tomorrow."""
    places = {
        "git": "git+https://git.invalid/vsm-demo/helper.git",
        "http": "https://files.invalid/vsm_case_helper-1.0-py3-none-any.whl",
        "file": "file:///nowhere/helper",
    }
    return tuple(
        server(f"vsm-case-{kind}-dependency", requires=(f"vsm-case-helper @ {place}",))
        for kind, place in places.items()
    )


def _facts(now: datetime) -> tuple[PypiRelease, ...]:
    """What only the index, or a list of advisories, can know."""
    return (
        server("vsm-case-fresh", version="1.0.0"),
        server("vsm-case-fresh", version="1.0.1", published=now - timedelta(hours=2)),
        server("vsm-case-fresh-dependency", requires=("vsm-case-young>=1",)),
        PypiRelease(name="vsm-case-young", published=now - timedelta(hours=2)),
        server("vsm-case-yanked", version="1.0.0"),
        server("vsm-case-yanked", version="1.0.1", yanked="sends what it should keep"),
        server("vsm-case-quarantined", status="quarantined"),
        server("vsm-case-archived", status="archived"),
        server("vsm-case-vulnerable", requires=("vsm-demo-middle>=1",)),
        PypiRelease(name="vsm-demo-middle", requires=("vsm-demo-parser==1.2.0",)),
        PypiRelease(name="vsm-demo-parser", version="1.2.0"),
        PypiRelease(name="vsm-demo-parser", version="1.2.5"),
        server("vsm-case-known-malware"),
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
