"""The McpServer reconciler against an API server in memory: what exists, what is said, and what it cost."""

import asyncio

import httpx
import pytest

from unit.reconcile.world import DIGEST, World
from vsm_operator.api.v1alpha1 import MCP_SERVER, RETRY_ANNOTATION
from vsm_operator.domain.intake import IntakeReason
from vsm_operator.kube.kinds import DEPLOYMENT, JOB, NETWORK_POLICY, POD, SERVICE, Key


@pytest.fixture
def world() -> World:
    return World()


def bridge_says(failures: int, reason: str = "Exited") -> httpx.Response:
    failure = {"reason": reason, "message": "the server exited with code 1", "stderrTail": ["KeyError: 'DB'"]}
    return httpx.Response(200, json={"state": "backoff", "consecutiveFailures": failures, "lastFailure": failure})


async def to_crash_loop(world: World, key: Key) -> None:
    """Its pod is there, and the bridge has seen three starts fail."""
    await world.look(key)
    world.pods_are(available=0)
    world.pod()
    world.answer = lambda _: bridge_says(3)
    await world.look(key)
    await world.talk()
    await world.look(key)


async def test_server_becomes_ready_within_the_write_budget(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    assert world.ready(key) == ("Ready", "True", "Serving")
    status = world.status(key)
    assert status["endpoint"] == "http://mcp-memory.team.svc:8080/mcp"
    assert status["tools"]["names"] == ["read_graph"]
    assert status["bundle"]["digest"] == DIGEST
    assert status["observedGeneration"] == 1
    assert len([write for write in world.fake.writes if "jobs" not in write]) <= 7
    assert len([write for write in world.fake.writes if "jobs" in write]) == 1


async def test_nothing_is_written_once_it_is_ready_not_even_after_a_restart(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    written = len(world.fake.writes)
    await world.look(key)
    world.start()
    await world.look(key)
    assert len(world.fake.writes) == written
    assert world.background.calls == []


async def test_deployment_is_never_asked_for_before_its_policy_is_stored(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    creations = [write.split()[1] for write in world.fake.writes]
    assert creations.index("networkpolicies/mcp-memory") < creations.index("deployments/mcp-memory")


async def test_no_pod_is_asked_for_when_the_policy_is_refused(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    world.fake.remove(NETWORK_POLICY, NETWORK_POLICY.key("team", "mcp-memory"))
    world.fake.fault = lambda request: (
        httpx.Response(403, json={"kind": "Status", "reason": "Forbidden", "message": "no"})
        if "networkpolicies" in request.url.path and request.method == "PATCH"
        else None
    )
    await world.look(key)
    assert world.children(DEPLOYMENT) == []
    assert world.ready(key)[1:] == ("False", "Forbidden")


async def test_restart_mid_intake_meets_the_running_job(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.start()
    await world.look(key)
    assert len([write for write in world.fake.writes if write.startswith("POST") and "jobs" in write]) == 1
    assert world.ready(key) == ("Fetching", "False", "Fetching")


async def test_two_servers_with_one_package_share_one_job(world: World) -> None:
    first, second = world.server("one"), world.server("two")
    await world.look(first)
    await world.look(second)
    assert len(world.children(JOB)) == 1
    world.bundle_arrives()
    await world.look(first)
    await world.look(second)
    assert len(world.children(DEPLOYMENT)) == 2


async def test_intake_beyond_the_limit_waits_and_says_so(world: World) -> None:
    for number in range(3):
        await world.look(world.server(f"s{number}", version=f"1.0.{number}"))
    waiting = MCP_SERVER.key("team", "s2")
    assert world.ready(waiting) == ("Pending", "False", "Queued")
    assert len(world.children(JOB)) == 2
    assert (await world.look(waiting)).requeue_after is not None


async def test_intake_limit_holds_when_many_workers_ask_at_once(world: World) -> None:
    servers = [world.server(f"s{number}", version=f"1.0.{number}") for number in range(8)]
    await asyncio.gather(*(world.look(server) for server in servers))
    assert len(world.children(JOB)) == 2


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        pytest.param(IntakeReason.UNKNOWN_PACKAGE, "Failed", id="unknown package"),
        pytest.param(IntakeReason.INTEGRITY_MISMATCH, "Rejected", id="tampered"),
        pytest.param(IntakeReason.REGISTRY_UNREACHABLE, "Pending", id="registry away"),
    ],
)
async def test_failed_intake_is_told_with_its_reason(world: World, reason: IntakeReason, phase: str) -> None:
    key = world.server()
    await world.look(key)
    world.intake_fails(reason, "no such package")
    await world.look(key)
    assert world.ready(key) == (phase, "False", reason)
    assert "no such package" in world.message(key)
    assert world.children(DEPLOYMENT) == []


async def test_terminal_failure_stays_after_its_job_expired_and_the_operator_restarted(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.intake_fails(IntakeReason.UNKNOWN_PACKAGE)
    await world.look(key)
    world.fake.remove(JOB, JOB.key_of(world.children(JOB)[0]))
    written = len(world.fake.writes)
    world.start()
    await world.look(key)
    assert world.ready(key) == ("Failed", "False", "UnknownPackage")
    assert len(world.fake.writes) == written


async def test_retry_annotation_starts_another_intake(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.intake_fails(IntakeReason.UNKNOWN_PACKAGE)
    await world.look(key)
    world.fake.edit(MCP_SERVER, key, lambda body: body["metadata"].update(annotations={RETRY_ANNOTATION: "now"}))
    await world.look(key)
    await world.look(key)
    jobs = world.children(JOB)
    assert len(jobs) == 1
    assert "status" not in jobs[0]
    assert world.ready(key) == ("Fetching", "False", "Fetching")


async def test_server_that_crashes_at_start_is_given_up_with_its_last_words_and_scaled_to_zero(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    world.pods_are(available=0)
    world.pod()
    world.answer = lambda _: bridge_says(1)
    await world.look(key)
    await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Starting", "False", "CrashAtStart")
    world.answer = lambda _: bridge_says(3)
    world.clock.jump(10)
    await world.look(key)
    await world.talk()
    result = await world.look(key)
    assert world.ready(key) == ("Failed", "False", "CrashAtStart")
    assert "KeyError: 'DB'" in world.message(key)
    assert result.requeue_after is not None
    await world.look(key)
    assert world.children(DEPLOYMENT)[0]["spec"]["replicas"] == 0
    written = len(world.fake.writes)
    await world.look(key)
    assert len(world.fake.writes) == written


async def test_mended_spec_is_not_condemned_by_the_old_pod(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await to_crash_loop(world, key)
    assert world.ready(key)[0] == "Failed"
    world.server(generation=2, args=["--mended"])
    await world.look(key)
    await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Starting", "False", "Starting")
    assert world.children(DEPLOYMENT)[0]["spec"]["replicas"] == 1


async def test_image_server_that_crashes_at_start_is_scaled_to_zero(world: World) -> None:
    image = {"image": {"ref": f"registry.example.com/server@{DIGEST}"}}
    key = world.server(source=image, command=["server"])
    await to_crash_loop(world, key)
    await world.look(key)
    assert world.ready(key) == ("Failed", "False", "CrashAtStart")
    assert world.children(DEPLOYMENT)[0]["spec"]["replicas"] == 0


async def test_ready_server_that_crashes_is_degraded_and_never_given_up(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.pods_are(available=0)
    world.pod()
    world.answer = lambda _: bridge_says(9)
    await world.look(key)
    assert world.ready(key)[:2] == ("Degraded", "False")
    await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Degraded", "False", "Crashed")
    world.pods_are(available=1)
    world.pod(ready=True)
    world.answers_like_a_server()
    await world.look(key)
    assert world.ready(key)[1] == "False"  # not before the handshake through the Service
    await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Ready", "True", "Serving")


async def test_package_without_executable_asks_for_a_command(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives(entrypoints=())
    await world.look(key)
    assert world.ready(key) == ("Failed", "False", "NoEntrypoint")
    assert "spec.command" in world.message(key)


async def test_update_that_cannot_be_fetched_leaves_the_old_revision_serving(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    before = world.children(DEPLOYMENT)[0]["spec"]
    world.fake.remove(JOB, JOB.key_of(world.children(JOB)[0]))
    world.server(version="9.9.9", generation=2)
    await world.look(key)
    assert world.ready(key)[1:] == ("True", "Updating")
    world.intake_fails(IntakeReason.NO_SUCH_VERSION, "there is no 9.9.9")
    await world.look(key)
    assert world.ready(key) == ("Failed", "True", "UpdateFailing")
    assert "there is no 9.9.9" in world.message(key)
    await world.look(key)
    assert world.children(DEPLOYMENT)[0]["spec"] == before


async def test_bundle_that_the_registry_lost_is_fetched_again_once(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.pods_are(available=0)
    world.bundle_is_missed(at="2026-01-02T00:00:00Z")
    await world.look(key)  # the Job of old cannot know better: it goes
    await world.look(key)
    jobs = world.children(JOB)
    assert len(jobs) == 1
    assert "status" not in jobs[0]
    world.bundle_arrives(at="2026-01-02T00:00:09Z", cached=False)
    created = len([write for write in world.fake.writes if write.startswith("POST")])
    await world.look(key)
    await world.look(key)
    assert len([write for write in world.fake.writes if write.startswith("POST")]) == created
    assert world.status(key)["bundle"]["digest"] == DIGEST


async def test_service_that_answers_a_moment_later_costs_no_extra_write(world: World) -> None:
    key = world.server()
    await world.look(key)
    world.bundle_arrives()
    await world.look(key)
    world.pods_are(available=1)
    world.pod(ready=True)
    await world.look(key)
    written = len(world.fake.writes)
    await world.talk()  # nobody answers yet
    await world.look(key)
    assert len(world.fake.writes) == written
    for _ in range(3):
        world.clock.jump(30)
        await world.look(key)
        await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Starting", "False", "HandshakeFailed")
    world.answers_like_a_server()
    world.clock.jump(30)
    await world.look(key)
    await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Ready", "True", "Serving")


async def test_previous_revision_is_not_scaled_down_when_it_stumbles_after_a_failed_update(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.fake.remove(JOB, JOB.key_of(world.children(JOB)[0]))
    world.server(version="9.9.9", generation=2)
    await world.look(key)
    world.intake_fails(IntakeReason.NO_SUCH_VERSION)
    await world.look(key)
    world.pods_are(available=0)
    await world.look(key)
    assert world.ready(key) == ("Failed", "False", "UpdateFailing")
    assert world.children(DEPLOYMENT)[0]["spec"]["replicas"] == 1
    world.pods_are(available=1)
    await world.look(key)
    assert world.ready(key) == ("Failed", "True", "UpdateFailing")


async def test_nothing_is_said_before_the_registry_was_looked_up_after_a_restart(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.start()
    world.registry._address, world.registry.looked = "", False
    written = len(world.fake.writes)
    await world.look(key)
    assert len(world.fake.writes) == written


async def test_registry_that_does_not_resolve_is_told(world: World) -> None:
    world.registry._address, world.registry.trouble = "", "the bundle registry x does not resolve"
    key = world.server()
    await world.look(key)
    assert world.ready(key) == ("Fetching", "False", "RegistryNotFound")
    assert world.children(DEPLOYMENT) == []


async def test_new_revision_is_not_verified_while_a_pod_of_the_old_one_could_answer(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.pod()
    world.server(generation=2, args=["--new"])
    await world.look(key)
    world.pods_are(available=1)
    await world.look(key)
    assert world.background.calls == []
    assert world.ready(key) == ("Ready", "True", "Updating")
    world.fake.remove(POD, POD.key("team", "mcp-memory-1"))
    world.pod(ready=True)
    await world.look(key)
    await world.talk()
    await world.look(key)
    assert world.ready(key) == ("Ready", "True", "Serving")


async def test_suspended_server_keeps_its_children_and_has_no_pods(world: World) -> None:
    key = world.server()
    await world.to_ready(key)
    world.server(generation=2, suspend=True)
    await world.look(key)
    assert world.ready(key) == ("Suspended", "False", "Suspended")
    assert world.children(DEPLOYMENT)[0]["spec"]["replicas"] == 0
    assert len(world.children(SERVICE)) == 1


async def test_intake_that_nobody_wants_any_more_is_deleted(world: World) -> None:
    key = world.server()
    await world.look(key)
    job = JOB.key_of(world.children(JOB)[0])
    await world.unwanted.reconcile(job)
    assert len(world.children(JOB)) == 1
    world.fake.remove(MCP_SERVER, key)
    await world.unwanted.reconcile(job)
    assert world.children(JOB) == []


async def test_spec_that_an_older_schema_let_through_is_refused_with_the_reason(world: World) -> None:
    key = world.server(source={"npm": {"package": "a;rm -rf /", "version": "1.0.0"}})
    await world.look(key)
    assert world.ready(key) == ("Failed", "False", "InvalidSpec")
    assert "npm package name" in world.message(key) or "package" in world.message(key)
    assert world.children(JOB) == []
