"""The pod of a server: what is untrusted runs in `server`, what serves the network runs in `bridge`.

init load      pulls the bundle by digest, verifies it, unpacks it            (packages)
init settle    brings the launcher into a foreign image                       (images)
               both end when the NetworkPolicy has taken hold of the new pod
ctr  server    the untrusted process, with exactly the limits that were asked for
ctr  bridge    Streamable HTTP on /mcp; ready only while the server answers; survives whatever happens to the server
"""

from vsm_operator.api.conditions import Reason
from vsm_operator.api.v1alpha1 import BundleStatus, McpServerSpec, Storage
from vsm_operator.domain.packages import Ecosystem
from vsm_operator.domain.quantity import canonical, value_of
from vsm_operator.errors import InvalidSpec
from vsm_operator.kube.manifest import Manifest, canonical_hash
from vsm_operator.resources.bridge import SOCKET, bridge_container, bridge_volumes
from vsm_operator.resources.common import (
    SHARED_GID,
    TRUSTED_UID,
    Owner,
    container_security,
    empty_dir,
    literal_env,
    resources,
)
from vsm_operator.resources.pins import artifact_of
from vsm_operator.resources.registry import Registry
from vsm_operator.settings import Settings

_SOCKETS = "/run/mcp"
_LAUNCHER = "/run/launcher"
_PASSWD = "/run/etc"  # noqa: S105 - a directory
_PULL_CREDENTIALS = "/var/run/secrets/vsm-registry"
_HOME = "/home/mcp"
_SCRATCH_LIMIT = "100Mi"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL_REVISION = "vsm-mcp.io/revision"
INJECTED_LAUNCHER = ("/run/launcher/ld.so", "--library-path", "/run/launcher/lib", "/run/launcher/python3", "-I")
"""Starts the injected interpreter through its own dynamic loader, so that the image needs neither libc nor shell."""


