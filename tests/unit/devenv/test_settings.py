"""Variables are understood or refused by name."""

from __future__ import annotations

import pytest

from devenv.errors import DevenvError
from devenv.settings import Settings


def test_nothing_set_leaves_every_choice_to_us() -> None:
    assert Settings.from_env({}) == Settings()


@pytest.mark.parametrize("variable", ["CI", "VSM_INSTALL_PREREQUISITES"])
def test_prerequisites_are_installed_only_on_request(variable: str) -> None:
    assert Settings.from_env({variable: "true"}).install_prerequisites
    assert not Settings.from_env({variable: "false"}).install_prerequisites


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param({"CLUSTER": "minikube"}, "CLUSTER=minikube", id="unknown kind of cluster"),
        pytest.param({"CLUSTER": "context:"}, "needs the name", id="context without a name"),
        pytest.param({"KUBERNETES": "1.20"}, "KUBERNETES=1.20: it is one of 1.34, 1.36", id="unknown minor"),
        pytest.param(
            {"KUBERNETES": "1.34", "CLUSTER": "kind"}, "local cluster", id="minor of a cluster that is not local"
        ),
        pytest.param({"VSM_OPERATOR_IMAGE": "r/x:1"}, "go together", id="one image of two"),
        pytest.param({"VSM_OPERATOR_IMAGE": "r:5000/x"}, "REPOSITORY:TAG", id="image without a tag"),
    ],
)
def test_a_malformed_value_stops_the_start_and_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(DevenvError, match=message):
        Settings.from_env(environ)


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(DevenvError, match=r"(?s)CLUSTER=x.*KUBERNETES=y"):
        Settings.from_env({"CLUSTER": "x", "KUBERNETES": "y"})


def test_named_images_keep_a_registry_with_a_port() -> None:
    settings = Settings.from_env({"VSM_OPERATOR_IMAGE": "r:5000/op:1", "VSM_RUNTIME_IMAGE": "r:5000/rt:2"})
    assert settings.operator_image is not None
    assert (settings.operator_image.repository, settings.operator_image.tag) == ("r:5000/op", "1")
