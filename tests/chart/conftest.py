"""Charts are tested as helm renders them; no cluster is asked."""

import os
import shutil
from pathlib import Path

import pytest

from chart.cases import CASES, Release
from chartgen.helm import Helm

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def helm() -> Helm:
    found = Helm.find(CHECKOUT, os.environ)
    if found is None:
        pytest.skip("no helm: put one on PATH, or name it in HELM (`make up` leaves one in .local/bin)")
    return found


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def release(request: pytest.FixtureRequest, helm: Helm) -> Release:
    """The operator chart with each set of values in turn; rendered once a session."""
    return Release.of(request.param, helm=helm, checkout=CHECKOUT)


def _named(name: str, helm: Helm) -> Release:
    (case,) = (case for case in CASES if case.name == name)
    return Release.of(case, helm=helm, checkout=CHECKOUT)


@pytest.fixture(scope="session")
def production(helm: Helm) -> Release:
    """Default values."""
    return _named("defaults", helm)


@pytest.fixture(scope="session")
def development(helm: Helm) -> Release:
    """values-development.yaml."""
    return _named("development", helm)


@pytest.fixture(scope="session")
def own_registry(helm: Helm) -> Release:
    """No embedded registry."""
    return _named("own registry", helm)


@pytest.fixture(scope="session")
def named_namespaces(helm: Helm) -> Release:
    """operator.watchNamespaces is set."""
    return _named("named namespaces", helm)


@pytest.fixture(scope="session")
def everything(helm: Helm) -> Release:
    """Every optional part is there."""
    return _named("everything", helm)


@pytest.fixture(scope="session")
def shared_namespace(helm: Helm) -> Release:
    """No default deny, an existing claim and ConfigMap."""
    return _named("shared namespace", helm)


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Only its built-in kustomize is used."""
    local = CHECKOUT / ".local" / "bin" / "kubectl"
    found = os.environ.get("KUBECTL") or (str(local) if local.is_file() else shutil.which("kubectl"))
    if not found:
        pytest.skip("no kubectl: put one on PATH, or name it in KUBECTL (`make up` leaves one in .local/bin)")
    return Path(found)
