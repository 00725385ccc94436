"""What leaves the client: requests, errors, and never a foreign exception."""

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.fake_api import FakeApiServer, answered, failure
from support.fake_clock import FakeClock
from vsm_operator import errors
from vsm_operator.kube.auth import Credentials, Tokens
from vsm_operator.kube.client import TRANSPORT_ERRORS, Call, KubeApi
from vsm_operator.kube.kinds import DEPLOYMENT, POD
from vsm_operator.kube.limits import TokenBucket

KEY = DEPLOYMENT.key("ns", "web")
MANIFEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {"replicas": 1},
}

CALLS: dict[str, Callable[[KubeApi], Any]] = {
    "get": lambda api: api.get(DEPLOYMENT, KEY),
    "list": lambda api: api.list(DEPLOYMENT),
    "apply": lambda api: api.apply(DEPLOYMENT, MANIFEST),
    "apply_status": lambda api: api.apply_status(DEPLOYMENT, MANIFEST),
    "create": lambda api: api.create(DEPLOYMENT, MANIFEST),
    "replace": lambda api: api.replace(DEPLOYMENT, MANIFEST),
    "merge_patch": lambda api: api.merge_patch(DEPLOYMENT, KEY, {}),
    "json_patch": lambda api: api.json_patch(DEPLOYMENT, KEY, []),
    "delete": lambda api: api.delete(DEPLOYMENT, KEY, uid="u1"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def answering(response: httpx.Response) -> KubeApi:
    server = FakeApiServer(DEPLOYMENT)
    server.fault = lambda _: response
    return server.api()


HTTPX_ERRORS = [
    found for name in httpx.__all__ if inspect.isclass(found := getattr(httpx, name)) and issubclass(found, Exception)
]


def test_every_exception_of_httpx_is_known_to_the_client() -> None:
    assert HTTPX_ERRORS
    assert [error for error in HTTPX_ERRORS if not issubclass(error, TRANSPORT_ERRORS)] == []


@every_call
@pytest.mark.parametrize("error", [*HTTPX_ERRORS, OSError], ids=lambda error: error.__name__)
async def test_transport_errors_do_not_leak(call: Callable[[KubeApi], Any], error: type[Exception]) -> None:
    server = FakeApiServer(DEPLOYMENT)

    def fail(request: httpx.Request) -> httpx.Response:
        if issubclass(error, httpx.HTTPStatusError):
            raise error("no", request=request, response=httpx.Response(500))
        if error in {httpx.StreamConsumed, httpx.ResponseNotRead, httpx.RequestNotRead, httpx.StreamClosed}:
            raise error()
        raise error("no")

    server.fault = fail
    async with server.api() as api:
        with pytest.raises(errors.Unreachable, match="no answer from the API server") as caught:
            await call(api)
    assert caught.value.__cause__ is not None


@every_call
@pytest.mark.parametrize(
    ("response", "want"),
    [
        pytest.param(failure(403, "Forbidden", "no role"), errors.Forbidden, id="403"),
        pytest.param(failure(409, "Conflict", "the object has been modified"), errors.Conflict, id="409"),
        pytest.param(failure(410, "Expired", "too old"), errors.Conflict, id="410"),
        pytest.param(failure(422, "Invalid", "spec.replicas"), errors.InvalidSpec, id="422"),
        pytest.param(failure(400, "BadRequest", "unknown field"), errors.InvalidSpec, id="400"),
        pytest.param(failure(429, "TooManyRequests", "slow down"), errors.Throttled, id="429"),
        pytest.param(failure(500, "InternalError", "etcd"), errors.ServerError, id="500"),
        pytest.param(httpx.Response(502, text="<html>"), errors.ServerError, id="502 without a Status"),
        pytest.param(failure(504, "Timeout", "etcd"), errors.ServerError, id="504"),
        pytest.param(failure(401, "Unauthorized", "who?"), errors.Unreachable, id="401 twice"),
        pytest.param(httpx.Response(200, text="<html>"), errors.ServerError, id="200 that is no JSON"),
        pytest.param(httpx.Response(200, json=[1]), errors.ServerError, id="200 that is no object"),
    ],
)
async def test_answers_become_errors_of_ours(
    call: Callable[[KubeApi], Any], response: httpx.Response, want: type[Exception]
) -> None:
    async with answering(response) as api:
        with pytest.raises(want) as caught:
            await call(api)
    assert type(caught.value) is want


@pytest.mark.parametrize("verb", ["apply", "apply_status", "create", "replace", "merge_patch", "json_patch"])
async def test_not_found_on_a_write_is_a_conflict(verb: str) -> None:
    async with answering(failure(404, "NotFound", 'namespaces "ns" not found')) as api:
        with pytest.raises(errors.Conflict, match='namespaces "ns" not found'):
            await CALLS[verb](api)


async def test_not_found_on_a_read_is_none_and_on_a_deletion_success() -> None:
    async with answering(failure(404, "NotFound", "no")) as api:
        assert await api.get(DEPLOYMENT, KEY) is None
        assert await api.delete(DEPLOYMENT, KEY, uid="u1") is None


async def test_a_collection_that_is_not_there_is_not_served() -> None:
    async with answering(failure(404, "NotFound", "no")) as api:
        with pytest.raises(errors.NotServed, match=r"does not serve deployments\.apps/v1"):
            await api.list(DEPLOYMENT)


async def test_deleting_a_namesake_succeeds_without_touching_it() -> None:
    server = FakeApiServer(DEPLOYMENT)
    server.put(DEPLOYMENT, MANIFEST)
    async with server.api() as api:
        assert await api.delete(DEPLOYMENT, KEY, uid="another") is None
    assert KEY in server.objects


async def test_an_object_held_by_finalizers_is_returned_by_its_deletion() -> None:
    held = {**MANIFEST, "metadata": {**MANIFEST["metadata"], "deletionTimestamp": "2030-01-01T00:00:00Z"}}
    async with answering(answered(held)) as api:
        assert await api.delete(DEPLOYMENT, KEY, uid="u1") == held


async def test_a_terminating_namespace_is_a_conflict_and_not_a_missing_role() -> None:
    status = {"reason": "Forbidden", "message": "m", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    async with answering(httpx.Response(403, json=status)) as api:
        with pytest.raises(errors.Conflict):
            await api.apply(DEPLOYMENT, MANIFEST)


async def test_a_name_that_exists_is_told_apart_from_other_conflicts() -> None:
    async with answering(failure(409, "AlreadyExists", "exists")) as api:
        with pytest.raises(errors.AlreadyExists):
            await api.create(DEPLOYMENT, MANIFEST)


async def test_messages_say_what_failed_on_which_object() -> None:
    async with answering(failure(403, "Forbidden", "cannot patch")) as api:
        with pytest.raises(errors.Forbidden, match=r"^apply Deployment ns/web: cannot patch$"):
            await api.apply(DEPLOYMENT, MANIFEST)


async def test_messages_are_bounded() -> None:
    async with answering(failure(422, "Invalid", "x" * 100_000)) as api:
        with pytest.raises(errors.InvalidSpec) as caught:
            await api.apply(DEPLOYMENT, MANIFEST)
    assert len(caught.value.message) <= 600


@pytest.mark.parametrize(
    ("header", "want"),
    [
        pytest.param({"Retry_After": "7"}, 7.0, id="seconds"),
        pytest.param({}, 1.0, id="absent"),
        pytest.param({"Retry_After": "soon"}, 1.0, id="nonsense"),
    ],
)
async def test_retry_after_pauses_every_request(header: dict[str, str], want: float) -> None:
    clock = FakeClock()
    limiter = TokenBucket(rate_per_second=100, burst=100, monotonic=clock.monotonic, sleep=clock.sleep)
    server = FakeApiServer(DEPLOYMENT)
    server.fault = lambda _: failure(429, "TooManyRequests", "slow down", **header)
    async with server.api(limiter=limiter) as api:
        with pytest.raises(errors.Throttled) as caught:
            await api.get(DEPLOYMENT, KEY)
        assert caught.value.retry_after_seconds == want
        server.fault = lambda _: None
        other = asyncio.create_task(api.get(DEPLOYMENT, KEY))
        await clock.advance(want - 0.01)
        assert not other.done()
        await clock.advance(0.02)
        assert await other is None


async def test_a_refused_token_is_read_again_once() -> None:
    tokens = iter(["Bearer old", "Bearer new", "Bearer never"])
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return failure(401, "Unauthorized", "no") if seen[-1] == "Bearer old" else answered({"items": []})

    credentials = Credentials(server="https://cluster.test", tokens=Tokens(lambda: next(tokens)))
    async with KubeApi(credentials, transport=httpx.MockTransport(handle)) as api:
        await api.list(POD)
        await api.list(POD)
    assert seen == ["Bearer old", "Bearer new", "Bearer new"]


async def test_a_token_is_read_again_every_minute() -> None:
    clock = FakeClock()
    reads: list[float] = []

    def read() -> str:
        reads.append(clock.monotonic())
        return "Bearer t"

    tokens = Tokens(read, monotonic=clock.monotonic)
    for _ in range(4):
        await tokens.current()
        clock.jump(30)
    assert len(reads) == 2


async def test_pages_are_followed_to_the_end_and_carry_kind_and_version() -> None:
    server = FakeApiServer(POD)
    for number in range(1203):
        server.put(POD, {"metadata": {"name": f"p{number:04}", "namespace": "ns", "labels": {"a": "b"}}})
    server.put(POD, {"metadata": {"name": "other", "namespace": "ns"}})
    async with server.api() as api:
        sizes = [len(page.items) async for page in api.pages(POD, selector="a=b")]
        listing = await api.list(POD, namespace="ns", selector="a=b")
    assert sizes == [500, 500, 203]
    assert len(listing.items) == 1203
    assert listing.resource_version == server.version
    assert {(item["kind"], item["apiVersion"]) for item in listing.items} == {("Pod", "v1")}


async def test_requests_say_who_sends_them_and_carry_the_parameters_of_an_apply() -> None:
    server = FakeApiServer(DEPLOYMENT)
    async with server.api(holder="pod-1_ab") as api:
        await api.apply(DEPLOYMENT, MANIFEST, manager="m", force=False)
    (request,) = server.requests
    assert request.headers["User-Agent"].startswith("vsm-operator/")
    assert request.headers["User-Agent"].endswith(" (pod-1_ab)")
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert dict(request.url.params) == {"fieldManager": "m", "force": "false"}
    assert json.loads(request.content) == MANIFEST


async def test_every_request_is_counted_with_its_code_and_writes_apart() -> None:
    server = FakeApiServer(DEPLOYMENT)
    calls: list[Call] = []
    async with server.api(observe=calls.append) as api:
        await api.apply(DEPLOYMENT, MANIFEST)
        await api.apply_status(DEPLOYMENT, {**MANIFEST, "status": {}})
        await api.get(DEPLOYMENT, DEPLOYMENT.key("ns", "other"))
        assert api.writes == api.unlimited().writes == 2
    assert [(call.verb, call.resource, call.code, call.writes) for call in calls] == [
        ("apply", "deployments", 200, True),
        ("apply", "deployments/status", 200, True),
        ("get", "deployments", 404, False),
    ]


class Broken:
    def valid(self) -> bool:
        return False


@pytest.mark.parametrize("verb", sorted(set(CALLS) - {"get", "list"}))
async def test_a_fenced_client_sends_no_write(verb: str) -> None:
    server = FakeApiServer(DEPLOYMENT)
    async with server.api() as api:
        with pytest.raises(errors.Fenced):
            await CALLS[verb](api.fenced(Broken()))
        await api.fenced(Broken()).list(DEPLOYMENT)
    assert server.writes == []


async def test_the_fence_is_asked_after_the_wait_for_the_limiter() -> None:
    clock = FakeClock()
    limiter = TokenBucket(rate_per_second=1, burst=1, monotonic=clock.monotonic, sleep=clock.sleep)
    server = FakeApiServer(DEPLOYMENT)

    class Expiring:
        def valid(self) -> bool:
            return clock.monotonic() < 1000.5

    async with server.api(limiter=limiter) as api:
        fenced = api.fenced(Expiring())
        await fenced.apply(DEPLOYMENT, MANIFEST)
        late = asyncio.create_task(fenced.apply(DEPLOYMENT, MANIFEST))
        await clock.advance(2)
        with pytest.raises(errors.Fenced):
            await late
    assert len(server.writes) == 1
