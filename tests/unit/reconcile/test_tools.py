"""Pins, admission, and servers that ask for tokens: what is written, what is said, and what it cost."""

from typing import Any

import httpx
import pytest

from unit.reconcile.world import DIGEST, OTHER_TOOLS, SETTINGS, TOOLS, World, bridge_status
from vsm_operator.api.v1alpha1 import ADMIT_ANNOTATION, MCP_SERVER, RETRY_ANNOTATION
from vsm_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, POD, Key

KEY = "sha256-" + "a" * 64
PINS = CONFIG_MAP.key("team", "mcp-memory-pins")
TOKENS = {"tokens": {"secretRef": {"name": "clients"}}}
REVIEW = {"tokenReview": {"serviceAccountName": "reviewer"}}


@pytest.fixture
def world() -> World:
    return World()


async def pass_and_talk(world: World, key: Key) -> None:
    await world.look(key)
    await world.talk()
    await world.look(key)


async def to_serving(world: World, key: Key, tools_hash: str = TOOLS) -> None:
    """From whatever went before."""
    world.pods_are(available=1)
    world.pod(ready=True)
    world.answers_like_a_server(tools_hash)
    world.clock.jump(30)
    await pass_and_talk(world, key)


async def test_first_verified_hash_is_pinned_with_one_write_and_no_rollout(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    template = world.children(DEPLOYMENT)[0]["spec"]["template"]
    assert world.pins() == {}
    await to_serving(world, key)
    assert world.pins() == {KEY: TOOLS}
    tools = world.status(key)["tools"]
    assert (tools["hash"], tools["pinnedHash"], tools["pinnedArtifact"]) == (TOOLS, TOOLS, DIGEST)
    assert world.condition(key, "ToolsUnchanged")["reason"] == "Pinned"
    assert world.children(DEPLOYMENT)[0]["spec"]["template"] == template
    assert [write for write in world.fake.writes if "configmaps" in write] == ["PATCH configmaps/mcp-memory-pins"]


async def test_names_are_those_that_clients_see_and_the_hash_is_the_bridges(world: World) -> None:
    key = world.server(toolFilter={"deny": ["delete_*"]})
    await world.to_ready(key)
    tools = world.status(key)["tools"]
    assert (tools["names"], tools["count"], tools["hash"]) == (["read_graph"], 1, TOOLS)


async def test_protocol_version_is_the_servers_own_and_not_what_was_agreed_with_us(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    world.protocol_version = "2026-07-28"
    await to_serving(world, key)
    assert world.status(key)["protocolVersion"] == "2026-07-28"


async def test_server_whose_tools_change_is_degraded_says_how_to_go_on_and_sends_an_event(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.tools_change()
    await pass_and_talk(world, key)
    assert world.ready(key) == ("Degraded", "False", "ToolsChanged")
    assert "vsmctl tools admit memory" in world.message(key)
    assert world.condition(key, "ToolsUnchanged")["status"] == "False"
    tools = world.status(key)["tools"]
    assert (tools["hash"], tools["pinnedHash"]) == (OTHER_TOOLS, TOOLS)
    assert world.events._queue.qsize() == 1
    event = world.events._queue.get_nowait()
    assert (event["type"], event["reason"]) == ("Warning", "ToolsChanged")
    assert world.pins() == {KEY: TOOLS}
    written = len(world.fake.writes)
    world.clock.jump(30)
    await pass_and_talk(world, key)
    assert len(world.fake.writes) == written


async def test_changed_tools_are_never_given_up_and_their_pod_stays(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.tools_change()
    for _ in range(5):
        world.clock.jump(30)
        await pass_and_talk(world, key)
    assert world.children(DEPLOYMENT)[0]["spec"]["replicas"] == 1


async def test_admission_writes_the_pin_once_and_the_server_serves_again(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.tools_change()
    await pass_and_talk(world, key)
    world.annotate(key, ADMIT_ANNOTATION, OTHER_TOOLS)
    await world.look(key)
    assert world.pins() == {KEY: OTHER_TOOLS}
    assert "takes that over" in world.message(key)
    await to_serving(world, key, OTHER_TOOLS)
    assert world.ready(key) == ("Ready", "True", "Serving")
    assert world.condition(key, "ToolsUnchanged")["reason"] == "Pinned"
    written = len(world.fake.writes)
    world.start()
    await world.look(key)
    assert len(world.fake.writes) == written


async def test_pod_that_serves_something_else_than_the_pin_is_not_verified(world: World) -> None:
    """The bridge compares as well; this is for one that has not seen the pin yet."""
    key = world.server()
    await world.to_ready(key)
    world.annotate(key, ADMIT_ANNOTATION, OTHER_TOOLS)
    await world.look(key)
    world.pods_are(available=0)
    await world.look(key)
    await to_serving(world, key, TOOLS)
    assert world.ready(key)[1] == "False"
    assert world.pins() == {KEY: OTHER_TOOLS}


async def test_another_version_is_trusted_on_its_own_first_use(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.annotate(key, ADMIT_ANNOTATION, TOOLS)
    await world.look(key)
    world.fake.remove(POD, POD.key("team", "mcp-memory-1"))
    for job in [found for found in world.fake.objects if found.kind == "Job"]:
        del world.fake.objects[job]
    world.start()
    world.server(version="2.0.0", generation=2)
    await world.look(key)
    next_digest = "sha256:" + "9" * 64
    world.bundle_arrives(digest=next_digest)
    await world.look(key)
    await to_serving(world, key, OTHER_TOOLS)
    assert world.pins() == {KEY: TOOLS, next_digest.replace(":", "-"): OTHER_TOOLS}
    assert world.status(key)["tools"]["pinnedHash"] == OTHER_TOOLS


@pytest.mark.parametrize("harm", ["edited", "deleted", "added to"])
async def test_pins_that_somebody_touched_are_put_right_with_one_write(world: World, harm: str) -> None:
    key = world.server()
    await world.to_ready(key)
    if harm == "deleted":
        world.fake.remove(CONFIG_MAP, PINS)
    else:
        change = {KEY if harm == "edited" else "admitted": OTHER_TOOLS}
        world.fake.edit(CONFIG_MAP, PINS, lambda body: body["data"].update(change))
    written = len(world.fake.writes)
    await world.look(key)
    assert world.pins() == {KEY: TOOLS}
    assert len(world.fake.writes) <= written + 1
    written = len(world.fake.writes)
    await world.look(key)
    assert len(world.fake.writes) == written


async def test_strict_server_waits_for_its_admission_and_takes_no_other_ones(world: World) -> None:
    key = world.server(toolPin="Strict")
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    assert PINS in world.fake.objects
    world.tools_change(expected="", observed=TOOLS)
    await pass_and_talk(world, key)
    assert world.ready(key) == ("AwaitingApproval", "False", "ToolsNotAdmitted")
    assert world.pins() == {}
    world.fake.edit(CONFIG_MAP, PINS, lambda body: body.update(data={"admitted": OTHER_TOOLS}))
    await world.look(key)
    assert world.pins() == {}
    world.annotate(key, ADMIT_ANNOTATION, TOOLS)
    await world.look(key)
    assert world.pins() == {"admitted": TOOLS}
    await to_serving(world, key)
    assert world.ready(key) == ("Ready", "True", "Serving")


async def test_strict_server_that_was_admitted_beforehand_has_the_pin_before_its_first_pod(world: World) -> None:
    key = world.server(toolPin="Strict")
    world.annotate(key, ADMIT_ANNOTATION, TOOLS)
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    made = [write.split()[1] for write in world.fake.writes]
    assert made.index("configmaps/mcp-memory-pins") < made.index("deployments/mcp-memory")


async def test_foreign_config_map_is_never_taken_for_the_pins(world: World) -> None:
    foreign = {"metadata": {"name": PINS.name, "namespace": PINS.namespace}, "data": {"admitted": OTHER_TOOLS}}
    world.fake.put(CONFIG_MAP, foreign)
    key = world.server(toolPin="Strict")
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    assert world.ready(key)[1:] == ("False", "NameTaken")
    assert world.children(DEPLOYMENT) == []


async def test_pins_go_when_they_are_switched_off(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.server(generation=2, toolPin="Off")
    await world.look(key)
    assert PINS not in world.fake.objects
    assert world.condition(key, "ToolsUnchanged")["reason"] == "NotPinned"


async def test_bridge_that_says_no_hash_verifies_nothing(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    await to_serving(world, key, "")
    assert world.ready(key)[1] == "False"
    assert world.pins() == {}


def guarded(refusal: int) -> Any:
    """A bridge that asks for tokens."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 8081:
            return httpx.Response(200, json=bridge_status(TOOLS))
        assert "vsm-operator-has-none" in request.headers["Authorization"]
        return httpx.Response(refusal, text="the API server cannot be asked" if refusal == 503 else "")

    return answer


async def to_guarded(world: World, key: Key, refusal: int) -> None:
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    world.pods_are(available=1)
    world.pod(ready=True)
    world.answer = guarded(refusal)
    for _ in range(4):
        world.clock.jump(30)
        await pass_and_talk(world, key)


async def test_server_that_asks_for_tokens_is_ready_when_it_refuses_us(world: World) -> None:
    key = world.server(auth=TOKENS, toolFilter={"deny": ["delete_*"]})
    await to_guarded(world, key, 401)
    assert world.ready(key) == ("Ready", "True", "Serving")
    status = world.status(key)
    assert status["serverInfo"] == {"name": "memory", "version": "7"}
    assert status["protocolVersion"] == "2025-11-25"
    assert (status["tools"]["names"], status["tools"]["pinnedHash"]) == (["read_graph"], TOOLS)


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (200, "let in, although spec.auth asks for one"),
        (503, "HTTP 503: the API server cannot be asked"),
        (403, "answered with HTTP 403"),
    ],
)
async def test_server_that_does_not_ask_for_tokens_as_it_should_is_not_ready(
    world: World, refusal: int, why: str
) -> None:
    key = world.server(auth=TOKENS)
    await to_guarded(world, key, refusal)
    assert world.ready(key) == ("Starting", "False", "HandshakeFailed")
    assert why in world.message(key)


async def test_token_review_waits_for_the_operators_setting_and_opens_nothing_before(world: World) -> None:
    key = world.server(auth=REVIEW)
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    assert world.ready(key) == ("Pending", "False", "ApiServerUnknown")
    assert "VSM_API_SERVER_CIDRS" in world.message(key)
    assert world.children(DEPLOYMENT) == []
    assert len(world.children(NETWORK_POLICY)[0]["spec"]["egress"]) == 1
    world.settings = SETTINGS.model_copy(update={"api_server_cidrs": ("10.96.0.1/32",)})
    world.start()
    await world.look(key)
    assert len(world.children(DEPLOYMENT)) == 1
    assert len(world.children(NETWORK_POLICY)[0]["spec"]["egress"]) == 2


async def test_missing_account_is_told_in_the_clusters_own_words(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    failure = {"type": "ReplicaFailure", "status": "True", "message": 'serviceaccount "reviewer" not found'}
    deployment = DEPLOYMENT.key_of(world.children(DEPLOYMENT)[0])
    world.fake.edit(DEPLOYMENT, deployment, lambda body: body.update(status={"conditions": [failure]}))
    await world.look(key)
    assert world.ready(key) == ("Starting", "False", "PodsRefused")
    assert "reviewer" in world.message(key)


async def test_secret_that_is_missing_is_named_after_a_while_without_an_event_from_the_pod(world: World) -> None:
    key = world.server(auth=TOKENS)
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    world.pods_are(available=0)
    world.pod()
    since = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": since},
        {"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": since},
    ]
    waiting = {"phase": "Pending", "conditions": conditions, "containerStatuses": []}
    world.fake.edit(POD, POD.key("team", "mcp-memory-1"), lambda body: body.__setitem__("status", waiting))
    again = await world.look(key)
    assert world.ready(key) == ("Starting", "False", "Starting")
    assert again.requeue_after is not None
    assert again.requeue_after.total_seconds() <= 20
    world.clock.jump(again.requeue_after.total_seconds() + 1)
    await world.look(key)
    assert world.ready(key) == ("Starting", "False", "PodConfiguration")
    assert "Secret clients (spec.auth.tokens)" in world.message(key)


async def test_pod_knows_the_hash_of_its_admin_token_and_not_the_token(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    text = str(world.children(DEPLOYMENT)[0])
    uid = world.fake.objects[key]["metadata"]["uid"]
    assert world.admin_key.token_sha256(uid) in text
    assert world.admin_key.token(uid) not in text


async def test_nothing_is_started_without_the_admin_key_and_what_runs_goes_on(world: World) -> None:
    running = world.server()
    await world.to_ready(running)
    world.admin_key._key, world.admin_key.trouble = b"", "Forbidden: secrets"
    fresh = world.server("fresh")
    await world.look(fresh)
    assert world.ready(fresh) == ("Pending", "False", "AdminKeyMissing")
    assert "Forbidden: secrets" in world.message(fresh)
    written = len(world.fake.writes)
    await world.look(running)
    assert len(world.fake.writes) == written
    world.admin_key.trouble = ""
    await world.look(MCP_SERVER.key("team", "fresh"))
    assert len(world.fake.writes) == written


async def test_retry_is_no_admission(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.tools_change()
    await pass_and_talk(world, key)
    world.annotate(key, RETRY_ANNOTATION, "now")
    await pass_and_talk(world, key)
    assert world.ready(key) == ("Degraded", "False", "ToolsChanged")
    assert world.pins() == {KEY: TOOLS}


async def test_deployment_whose_pod_is_not_known_yet_is_looked_at_again_soon(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    world.pods_are(available=1)
    again = await world.look(key)
    assert world.background.calls == []
    assert again.requeue_after is not None
    assert again.requeue_after.total_seconds() <= 1
