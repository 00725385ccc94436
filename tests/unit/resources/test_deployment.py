"""The pod of a server: what runs where, with which limits, mounts and environment."""

from typing import Any

import pytest

from support import specs
from unit.resources import kit
from unit.resources.kit import Input, environment
from vsm_operator.api.v1alpha1 import BundleStatus
from vsm_operator.errors import InvalidSpec
from vsm_operator.resources.common import TRUSTED_UID, Owner
from vsm_operator.resources.deployment import INJECTED_LAUNCHER, LABEL_REVISION, argv, deployment, revision_of

LAUNCHER = ["/opt/vsm/python3", "-I", "/opt/vsm/launcher.py"]
KINDS = {
    "npm over stdio": kit.npm(),
    "pypi over stdio": kit.pypi(),
    "image over stdio": kit.image(),
    "npm over http": kit.npm(transport="streamable-http", port=8000),
    "image over http": kit.http_image(),
}


def with_settings(given_: Input, **values: Any) -> Input:
    changed = kit.SETTINGS.model_validate(kit.SETTINGS.model_dump() | values)
    return Input(given_.spec, changed)


def bundle(*entrypoints: str) -> BundleStatus:
    return kit.BUNDLE.model_copy(update={"entrypoints": list(entrypoints)})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("npm over stdio", ["load", "server", "bridge"]),
        ("pypi over stdio", ["load", "server", "bridge"]),
        ("image over stdio", ["settle", "server", "bridge"]),
        ("npm over http", ["load", "server", "bridge"]),
        ("image over http", ["settle", "server", "bridge"]),
    ],
)
def test_pod_has_the_containers_of_its_kind(kind: str, names: list[str]) -> None:
    pod = KINDS[kind].pod()
    assert [entry["name"] for entry in [*pod.get("initContainers", []), *pod["containers"]]] == names


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("npm over stdio", LAUNCHER),
        ("pypi over stdio", LAUNCHER),
        ("image over stdio", [*INJECTED_LAUNCHER, "/run/launcher/launcher.py"]),
    ],
)
def test_stdio_server_is_started_by_the_launcher_with_its_bounds(kind: str, start: list[str]) -> None:
    command = KINDS[kind].server()["command"]
    assert command[: len(start)] == start
    options = command[len(start) : command.index("--")]
    assert options == [
        "--socket",
        "/run/mcp/server.sock",
        "--max-processes",
        "256",
    ]


def test_what_the_user_wrote_comes_behind_the_two_dashes() -> None:
    command = kit.npm(command=["node", "--socket", "--"], args=["--max-processes", "9"]).server()["command"]
    assert command[command.index("--") + 1 :] == ["node", "--socket", "--", "--max-processes", "9"]


def test_http_image_keeps_its_own_entry_point_and_gets_the_arguments() -> None:
    server = kit.http_image(args=["--verbose"]).server()
    assert "command" not in server
    assert server["args"] == ["--verbose"]


def test_http_image_with_command_is_started_by_it() -> None:
    assert kit.http_image(command=["/serve"], args=["x"]).server()["command"] == ["/serve", "x"]


def test_http_package_is_started_without_the_launcher() -> None:
    assert KINDS["npm over http"].server()["command"] == ["/bundle/bin/mcp-server"]


@pytest.mark.parametrize(
    ("raw", "entrypoints", "want"),
    [
        pytest.param(specs.npm("@scope/tool"), ["tool", "other"], ["/bundle/bin/tool"], id="own name among several"),
        pytest.param(specs.npm("@scope/tool"), ["mcp-tool"], ["/bundle/bin/mcp-tool"], id="the only one"),
        pytest.param(specs.pypi("tool", args=["a"]), ["tool"], ["/bundle/bin/tool", "a"], id="with arguments"),
        pytest.param(specs.npm(command=["node"], args=["a"]), [], ["node", "a"], id="command of the spec"),
    ],
)
def test_executable_is_found(raw: specs.Spec, entrypoints: list[str], want: list[str]) -> None:
    assert argv(kit.read(raw), bundle(*entrypoints)) == want


@pytest.mark.parametrize(
    ("raw", "entrypoints", "advice"),
    [
        pytest.param(
            specs.npm("@scope/tool"), [], r'\["node", "/bundle/node_modules/@scope/tool/index.js"\]', id="npm"
        ),
        pytest.param(specs.pypi("my-tool"), [], r'\["python3", "-m", "my_tool"\]', id="pypi"),
        pytest.param(specs.npm("tool"), ["a", "b"], r"put one of a, b in spec\.command", id="several of other names"),
    ],
)
def test_package_without_an_executable_is_refused_with_what_to_write(
    raw: specs.Spec, entrypoints: list[str], advice: str
) -> None:
    with pytest.raises(InvalidSpec, match=advice) as caught:
        argv(kit.read(raw), bundle(*entrypoints))
    assert caught.value.reason == "NoEntrypoint"
    assert "spec.command" in caught.value.message


