"""Who a client is: tokens of a mounted Secret, and tokens that an API server reviews over real TLS on loopback."""

import asyncio
import hashlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from unit.bridge.apiserver import OWN_TOKEN, Authority, FakeApiServer, failure
from vsm_runtime.bridge import auth, tokenreview
from vsm_runtime.bridge.auth import Forbidden, Refusal, TokenFiles, Unauthorized, Unavailable, authenticator
from vsm_runtime.bridge.settings import AuthMode, Settings
from vsm_runtime.bridge.tokenreview import Identity, TokenReview

ALICE, BOB, MALLORY = "alice-0123456789abcdef", "bob.~+/-0123456789==", "mallory-0123456789abc"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_without_authentication_everybody_is_nobody_in_particular() -> None:
    assert await authenticator(Settings()).identify({}) == ""


@pytest.mark.parametrize("mode", [AuthMode.TOKENS, AuthMode.TOKEN_REVIEW])
def test_authentication_without_its_settings_does_not_turn_into_none(mode: AuthMode) -> None:
    with pytest.raises(ValueError, match="lacks settings"):
        authenticator(Settings(auth=mode))


class TestHeader:
    @pytest.mark.parametrize("headers", [{}, {"authorization": ""}])
    def test_without_a_token_it_is_said_how_to_send_one(self, headers: dict[str, str]) -> None:
        with pytest.raises(Unauthorized, match="Authorization: Bearer TOKEN") as refused:
            auth.bearer_token(headers)
        assert refused.value.status == 401

    @pytest.mark.parametrize(
        "value",
        [
            "Bearer",
            "Bearer ",
            f"Basic {ALICE}",
            ALICE,
            f"Bearer {ALICE} {ALICE}",
            f"Bearer {ALICE}, Bearer {BOB}",
            "Bearer =",
            "Bearer a=b",
            "Bearer \xe9",
            "Bearer a\x00",
            f"Bearer {ALICE}\n",
            "Bearer " + "a" * 20_000,
        ],
    )
    def test_anything_else_is_no_token_and_is_not_repeated(self, value: str) -> None:
        with pytest.raises(Unauthorized, match="not of the form") as refused:
            auth.bearer_token({"authorization": value})
        assert ALICE not in str(refused.value)

    @pytest.mark.parametrize("value", [f"Bearer {BOB}", f"bearer  {BOB} ", f"BEARER {BOB}"])
    def test_scheme_has_no_case(self, value: str) -> None:
        assert auth.bearer_token({"authorization": value}) == BOB


@dataclass
class Mounted:
    """A mounted Secret: files are symlinks through ..data, which is renamed over."""

    path: Path
    generation: int = 0

    def hold(self, **tokens: str | bytes) -> None:
        self.generation += 1
        directory = self.path / f"..{self.generation}"
        directory.mkdir()
        for name, token in tokens.items():
            (directory / name).write_bytes(token if isinstance(token, bytes) else token.encode())
        for name in tokens:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(Path("..data") / name)
        (self.path / "..data_tmp").symlink_to(directory.name)
        (self.path / "..data_tmp").rename(self.path / "..data")
        for old in self.path.iterdir():
            if not old.name.startswith(".") and old.name not in tokens:
                old.unlink()


@pytest.fixture
def secret(tmp_path: Path) -> Mounted:
    path = tmp_path / "tokens"
    path.mkdir()
    return Mounted(path)


