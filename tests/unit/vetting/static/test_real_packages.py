"""Well-known packages that detectors keep tripping over do not reach the gate. Only what is installed is read."""

import importlib.util
from pathlib import Path

import pytest

from vsm_runtime.vetting.static import scan

TRAPS = (
    *("typer", "pygments", "idna", "PIL", "regex", "dotenv", "yaml", "requests", "click", "rich", "httpx", "mcp"),
    *("pydantic", "anyio", "starlette", "uvicorn", "cffi", "attr", "pip", "urllib3", "certifi", "jsonschema"),
)


@pytest.mark.parametrize("name", TRAPS)
def test_a_real_package_stays_below_the_gate(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{name} is not installed here")
    report = scan(Path(spec.submodule_search_locations[0]))
    worst = [(f.rule, f.file, f.line) for f in report.findings if f.data.get("weight")][:3]
    assert report.risk < 7.6, worst
    assert report.coverage >= 0.95