def test_stdio_image_without_command_is_refused() -> None:
    raw = {"source": {"image": {"ref": specs.IMAGE}}}
    with pytest.raises(InvalidSpec, match=r"needs spec\.command") as caught:
        Input(kit.read(raw)).deployment()
    assert caught.value.reason == "NoEntrypoint"


def test_default_limits_are_those_of_the_settings() -> None:
    resources = with_settings(kit.npm(), server_memory_limit="1024Mi", server_cpu_limit="0.5").server()["resources"]
    assert resources["limits"] == {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1Gi"}
    assert resources["requests"] == {"cpu": "10m", "memory": "64Mi"}


def test_limit_of_the_user_wins_and_is_canonical() -> None:
    server = kit.npm(resources={"limits": {"cpu": "1.5", "memory": 1073741824}}).server()
    assert server["resources"]["limits"] == {"cpu": "1500m", "memory": "1073741824", "ephemeral-storage": "1Gi"}


def test_default_request_shrinks_with_a_smaller_limit() -> None:
    server = kit.npm(resources={"limits": {"cpu": "5m", "memory": "32Mi"}}).server()
    assert server["resources"]["requests"] == {"cpu": "5m", "memory": "32Mi"}


def test_request_above_the_default_limit_is_refused_with_what_to_set() -> None:
    with pytest.raises(
        InvalidSpec, match=r"requests\.memory is 1Gi, more than the limit of 512Mi: set spec\.resources\."
    ):
        kit.npm(resources={"requests": {"memory": "1Gi"}}).deployment()


@pytest.mark.parametrize("name", ["cpu", "memory", "ephemeral-storage"])
def test_limit_of_zero_is_refused_because_it_would_be_none(name: str) -> None:
    with pytest.raises(InvalidSpec, match="no limit at all"):
        kit.npm(resources={"limits": {name: 0}}).deployment()


def test_limits_of_the_user_are_on_the_server_and_on_nothing_else() -> None:
    small, large = (kit.npm(resources={"limits": {"memory": amount}}).pod() for amount in ("64Mi", "4Gi"))
    for name in ("load", "bridge"):
        assert kit.container(small, name) == kit.container(large, name)


@pytest.mark.parametrize("kind", KINDS)
def test_server_runs_under_a_uid_of_its_own_and_the_rest_under_ours(kind: str) -> None:
    pod = KINDS[kind].pod()
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        want = kit.OWNER.server_uid if container["name"] == "server" else TRUSTED_UID
        assert container["securityContext"]["runAsUser"] == want
        assert container["securityContext"]["runAsGroup"] == pod["securityContext"]["fsGroup"]


@pytest.mark.parametrize(
    ("given_", "want"),
    [
        pytest.param(kit.npm(), {"PATH": "/bundle/bin:", "HOME": "/home/mcp", "TMPDIR": "/tmp"}, id="npm"),
        pytest.param(kit.pypi(), {"PATH": "/bundle/bin:", "PYTHONPATH": "/bundle/site-packages"}, id="pypi"),
        pytest.param(kit.image(), {"HOME": "/home/mcp", "XDG_CACHE_HOME": "/home/mcp/.cache"}, id="image"),
    ],
)
def test_environment_leads_to_the_bundle_and_to_writable_places(given_: Input, want: dict[str, str]) -> None:
    found = environment(given_.server())
    assert {name: found[name].startswith(value) for name, value in want.items()} == dict.fromkeys(want, True)


def test_image_keeps_its_own_path() -> None:
    assert "PATH" not in environment(kit.image().server())


def test_variable_of_the_user_replaces_ours_once() -> None:
    server = kit.npm(env=[{"name": "HOME", "value": "/data"}, {"name": "MINE", "value": "x"}]).server()
    assert [entry for entry in server["env"] if entry["name"] == "HOME"] == [{"name": "HOME", "value": "/data"}]
    assert environment(server)["MINE"] == "x"


def test_secret_of_the_user_stays_a_reference() -> None:
    source = {"secretKeyRef": {"name": "tokens", "key": "github"}}
    server = kit.npm(env=[{"name": "TOKEN", "valueFrom": source}]).server()
    assert {"name": "TOKEN", "valueFrom": source} in server["env"]


@pytest.mark.parametrize("kind", KINDS)
def test_variables_of_the_user_reach_the_server_only(kind: str) -> None:
    spec = KINDS[kind].spec.model_copy(update={"env": kit.npm(env=[{"name": "MINE", "value": "x"}]).spec.env})
    pod = Input(spec).pod()
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        assert ("MINE" in environment({"env": container.get("env", [])})) == (container["name"] == "server")


@pytest.mark.parametrize("ours", ["bundle", "run", "tmp", "home", "etc", "launcher", "pull"])
def test_volume_of_the_user_cannot_take_the_place_of_ours(ours: str) -> None:
    volume = {"name": ours, "mountPath": "/data", "persistentVolumeClaim": {"claimName": "theirs"}}
    given_ = with_settings(kit.npm(storage=[volume]), registry_pull_secret="pull")
    plain = with_settings(kit.npm(), registry_pull_secret="pull")
    added = [entry for entry in given_.pod()["volumes"] if entry not in plain.pod()["volumes"]]
    assert added == [{"name": f"storage-{ours}", "persistentVolumeClaim": {"claimName": "theirs"}}]
    assert given_.pod()["initContainers"] == plain.pod()["initContainers"]


def test_storage_is_mounted_into_the_server_only() -> None:
    volume = {"name": "data", "mountPath": "/data", "emptyDir": {"sizeLimit": "1.5Gi"}, "readOnly": True}
    pod = kit.npm(storage=[volume]).pod()
    assert {"name": "storage-data", "emptyDir": {"sizeLimit": "1536Mi"}} in pod["volumes"]
    assert {"name": "storage-data", "mountPath": "/data", "readOnly": True} in kit.container(pod, "server")[
        "volumeMounts"
    ]
    for name in ("load", "bridge"):
        assert "storage-data" not in [mount["name"] for mount in kit.container(pod, name)["volumeMounts"]]


def test_bundle_is_written_by_load_and_read_only_for_the_server() -> None:
    pod = kit.npm().pod()
    mounts = {
        name: {mount["name"]: mount.get("readOnly", False) for mount in kit.container(pod, name)["volumeMounts"]}
        for name in ("load", "server", "bridge")
    }
    assert mounts["load"] == {"bundle": False, "etc": False}
    assert mounts["server"] == {"run": False, "tmp": False, "home": False, "bundle": True, "etc": True}
    assert mounts["bridge"] == {"run": False, "pins": True}


def test_launcher_is_read_only_for_the_server_of_an_image() -> None:
    mounts = {mount["name"]: mount for mount in kit.image().server()["volumeMounts"]}
    assert mounts["launcher"]["readOnly"] is True
    assert "bundle" not in mounts


def test_bundle_is_loaded_by_digest_from_the_registry_by_name_and_address() -> None:
    pod = kit.npm().pod()
    found = environment(kit.container(pod, "load"))
    assert found["VSM_BUNDLE_DIGEST"] == kit.BUNDLE.digest
    assert found["VSM_BUNDLE_URL"] == kit.REGISTRY.url
    assert found["VSM_BUNDLE_MAX_BYTES"] == str(kit.BUNDLE.unpacked_bytes)
    assert found["VSM_SERVER_UID"] == str(kit.OWNER.server_uid)
    assert pod["hostAliases"] == [{"ip": "10.96.0.7", "hostnames": ["vsm-registry.vsm-system.svc"]}]


@pytest.mark.parametrize("unpacked_bytes", [0, 1, 1 << 20, 40 << 20, 1 << 30])
def test_bundle_volume_has_room_for_the_bundle_and_a_bound(unpacked_bytes: int) -> None:
    from vsm_operator.domain.quantity import value_of  # noqa: PLC0415

    made = deployment(
        kit.npm().spec,
        owner=kit.OWNER,
        bundle=kit.BUNDLE.model_copy(update={"unpacked_bytes": unpacked_bytes}),
        registry=kit.REGISTRY,
        admin_token_sha256=kit.ADMIN_TOKEN_SHA256,
        settings=kit.SETTINGS,
    )
    (volume,) = [entry for entry in made["spec"]["template"]["spec"]["volumes"] if entry["name"] == "bundle"]
    limit = value_of(volume["emptyDir"]["sizeLimit"])
    assert unpacked_bytes < limit <= unpacked_bytes * 1.25 + (65 << 20)


def test_pull_credentials_reach_load_only() -> None:
    pod = with_settings(kit.npm(), registry_pull_secret="pull").pod()
    assert environment(kit.container(pod, "load"))["VSM_OCI_CREDENTIALS_DIR"] == "/var/run/secrets/vsm-registry"
    for name in ("server", "bridge"):
        assert "pull" not in [mount["name"] for mount in kit.container(pod, name)["volumeMounts"]]


@pytest.mark.parametrize("kind", ["image over stdio", "image over http"])
def test_pod_of_an_image_knows_nothing_of_the_registry(kind: str) -> None:
    assert "vsm-registry" not in str(with_settings(KINDS[kind], registry_pull_secret="pull").pod())


@pytest.mark.parametrize(
    ("given_", "want"),
    [
        pytest.param(
            kit.npm(), {"VSM_BRIDGE_TRANSPORT": "stdio", "VSM_BRIDGE_SOCKET": "/run/mcp/server.sock"}, id="stdio"
        ),
        pytest.param(kit.http_image(), {"VSM_BRIDGE_UPSTREAM": "http://127.0.0.1:8000/mcp"}, id="http"),
        pytest.param(
            kit.http_image(path="/api/mcp"), {"VSM_BRIDGE_UPSTREAM": "http://127.0.0.1:8000/api/mcp"}, id="path"
        ),
    ],
)
def test_bridge_is_told_where_the_server_is(given_: Input, want: dict[str, str]) -> None:
    found = environment(kit.container(given_.pod(), "bridge"))
    assert want.items() <= found.items()


@pytest.mark.parametrize("kind", KINDS)
def test_pod_is_ready_when_its_bridge_is(kind: str) -> None:
    pod = KINDS[kind].pod()
    bridge = kit.container(pod, "bridge")
    assert bridge["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert bridge["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert bridge["readinessProbe"]["httpGet"]["port"] == bridge["livenessProbe"]["httpGet"]["port"] == 8081
    assert "readinessProbe" not in kit.container(pod, "server")


@pytest.mark.parametrize(
    ("fields", "replicas"),
    [({}, 1), ({"replicas": 3}, 3), ({"suspend": True}, 0), ({"suspend": True, "replicas": 3}, 0)],
)
def test_replicas_are_as_asked_for_and_none_while_suspended(fields: dict[str, Any], replicas: int) -> None:
    assert kit.npm(**fields).deployment()["spec"]["replicas"] == replicas


def test_update_brings_the_new_pod_up_before_the_old_one_goes() -> None:
    strategy = kit.npm().deployment()["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_update_with_a_claim_takes_the_old_pod_down_first() -> None:
    claim = {"name": "data", "mountPath": "/data", "persistentVolumeClaim": {"claimName": "data"}}
    assert kit.npm(storage=[claim]).deployment()["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    "fields", [{"suspend": True}, {"replicas": 4}, {"network": {"allowFrom": [{"podSelector": {}}]}}]
)
def test_scale_and_policy_are_no_new_revision(fields: dict[str, Any]) -> None:
    assert kit.npm(**fields).deployment()["spec"]["template"] == kit.npm().deployment()["spec"]["template"]


@pytest.mark.parametrize("kind", KINDS)
def test_runtime_class_and_pull_secrets_are_passed_through(kind: str) -> None:
    pod = with_settings(KINDS[kind], runtime_class_name="gvisor", image_pull_secrets=("one", "two")).pod()
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]


def test_neither_is_mentioned_when_not_set() -> None:
    assert not {"runtimeClassName", "imagePullSecrets"} & set(kit.npm().pod())


def test_user_chooses_neither_the_image_of_our_containers_nor_the_runtime_class() -> None:
    pod = kit.image().pod()
    assert kit.container(pod, "server")["image"] == specs.IMAGE
    for name in ("settle", "bridge"):
        assert kit.container(pod, name)["image"] == kit.SETTINGS.runtime_image


def test_selector_is_what_the_pods_of_every_revision_carry() -> None:
    spec = kit.npm().deployment()["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == kit.OWNER.labels
    assert {name: value for name, value in labels.items() if name != LABEL_REVISION} == kit.OWNER.labels


def test_revision_is_on_the_pods_and_differs_for_other_pods() -> None:
    one, two = kit.npm().deployment(), kit.npm(args=["--other"]).deployment()
    assert one["spec"]["template"]["metadata"]["labels"][LABEL_REVISION] == revision_of(one)
    assert revision_of(one) != revision_of(two)
    assert revision_of(one) == revision_of(kit.npm(replicas=5, suspend=True).deployment())


def test_no_dns_server_outside_of_the_pod_is_asked() -> None:
    pod = kit.npm().pod()
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})


def test_two_servers_share_no_name_and_no_selector() -> None:
    other = Input(kit.npm().spec, owner=Owner("team", "other", "u"))
    one, two = kit.npm().deployment(), other.deployment()
    assert one["metadata"]["name"] != two["metadata"]["name"]
    assert one["spec"]["selector"] != two["spec"]["selector"]
