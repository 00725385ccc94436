"""The Job that fetches a package. It may reach package registries, holds no secret of a user, and runs no package code.

It lives in the operator's namespace, where the chart's NetworkPolicy selects it by label.
"""

from urllib.parse import urlsplit

from vsm_operator.domain.intake import EXIT_TERMINAL, IntakeRequest
from vsm_operator.kube.manifest import LABEL_MANAGED_BY, MANAGER, Manifest
from vsm_operator.resources.common import (
    LABEL_COMPONENT,
    LABEL_NAME,
    SHARED_GID,
    TRUSTED_UID,
    container_security,
    empty_dir,
    literal_env,
    resources,
)
from vsm_operator.settings import Settings

LABEL_INTAKE_KEY = "vsm-mcp.io/intake-key"
ANNOTATION_PACKAGE = "vsm-mcp.io/package"
_DEADLINE_SECONDS = 900
_RETRIES = 3
_CREDENTIALS = "/var/run/secrets/vsm-registry"
_CA_DIRECTORY = "/etc/vsm/ca"


def intake_job_name(key: str) -> str:
    """The name is the key: asking twice is one Job."""
    return f"intake-{key}"


def intake_job(request: IntakeRequest, *, settings: Settings) -> Manifest:
    """One pod, retried by the Job controller for what time can mend, not for a verdict on the package."""
    labels = {
        LABEL_NAME: "vsm-intake",
        LABEL_COMPONENT: "intake",
        LABEL_MANAGED_BY: MANAGER,
        LABEL_INTAKE_KEY: request.key,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": intake_job_name(request.key),
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": {ANNOTATION_PACKAGE: request.package.purl},
        },
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": settings.cache_ttl_seconds,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "intake", "operator": "In", "values": [EXIT_TERMINAL]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": _pod(request, settings)},
        },
    }


def _pod(request: IntakeRequest, settings: Settings) -> Manifest:
    volumes: list[Manifest] = [
        empty_dir("scratch", "4Gi"),
        empty_dir("tmp", "256Mi"),
        {
            "name": "registry",
            "secret": {
                "secretName": settings.registry_credentials_secret,
                "items": [{"key": key, "path": key} for key in ("username", "password")],
            },
        },
    ]
    mounts: list[Manifest] = [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "registry", "mountPath": _CREDENTIALS, "readOnly": True},
    ]
    if settings.ca_bundle_configmap:
        volumes.append({"name": "ca", "configMap": {"name": settings.ca_bundle_configmap}})
        mounts.append({"name": "ca", "mountPath": _CA_DIRECTORY, "readOnly": True})
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": SHARED_GID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "intake",
                "image": settings.runtime_image,
                "imagePullPolicy": settings.image_pull_policy,
                "command": ["/opt/vsm/venv/bin/python", "-m", "vsm_runtime.intake"],
                "env": literal_env(_environment(request, settings)),
                "resources": resources(
                    requests={"cpu": "50m", "memory": "128Mi"},
                    limits={"cpu": "1", "memory": "1Gi", "ephemeral-storage": "5Gi"},
                ),
                "securityContext": container_security(TRUSTED_UID),
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return pod


def _environment(request: IntakeRequest, settings: Settings) -> dict[str, str]:
    push_host = urlsplit(settings.registry_push_url).hostname or ""
    no_proxy = ",".join(part for part in (settings.no_proxy, push_host) if part) if settings.https_proxy else ""
    ca_file = f"{_CA_DIRECTORY}/ca.crt" if settings.ca_bundle_configmap else ""
    return {
        "VSM_INTAKE_REQUEST": request.to_json(),
        "VSM_INTAKE_SCRATCH": "/scratch",
        "VSM_NPM_REGISTRY": settings.npm_registry,
        "VSM_PYPI_INDEX": settings.pypi_index,
        "VSM_OCI_URL": settings.registry_push_url,
        "VSM_OCI_REPOSITORY": settings.registry_repository,
        "VSM_OCI_CREDENTIALS_DIR": _CREDENTIALS,
        "VSM_TERMINATION_LOG": "/dev/termination-log",
        "HOME": "/scratch/home",
        "HTTPS_PROXY": settings.https_proxy,
        "HTTP_PROXY": settings.https_proxy,
        "NO_PROXY": no_proxy,
        "SSL_CERT_FILE": ca_file,
        "NODE_EXTRA_CA_CERTS": ca_file,
    }
