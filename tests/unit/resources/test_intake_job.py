"""The Job that fetches a package: one for each key, bounded, and with nothing in it that the package could use."""

import json
from typing import Any

import pytest

from unit.resources import kit
from unit.resources.kit import environment
from vsm_operator.domain.intake import EXIT_RETRYABLE, EXIT_TERMINAL, IntakeRequest
from vsm_operator.domain.packages import Ecosystem, PackageRef
from vsm_operator.resources.intakejob import intake_job, intake_job_name


def job(**values: Any) -> dict[str, Any]:
    settings = kit.SETTINGS.model_validate(kit.SETTINGS.model_dump() | values)
    return intake_job(kit.REQUEST, settings=settings)


def pod(**values: Any) -> dict[str, Any]:
    found: dict[str, Any] = job(**values)["spec"]["template"]["spec"]
    return found


def variables(**values: Any) -> dict[str, str]:
    return environment(pod(**values)["containers"][0])


def test_name_is_the_key_so_that_asking_twice_is_one_job() -> None:
    assert job()["metadata"]["name"] == intake_job_name(kit.REQUEST.key) == f"intake-{kit.REQUEST.key}"
    assert len(intake_job_name(kit.REQUEST.key)) <= 63


def test_job_lives_in_the_operators_namespace() -> None:
    assert job(namespace="elsewhere")["metadata"]["namespace"] == "elsewhere"


def test_pods_are_found_by_the_key() -> None:
    assert job()["spec"]["template"]["metadata"]["labels"]["vsm-mcp.io/intake-key"] == kit.REQUEST.key


def test_package_is_named_where_people_look() -> None:
    assert job()["metadata"]["annotations"]["vsm-mcp.io/package"] == "pkg:npm/%40scope/mcp-server@1.2.3"


def test_request_reaches_the_pod_as_data() -> None:
    assert IntakeRequest.from_json(variables()["VSM_INTAKE_REQUEST"]) == kit.REQUEST
    assert json.loads(variables()["VSM_INTAKE_REQUEST"])["ecosystem"] == "npm"
    assert "mcp-server" not in " ".join(pod()["containers"][0]["command"])


def test_verdict_on_the_package_ends_the_job_and_trouble_on_the_way_does_not() -> None:
    spec = job()["spec"]
    (verdict, disruption) = spec["podFailurePolicy"]["rules"]
    assert verdict["action"] == "FailJob"
    assert verdict["onExitCodes"]["values"] == [EXIT_TERMINAL]
    assert EXIT_RETRYABLE not in verdict["onExitCodes"]["values"]
    assert disruption["action"] == "Ignore"
    assert 0 < spec["backoffLimit"] < 10
    assert pod()["restartPolicy"] == "Never", "podFailurePolicy needs it"


def test_job_has_a_deadline_and_goes_by_itself() -> None:
    spec = job(cache_ttl_seconds=77)["spec"]
    assert 0 < spec["activeDeadlineSeconds"] <= 3600
    assert spec["ttlSecondsAfterFinished"] == 77


def test_pod_writes_to_its_scratch_and_nowhere_else() -> None:
    mounts = {
        mount["mountPath"]: mount.get("readOnly", False)
        for mount in pod(ca_bundle_configmap="ca")["containers"][0]["volumeMounts"]
    }
    assert mounts == {"/scratch": False, "/tmp": False, "/var/run/secrets/vsm-registry": True, "/etc/vsm/ca": True}
    assert variables()["HOME"].startswith("/scratch/")


def test_password_is_mounted_and_the_hash_is_not() -> None:
    (volume,) = [entry for entry in pod()["volumes"] if "secret" in entry]
    assert volume["secret"]["secretName"] == "vsm-registry-credentials"
    assert [item["key"] for item in volume["secret"]["items"]] == ["username", "password"]


def test_defaults_of_the_clients_are_left_alone_when_nothing_is_configured() -> None:
    names = {"VSM_NPM_REGISTRY", "VSM_PYPI_INDEX", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"}
    assert not names & set(variables())


@pytest.mark.parametrize(
    ("values", "want"),
    [
        pytest.param(
            {"npm_registry": "https://npm.example.com/"},
            {"VSM_NPM_REGISTRY": "https://npm.example.com/"},
            id="npm mirror",
        ),
        pytest.param(
            {"pypi_index": "https://pypi.example.com/simple"},
            {"VSM_PYPI_INDEX": "https://pypi.example.com/simple"},
            id="python mirror",
        ),
        pytest.param(
            {"https_proxy": "http://proxy.example.com:3128", "no_proxy": "10.0.0.0/8"},
            {"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": "10.0.0.0/8,vsm-registry.vsm-system.svc"},
            id="proxy, never for the bundle registry",
        ),
        pytest.param(
            {"ca_bundle_configmap": "company-ca"},
            {"SSL_CERT_FILE": "/etc/vsm/ca/ca.crt", "NODE_EXTRA_CA_CERTS": "/etc/vsm/ca/ca.crt"},
            id="company CA",
        ),
    ],
)
def test_setting_reaches_the_tools(values: dict[str, str], want: dict[str, str]) -> None:
    assert want.items() <= variables(**values).items()


def test_two_packages_are_two_jobs() -> None:
    other = IntakeRequest.of(PackageRef(Ecosystem.NPM, "other", "1.0.0"), registries=())
    assert intake_job(other, settings=kit.SETTINGS)["metadata"]["name"] != job()["metadata"]["name"]


def test_nothing_of_the_user_is_in_it() -> None:
    """Whoever asks, the Job is the same: a Secret or a variable of one user cannot reach the fetch of another."""
    assert "ownerReferences" not in job()["metadata"]
    assert {entry["name"] for entry in pod()["volumes"]} == {"scratch", "tmp", "registry"}
