"""The key for the admin ports: made once, read ever after, and never shown."""

import base64
import hashlib
import hmac

import httpx
import pytest

from support.fake_api import FakeApiServer, failure
from vsm_operator.controllers.adminkey import AdminKey
from vsm_operator.kube.kinds import SECRET
from vsm_operator.permissions import ADMIN_KEY_SECRET

NAME = SECRET.key("vsm-system", ADMIN_KEY_SECRET)
KEY = b"0123456789abcdef0123456789abcdef"


class World:
    def __init__(self) -> None:
        self.fake = FakeApiServer(SECRET)
        self.news = 0
        self.key = self.replica()

    def replica(self) -> AdminKey:
        return AdminKey(self.fake.api(), namespace="vsm-system", changed=self.changed)

    def changed(self) -> None:
        self.news += 1

    def stored(self, data: dict[str, str]) -> None:
        self.fake.put(SECRET, {"metadata": {"name": NAME.name, "namespace": NAME.namespace}, "data": data})

    def as_the_api_server_stores_it(self) -> None:
        """It turns stringData into data."""
        written = self.fake.objects[NAME].pop("stringData")
        self.fake.objects[NAME]["data"] = {name: base64.b64encode(v.encode()).decode() for name, v in written.items()}


@pytest.fixture
def world() -> World:
    return World()


async def test_key_is_made_once_and_found_by_every_other_replica(world: World) -> None:
    assert await world.key.look()
    world.as_the_api_server_stores_it()
    other = world.replica()
    assert await other.look()
    assert other.token("uid") == world.key.token("uid")
    assert len(world.fake.writes) == 1
    assert world.fake.objects[NAME]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "vsm-operator"


async def test_key_that_is_there_is_left_as_it_is(world: World) -> None:
    world.stored({"key": base64.b64encode(KEY).decode()})
    assert await world.key.look()
    assert world.fake.writes == []
    assert world.key.token("uid") == hmac.new(KEY, b"uid", hashlib.sha256).hexdigest()
    assert world.key.token_sha256("uid") == hashlib.sha256(world.key.token("uid").encode()).hexdigest()


async def test_token_of_one_server_is_not_that_of_another(world: World) -> None:
    await world.key.look()
    assert world.key.token("one") != world.key.token("two")


async def test_replica_that_comes_second_takes_the_key_of_the_first(world: World) -> None:
    def slow(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            world.fake.fault = lambda _: None
            world.stored({"key": base64.b64encode(KEY).decode()})
            return failure(409, "AlreadyExists", "already exists")
        return None

    world.fake.fault = slow
    assert await world.key.look()
    assert world.key.token("uid") == hmac.new(KEY, b"uid", hashlib.sha256).hexdigest()


@pytest.mark.parametrize("data", [{}, {"key": ""}, {"key": "c2hvcnQ="}, {"key": "not base64!"}, {"other": "x"}])
async def test_secret_without_a_usable_key_is_neither_used_nor_replaced(world: World, data: dict[str, str]) -> None:
    world.stored(data)
    assert not await world.key.look()
    assert "delete it" in world.key.trouble
    assert world.fake.writes == []
    with pytest.raises(ValueError, match="not known yet"):
        world.key.token("uid")


async def test_missing_right_is_trouble_that_is_told_once_and_passes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.fake.fault = lambda _: failure(403, "Forbidden", "no right to read Secrets")
    assert not await world.key.look()
    assert not await world.key.look()
    assert "no right to read Secrets" in world.key.trouble
    assert world.news == 1
    world.fake.fault = lambda _: None
    assert await world.key.look()
    assert (world.key.trouble, world.news) == ("", 2)


async def test_key_is_in_no_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await world.key.look()
    key = world.fake.objects[NAME]["stringData"]["key"]
    assert "made the key" in caplog.text
    assert key not in caplog.text
    assert key not in repr(world.key)
    assert not any(key in str(vars(record)) for record in caplog.records)