class TestTokenFiles:
    async def test_token_tells_the_client(self, secret: Mounted) -> None:
        secret.hold(alice=ALICE, bob=BOB + "\n")
        tokens = authenticator(Settings(auth=AuthMode.TOKENS, auth_tokens_dir=secret.path))
        assert await tokens.identify(bearer(ALICE)) == "alice"
        assert await tokens.identify(bearer(BOB)) == "bob"
        with pytest.raises(Unauthorized, match="not known"):
            await tokens.identify(bearer(MALLORY))

    async def test_empty_secret_refuses_everybody(self, secret: Mounted) -> None:
        with pytest.raises(Unauthorized):
            await TokenFiles(secret.path).identify(bearer(ALICE))

    async def test_missing_secret_refuses_everybody_and_is_told_once(
        self, secret: Mounted, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = Clock()
        tokens = TokenFiles(secret.path / "missing", clock=clock)
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await tokens.identify(bearer(ALICE))
            clock.now += auth.RELOAD_SECONDS
        assert caplog.text.count("cannot be read") == 1

    async def test_change_of_the_secret_counts_after_a_second(self, secret: Mounted) -> None:
        clock = Clock()
        tokens = TokenFiles(secret.path, clock=clock)
        secret.hold(alice=ALICE)
        assert await tokens.identify(bearer(ALICE)) == "alice"
        secret.hold(alice=BOB, carol=MALLORY)
        clock.now += auth.RELOAD_SECONDS
        assert await tokens.identify(bearer(BOB)) == "alice"
        assert await tokens.identify(bearer(MALLORY)) == "carol"
        with pytest.raises(Unauthorized):
            await tokens.identify(bearer(ALICE))

    async def test_unmounted_secret_takes_everybody_s_access(self, secret: Mounted) -> None:
        clock = Clock()
        tokens = TokenFiles(secret.path, clock=clock)
        secret.hold(alice=ALICE)
        assert await tokens.identify(bearer(ALICE)) == "alice"
        secret.path.rename(secret.path.with_name("away"))
        clock.now += auth.RELOAD_SECONDS
        with pytest.raises(Unauthorized):
            await tokens.identify(bearer(ALICE))

    @pytest.mark.parametrize(
        "token", ["", "short", "two words of some length", "é" * 20, b"\xff" * 20, "a" * 17_000, ALICE + "\n" + ALICE]
    )
    async def test_unusable_token_costs_its_own_client_only_and_is_not_logged(
        self, secret: Mounted, token: str | bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        secret.hold(alice=ALICE, bad=token)
        tokens = TokenFiles(secret.path)
        assert await tokens.identify(bearer(ALICE)) == "alice"
        assert "client bad is not used" in caplog.text
        assert ALICE not in caplog.text

    async def test_entry_that_leads_nowhere_costs_its_own_client_only(self, secret: Mounted) -> None:
        secret.hold(alice=ALICE)
        (secret.path / "gone").symlink_to("..data/gone")
        (secret.path / "folder").mkdir()
        os.mkfifo(secret.path / "pipe")
        assert await TokenFiles(secret.path).identify(bearer(ALICE)) == "alice"

    async def test_token_of_two_clients_is_the_first_ones(self, secret: Mounted) -> None:
        secret.hold(zoe=ALICE, alice=ALICE)
        assert await TokenFiles(secret.path).identify(bearer(ALICE)) == "alice"

    async def test_tokens_are_not_kept(self, secret: Mounted) -> None:
        secret.hold(alice=ALICE)
        tokens = TokenFiles(secret.path)
        await tokens.identify(bearer(ALICE))
        assert tokens._clients == ((hashlib.sha256(ALICE.encode()).digest(), "alice"),)


class FakeReviewer:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Identity | Refusal] = {ALICE: Identity("alice", ("team-a", "all"))}
        self.open = asyncio.Event()
        self.open.set()

    async def review(self, token: str) -> Identity | None:
        self.asked.append(token)
        await self.open.wait()
        answer = self.answers.get(token)
        if isinstance(answer, Refusal):
            raise answer
        return answer


@pytest.fixture
def reviewer() -> FakeReviewer:
    return FakeReviewer()


class TestRememberedReviews:
    async def test_good_token_is_good_for_a_minute(self, reviewer: FakeReviewer) -> None:
        clock = Clock()
        review = TokenReview(reviewer, allowed=(), clock=clock)
        for _ in range(3):
            assert await review.identify(bearer(ALICE)) == "alice"
        clock.now = 59.9
        await review.identify(bearer(ALICE))
        assert len(reviewer.asked) == 1
        clock.now = 60.0
        reviewer.answers.clear()
        with pytest.raises(Unauthorized):
            await review.identify(bearer(ALICE))
        assert len(reviewer.asked) == 2

    async def test_bad_token_is_bad_for_ten_seconds(self, reviewer: FakeReviewer) -> None:
        clock = Clock()
        review = TokenReview(reviewer, allowed=(), clock=clock)
        for now in (0.0, 9.9):
            clock.now = now
            with pytest.raises(Unauthorized):
                await review.identify(bearer(BOB))
        assert len(reviewer.asked) == 1
        clock.now = 10.0
        reviewer.answers[BOB] = Identity("bob", ())
        assert await review.identify(bearer(BOB)) == "bob"

    async def test_outage_is_not_remembered_and_lets_nobody_in(self, reviewer: FakeReviewer) -> None:
        review = TokenReview(reviewer, allowed=())
        reviewer.answers[ALICE] = Unavailable("a reason for the log")
        with pytest.raises(Unavailable, match="cannot be checked now") as refused:
            await review.identify(bearer(ALICE))
        assert refused.value.status == 503
        reviewer.answers[ALICE] = Identity("alice", ())
        assert await review.identify(bearer(ALICE)) == "alice"

    async def test_many_bad_tokens_neither_pile_up_nor_push_out_a_good_one(self, reviewer: FakeReviewer) -> None:
        review = TokenReview(reviewer, allowed=(), clock=Clock())
        await review.identify(bearer(ALICE))
        for number in range(tokenreview.MAX_CACHED + 10):
            with pytest.raises(Unauthorized):
                await review.identify(bearer(f"t{number}"))
        assert len(review._bad) == tokenreview.MAX_CACHED
        asked = len(reviewer.asked)
        await review.identify(bearer(ALICE))
        assert len(reviewer.asked) == asked

    async def test_same_token_at_the_same_time_is_one_review(self, reviewer: FakeReviewer) -> None:
        review = TokenReview(reviewer, allowed=())
        reviewer.open.clear()
        calls = [asyncio.create_task(review.identify(bearer(ALICE))) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reviewer.open.set()
        assert await asyncio.gather(*calls) == ["alice"] * 20
        assert reviewer.asked == [ALICE]

    async def test_who_hangs_up_does_not_take_the_answer_from_the_others(self, reviewer: FakeReviewer) -> None:
        review = TokenReview(reviewer, allowed=())
        reviewer.open.clear()
        first, second = (asyncio.create_task(review.identify(bearer(ALICE))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        reviewer.open.set()
        assert await second == "alice"
        assert reviewer.asked == [ALICE]

    async def test_reviews_at_once_are_bounded_and_known_tokens_are_not_affected(self, reviewer: FakeReviewer) -> None:
        review = TokenReview(reviewer, allowed=())
        await review.identify(bearer(ALICE))
        reviewer.open.clear()
        calls = [asyncio.create_task(review.identify(bearer(f"t{n}"))) for n in range(tokenreview.MAX_REVIEWS)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="at once"):
            await review.identify(bearer("one-more"))
        assert await review.identify(bearer(ALICE)) == "alice"
        reviewer.open.set()
        assert all(isinstance(e, Unauthorized) for e in await asyncio.gather(*calls, return_exceptions=True))
        assert not review._reviews

    async def test_review_without_an_end_is_given_up(
        self, reviewer: FakeReviewer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tokenreview, "REVIEW_SECONDS", 0.01)
        reviewer.open.clear()
        review = TokenReview(reviewer, allowed=())
        with pytest.raises(Unavailable):
            await review.identify(bearer(ALICE))
        assert not review._reviews

    @pytest.mark.parametrize("allowed", [("alice",), ("team-*",), ("x", "al?"), ("bob", "ali*")])
    async def test_allowed_by_name_or_group(self, reviewer: FakeReviewer, allowed: tuple[str, ...]) -> None:
        assert await TokenReview(reviewer, allowed=allowed).identify(bearer(ALICE)) == "alice"

    @pytest.mark.parametrize("allowed", [("bob",), ("team",), ("Alice",)])
    async def test_known_but_not_allowed_is_forbidden(self, reviewer: FakeReviewer, allowed: tuple[str, ...]) -> None:
        with pytest.raises(Forbidden, match="alice is not among") as refused:
            await TokenReview(reviewer, allowed=allowed).identify(bearer(ALICE))
        assert refused.value.status == 403


# -- over TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def api(authority: Authority) -> Iterator[FakeApiServer]:
    api = FakeApiServer(
        users={
            ALICE: {
                "username": "system:serviceaccount:team-a:agent",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "audiences": ["mcp", "https://kubernetes.default.svc"],
            }
        }
    )
    server = api.start(authority.server_context("127.0.0.1"))
    yield api
    api.hold.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(api: FakeApiServer, authority: Authority, tmp_path: Path) -> Settings:
    (tmp_path / "token").write_text(OWN_TOKEN + "\n")
    return Settings(
        auth=AuthMode.TOKEN_REVIEW,
        token_review_url=f"https://127.0.0.1:{api.port}",
        token_review_ca=authority.file,
        token_review_token_file=tmp_path / "token",
    )


class TestTokenReview:
    async def test_api_server_says_who_it_is(self, api: FakeApiServer, settings: Settings) -> None:
        assert await authenticator(settings).identify(bearer(ALICE)) == "system:serviceaccount:team-a:agent"
        assert [review["spec"] for review in api.reviews] == [{"token": ALICE}]

    async def test_token_that_it_does_not_accept_is_refused(self, settings: Settings) -> None:
        with pytest.raises(Unauthorized, match="does not accept"):
            await authenticator(settings).identify(bearer(MALLORY))

    async def test_audiences_are_asked_for(self, api: FakeApiServer, settings: Settings) -> None:
        await authenticator(replace(settings, token_review_audiences=("x", "mcp"))).identify(bearer(ALICE))
        assert api.reviews[0]["spec"]["audiences"] == ["x", "mcp"]

    async def test_token_for_another_audience_is_refused(self, settings: Settings) -> None:
        with pytest.raises(Unauthorized):
            await authenticator(replace(settings, token_review_audiences=("other",))).identify(bearer(ALICE))

    async def test_api_server_that_does_not_look_at_audiences_is_not_enough(
        self, api: FakeApiServer, settings: Settings
    ) -> None:
        api.knows_audiences = False
        with pytest.raises(Unauthorized):
            await authenticator(replace(settings, token_review_audiences=("mcp",))).identify(bearer(ALICE))

    async def test_group_may_be_what_is_allowed(self, settings: Settings) -> None:
        allowed = replace(settings, auth_allowed=("system:serviceaccounts",))
        assert await authenticator(allowed).identify(bearer(ALICE)) == "system:serviceaccount:team-a:agent"
        with pytest.raises(Forbidden):
            await authenticator(replace(settings, auth_allowed=("system:masters",))).identify(bearer(ALICE))

    async def test_own_token_is_read_anew(self, settings: Settings) -> None:
        review = authenticator(settings)
        assert settings.token_review_token_file is not None
        settings.token_review_token_file.write_text("expired")
        with pytest.raises(Unavailable):
            await review.identify(bearer(ALICE))
        settings.token_review_token_file.write_text(OWN_TOKEN)
        assert await review.identify(bearer(ALICE))

    async def test_same_token_at_the_same_time_is_one_request(self, api: FakeApiServer, settings: Settings) -> None:
        api.hold.clear()
        review = authenticator(settings)
        calls = [asyncio.create_task(review.identify(bearer(ALICE))) for _ in range(10)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        api.hold.set()
        assert len(set(await asyncio.gather(*calls))) == 1
        assert len(api.reviews) == 1

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            pytest.param(failure(403, "Forbidden"), "may not review tokens", id="not permitted"),
            pytest.param(failure(500, "InternalError"), "with 500", id="failing"),
            pytest.param((302, b""), "with 302", id="redirecting"),
            pytest.param((201, b"no json"), "not a TokenReview", id="no json"),
            pytest.param((201, b"[]"), "not a TokenReview", id="no object"),
            pytest.param((201, b"{}"), "not a TokenReview", id="no status"),
            pytest.param(
                (201, b'{"status": {"authenticated": true, "user": {}}}'),
                "not a TokenReview",
                id="nobody in particular",
            ),
            pytest.param((201, b"[" * 200_000), "not a TokenReview", id="nested"),
            pytest.param((201, b" " * (2 << 20)), "too large", id="too large"),
        ],
    )
    async def test_any_other_answer_lets_nobody_in_and_is_logged_without_tokens(
        self,
        api: FakeApiServer,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        answer: tuple[int, bytes],
        reason: str,
    ) -> None:
        api.instead = lambda: answer
        caplog.set_level(logging.DEBUG)
        with pytest.raises(Unavailable, match="cannot be checked now"):
            await authenticator(settings).identify(bearer(ALICE))
        assert reason in caplog.text
        assert ALICE not in caplog.text
        assert OWN_TOKEN not in caplog.text

    @pytest.mark.parametrize("status", [{"authenticated": "true"}, {"authenticated": 1}, {"authenticated": None}, {}])
    async def test_only_true_is_authenticated(
        self, api: FakeApiServer, settings: Settings, status: dict[str, object]
    ) -> None:
        status["user"] = {"username": "root"}
        api.instead = lambda: (201, json.dumps({"status": status}).encode())
        with pytest.raises(Unauthorized):
            await authenticator(settings).identify(bearer(ALICE))

    async def test_api_server_of_another_ca_is_not_told_the_token(
        self, api: FakeApiServer, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = Authority(tmp_path, "other")
        with pytest.raises(Unavailable):
            await authenticator(replace(settings, token_review_ca=other.file)).identify(bearer(ALICE))
        assert api.reviews == []
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.text

    async def test_certificate_for_another_address_is_not_accepted(
        self, api: FakeApiServer, settings: Settings
    ) -> None:
        url = f"https://localhost:{api.port}"
        with pytest.raises(Unavailable):
            await authenticator(replace(settings, token_review_url=url)).identify(bearer(ALICE))
        assert api.reviews == []

    @pytest.mark.parametrize("content", [None, "", "not a certificate"])
    async def test_unusable_ca_lets_nobody_in(
        self, settings: Settings, tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = tmp_path / "broken.crt"
        if content is not None:
            file.write_text(content)
        with pytest.raises(Unavailable):
            await authenticator(replace(settings, token_review_ca=file)).identify(bearer(ALICE))
        assert "files for asking the API server" in caplog.text

    async def test_own_token_that_no_header_can_hold_is_not_logged(
        self, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert settings.token_review_token_file is not None
        settings.token_review_token_file.write_text("se\ncret")
        with pytest.raises(Unavailable):
            await authenticator(settings).identify(bearer(ALICE))
        assert "cannot be asked" in caplog.text
        assert "cret" not in caplog.text

    async def test_nothing_that_listens_lets_nobody_in(
        self, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"https://127.0.0.1:{closed.getsockname()[1]}"
            with pytest.raises(Unavailable):
                await authenticator(replace(settings, token_review_url=url)).identify(bearer(ALICE))
        assert "cannot be asked: ConnectionRefusedError" in caplog.text