def deployment(
    spec: McpServerSpec,
    *,
    owner: Owner,
    bundle: BundleStatus | None,
    registry: Registry,
    admin_token_sha256: str,
    settings: Settings,
) -> Manifest:
    """Raises InvalidSpec when nothing says what to run, NotConfigured when the operator lacks a setting for it."""
    bridge = bridge_container(
        spec, artifact=artifact_of(spec, bundle), admin_token_sha256=admin_token_sha256, settings=settings
    )
    pod = _pod(spec, bridge, owner=owner, bundle=bundle, registry=registry, settings=settings)
    # Pods carry the hash of what they were made from: the failures of an older revision must not condemn a newer one.
    labels = owner.labels | {LABEL_REVISION: canonical_hash(pod)[:16]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": owner.metadata(),
        "spec": {
            "replicas": 0 if spec.suspend else spec.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": owner.labels},
            "strategy": _strategy(spec),
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def revision_of(deployment: Manifest) -> str:
    """Of the pods that this Deployment asks for; equal for equal pods, whatever the number of replicas."""
    return str(deployment["spec"]["template"]["metadata"]["labels"][LABEL_REVISION])


def argv(spec: McpServerSpec, bundle: BundleStatus | None) -> list[str]:
    """What `server` executes; never a shell. Raises InvalidSpec(NoEntrypoint) when nothing says what to run."""
    if spec.command:
        return [*spec.command, *spec.args]
    if bundle is None:
        if spec.transport == "stdio":
            raise InvalidSpec(
                Reason.NO_ENTRYPOINT,
                "a stdio server from an image needs spec.command: the argument vector that starts it",
            )
        return list(spec.args)
    return [f"/bundle/bin/{_default_executable(spec, bundle)}", *spec.args]


def _default_executable(spec: McpServerSpec, bundle: BundleStatus) -> str:
    package = spec.source.package()
    name = package.unscoped_name if package else ""
    if name in bundle.entrypoints:
        return name
    if len(bundle.entrypoints) == 1:
        return bundle.entrypoints[0]
    if bundle.entrypoints:
        known = ", ".join(bundle.entrypoints)
        raise InvalidSpec(
            Reason.NO_ENTRYPOINT,
            f"package {name} has several executables and none of its own name: put one of {known} in spec.command",
        )
    example = (
        f'["node", "/bundle/node_modules/{package.name if package else name}/index.js"]'
        if spec.source.npm is not None
        else f'["python3", "-m", "{name.replace("-", "_")}"]'
    )
    raise InvalidSpec(
        Reason.NO_ENTRYPOINT,
        f"package {name} has no executable (bin or console script): put what starts it in spec.command, "
        f"for example {example}",
    )


def _strategy(spec: McpServerSpec) -> Manifest:
    # A ReadWriteOnce claim cannot be in two pods on two nodes: the old pod has to go first.
    if any(volume.persistent_volume_claim for volume in spec.storage):
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def _pod(
    spec: McpServerSpec,
    bridge: Manifest,
    *,
    owner: Owner,
    bundle: BundleStatus | None,
    registry: Registry,
    settings: Settings,
) -> Manifest:
    volumes = [empty_dir("run", "16Mi"), empty_dir("tmp", _SCRATCH_LIMIT), empty_dir("home", _SCRATCH_LIMIT)]
    review = spec.auth.token_review if spec.auth is not None else None
    pod: Manifest = {
        # Also said when it is the usual one: a name that is merely left out later would stay in the stored template.
        "serviceAccountName": review.service_account_name if review is not None else "default",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        # No DNS leaves the pod; an unreachable resolver would turn every look-up into a long wait.
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": SHARED_GID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            _server(spec, owner=owner, bundle=bundle, settings=settings),
            bridge,
        ],
    }
    if bundle is not None:
        volumes += [empty_dir("bundle", _bundle_limit(bundle)), empty_dir("etc", "1Mi")]
        pod["hostAliases"] = [{"ip": registry.address, "hostnames": [registry.host]}]
        pod["initContainers"] = [_load(owner=owner, bundle=bundle, registry=registry, settings=settings)]
        if settings.registry_pull_secret:
            volumes.append({"name": "pull", "secret": {"secretName": settings.registry_pull_secret}})
    elif spec.transport == "stdio":
        volumes.append(empty_dir("launcher", "64Mi"))
        pod["initContainers"] = [_settle(settings, install_to=_LAUNCHER)]
    else:
        pod["initContainers"] = [_settle(settings)]
    if review is not None:
        for container in pod["initContainers"]:
            container["env"] = [*container.get("env", []), *literal_env({"VSM_API_SERVER_ALLOWED": "true"})]
    pod["volumes"] = [*volumes, *bridge_volumes(spec, owner=owner), *(_volume(volume) for volume in spec.storage)]
    if settings.runtime_class_name:
        pod["runtimeClassName"] = settings.runtime_class_name
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return pod


def _server(spec: McpServerSpec, *, owner: Owner, bundle: BundleStatus | None, settings: Settings) -> Manifest:
    command = argv(spec, bundle)
    mounts: list[Manifest] = [
        {"name": "run", "mountPath": _SOCKETS},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "home", "mountPath": _HOME},
        *(_mount(volume) for volume in spec.storage),
    ]
    container: Manifest = {
        "name": "server",
        "image": spec.source.image.ref if spec.source.image else settings.runtime_image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": _server_environment(spec),
        "resources": _server_resources(spec, settings),
        "securityContext": container_security(owner.server_uid),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if bundle is not None:
        mounts += [
            {"name": "bundle", "mountPath": "/bundle", "readOnly": True},
            # Node and Python look their own uid up; the file is written by `load` for this server's uid.
            {"name": "etc", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        ]
    limits = ["--max-processes", str(settings.server_max_pids)]
    if spec.transport == "stdio":
        sockets = ["--socket", SOCKET]
        if spec.isolation == "Session":
            # One more than there are sessions: the bridge has one of its own, for the handshake and the list of tools.
            limits += ["--max-children", str(spec.sessions.max_count + 1)]
        interpreter = ["/opt/vsm/python3", "-I", "/opt/vsm/launcher.py"]
        if spec.source.image is not None:
            interpreter = [*INJECTED_LAUNCHER, f"{_LAUNCHER}/launcher.py"]
            mounts.append({"name": "launcher", "mountPath": _LAUNCHER, "readOnly": True})
        container["command"] = [*interpreter, *sockets, *limits, "--", *command]
    elif spec.command or bundle is not None:
        container["command"] = command
    elif command:
        container["args"] = command
    container["volumeMounts"] = mounts
    return container


def _server_environment(spec: McpServerSpec) -> list[Manifest]:
    """Ours first, the user's over it: a name appears once, as server-side apply demands."""
    package = spec.source.package()
    values = {"HOME": _HOME, "TMPDIR": "/tmp", "XDG_CACHE_HOME": f"{_HOME}/.cache"}  # noqa: S108
    if package is not None:
        values |= {"PATH": f"/bundle/bin:{_PATH}", "LANG": "C.UTF-8"}
        if package.ecosystem is Ecosystem.PYPI:
            values |= {"PYTHONPATH": "/bundle/site-packages", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    entries = {entry["name"]: entry for entry in literal_env(values)}
    for variable in spec.env:
        entries[variable.name] = variable.to_api()
    return list(entries.values())


def _server_resources(spec: McpServerSpec, settings: Settings) -> Manifest:
    limits: dict[str, str | int] = {
        "cpu": settings.server_cpu_limit,
        "memory": settings.server_memory_limit,
        "ephemeral-storage": _disk_limit(spec, settings),
        **spec.resources.limits,
    }
    requests: dict[str, str | int] = {"cpu": "10m", "memory": "64Mi", **spec.resources.requests}
    for name, limit in limits.items():
        if not value_of(limit):
            raise InvalidSpec(Reason.INVALID_SPEC, f"spec.resources.limits.{name} is 0, which would be no limit at all")
        asked = requests.get(name, 0)
        if value_of(asked) <= value_of(limit):
            continue
        if name in spec.resources.requests:
            raise InvalidSpec(
                Reason.INVALID_SPEC,
                f"spec.resources.requests.{name} is {asked}, more than the limit of {limit}: "
                f"set spec.resources.limits.{name} as well, or ask for less",
            )
        requests[name] = limit
    return resources(requests=requests, limits=limits)


def _disk_limit(spec: McpServerSpec, settings: Settings) -> str:
    """Scratch volumes count against the pod's limit as well: without room for them, using them would end the pod."""
    volumes = [volume.empty_dir for volume in spec.storage if volume.empty_dir is not None]
    if not volumes:
        return settings.server_ephemeral_storage_limit
    total = sum(value_of(volume.size_limit or _SCRATCH_LIMIT) for volume in volumes)
    return canonical(f"{-(-(total + value_of(settings.server_ephemeral_storage_limit)) // (1 << 20))}Mi")


def _load(*, owner: Owner, bundle: BundleStatus, registry: Registry, settings: Settings) -> Manifest:
    mounts: list[Manifest] = [
        {"name": "bundle", "mountPath": "/bundle"},
        {"name": "etc", "mountPath": _PASSWD},
    ]
    environment = {
        "VSM_BUNDLE_URL": registry.url,
        "VSM_BUNDLE_REPOSITORY": settings.registry_repository,
        "VSM_BUNDLE_DIGEST": bundle.digest,
        "VSM_BUNDLE_TARGET": "/bundle",
        "VSM_BUNDLE_MAX_BYTES": str(bundle.unpacked_bytes),
        "VSM_PASSWD_FILE": f"{_PASSWD}/passwd",
        "VSM_SERVER_UID": str(owner.server_uid),
        "VSM_TERMINATION_LOG": "/dev/termination-log",
    }
    if settings.registry_pull_secret:
        mounts.append({"name": "pull", "mountPath": _PULL_CREDENTIALS, "readOnly": True})
        environment["VSM_OCI_CREDENTIALS_DIR"] = _PULL_CREDENTIALS
    return {
        "name": "load",
        "image": settings.runtime_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["/opt/vsm/venv/bin/python", "-m", "vsm_runtime.load"],
        "env": literal_env(environment),
        "resources": resources(
            requests={"cpu": "10m", "memory": "64Mi"},
            limits={"cpu": "1", "memory": "256Mi", "ephemeral-storage": _bundle_limit(bundle)},
        ),
        "securityContext": container_security(TRUSTED_UID),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _settle(settings: Settings, *, install_to: str = "") -> Manifest:
    command = ["/opt/vsm/venv/bin/python", "-m", "vsm_runtime.settle"]
    container: Manifest = {
        "name": "settle",
        "image": settings.runtime_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "resources": resources(
            requests={"cpu": "10m", "memory": "32Mi"},
            limits={"cpu": "500m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        ),
        "securityContext": container_security(TRUSTED_UID),
    }
    if install_to:
        container["command"] = [*command, "--install-to", install_to]
        container["volumeMounts"] = [{"name": "launcher", "mountPath": install_to}]
    return container


def _bundle_limit(bundle: BundleStatus) -> str:
    """A quarter more than the content, and room for the unpacking itself, in whole MiB."""
    mebibytes = bundle.unpacked_bytes * 5 // 4 // (1 << 20) + 64
    return canonical(f"{mebibytes}Mi")


def _volume(volume: Storage) -> Manifest:
    name = _storage_name(volume)
    if volume.persistent_volume_claim is not None:
        claim: Manifest = {"claimName": volume.persistent_volume_claim.claim_name}
        if volume.read_only:
            claim["readOnly"] = True
        return {"name": name, "persistentVolumeClaim": claim}
    limit = volume.empty_dir.size_limit if volume.empty_dir else None
    return empty_dir(name, limit or _SCRATCH_LIMIT)


def _mount(volume: Storage) -> Manifest:
    mount: Manifest = {"name": _storage_name(volume), "mountPath": volume.mount_path}
    if volume.read_only:
        mount["readOnly"] = True
    return mount


def _storage_name(volume: Storage) -> str:
    """Prefixed, so that no user volume can take the place of one of ours."""
    return f"storage-{volume.name}"
