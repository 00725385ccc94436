import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from unit.intake.kit import Body
from vsm_operator.domain.intake import IntakeReason
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.http import ATTEMPTS, Budget, Registry

CONTENT = b"archive" * 100
DIGEST = hashlib.sha512(CONTENT).digest()


def registry(answer: Callable[[httpx.Request], httpx.Response], url: str = "https://registry.invalid/npm") -> Registry:
    return Registry(url, transport=httpx.MockTransport(answer), sleep=lambda _: None)


def download(to: Path, http: Registry, *, digest: bytes = DIGEST, max_bytes: int = 10**6) -> int | None:
    url = "https://registry.invalid/a.tgz"
    return http.download(url, to, algorithm="sha512", digest=digest, budget=Budget(max_bytes), what="s → a@1")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_answer_is_tried_again(status: int) -> None:
    answers = iter([httpx.Response(status)] * (ATTEMPTS - 1) + [httpx.Response(200, content=b"{}")])
    document = registry(lambda _: next(answers)).get("https://registry.invalid/a", accept="*/*")
    assert document is not None
    assert document.body == b"{}"


def test_a_lasting_outage_is_an_unreachable_registry_after_all_attempts() -> None:
    seen = []
    http = registry(lambda request: (seen.append(request), httpx.Response(503))[1])
    with pytest.raises(IntakeError, match="answered 503") as caught:
        http.get("https://registry.invalid/a", accept="*/*")
    assert caught.value.reason is IntakeReason.REGISTRY_UNREACHABLE
    assert len(seen) == ATTEMPTS


@pytest.mark.parametrize("status", [400, 401, 403, 418])
def test_a_refusal_is_final(status: int) -> None:
    seen = []
    http = registry(lambda request: (seen.append(request), httpx.Response(status))[1])
    with pytest.raises(IntakeError, match=f"answered {status}"):
        http.get("https://registry.invalid/a", accept="*/*")
    assert len(seen) == 1


def test_absence_is_an_answer() -> None:
    assert registry(lambda _: httpx.Response(404)).get("https://registry.invalid/a", accept="*/*") is None


def test_no_connection_is_an_unreachable_registry_that_names_the_cause() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("name or service not known", request=request)

    with pytest.raises(IntakeError, match="name or service not known") as caught:
        registry(answer).get("https://registry.invalid/a", accept="*/*")
    assert caught.value.reason is IntakeReason.REGISTRY_UNREACHABLE


def test_credentials_reach_the_registry_and_nobody_else_and_no_message() -> None:
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("authorization")
        return httpx.Response(403)

    http = registry(answer, "https://user:hunter2@registry.invalid/npm")
    for host in ("registry.invalid", "files.invalid"):
        with pytest.raises(IntakeError) as caught:
            http.get(f"https://{host}/a", accept="*/*")
        assert "hunter2" not in caught.value.message
    assert http.url == "https://registry.invalid/npm"
    basic = "Basic " + base64.b64encode(b"user:hunter2").decode()
    assert seen == {"registry.invalid": basic, "files.invalid": None}


def test_a_redirect_to_another_host_carries_no_credentials() -> None:
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("authorization")
        if request.url.host == "registry.invalid":
            return httpx.Response(302, headers={"location": "https://files.invalid/a"})
        return httpx.Response(200)

    registry(answer, "https://user:hunter2@registry.invalid").get("https://registry.invalid/a", accept="*/*")
    assert seen["registry.invalid"] is not None
    assert seen["files.invalid"] is None


def test_a_document_beyond_its_bound_is_not_read_to_the_end() -> None:
    http = registry(lambda _: httpx.Response(200, content=b"x" * 1000))
    with pytest.raises(IntakeError, match="more than 999 bytes"):
        http.get("https://registry.invalid/a", accept="*/*", max_bytes=999)


def test_a_download_with_the_right_hash_is_kept(tmp_path: Path) -> None:
    assert download(tmp_path / "a", registry(lambda _: httpx.Response(200, stream=Body(CONTENT)))) == len(CONTENT)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_download_with_another_hash_is_an_integrity_mismatch_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="s → a@1") as caught:
        download(tmp_path / "a", registry(lambda _: httpx.Response(200, stream=Body(CONTENT + b"!"))))
    assert caught.value.reason is IntakeReason.INTEGRITY_MISMATCH
    assert not (tmp_path / "a").exists()


def test_a_download_that_breaks_off_starts_again(tmp_path: Path) -> None:
    bodies = iter([Body(CONTENT[:100], broken=True), Body(CONTENT)])
    assert download(tmp_path / "a", registry(lambda _: httpx.Response(200, stream=next(bodies)))) == len(CONTENT)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_download_that_does_not_exist_is_none(tmp_path: Path) -> None:
    assert download(tmp_path / "a", registry(lambda _: httpx.Response(404))) is None


def test_downloads_share_one_budget(tmp_path: Path) -> None:
    http = registry(lambda _: httpx.Response(200, stream=Body(CONTENT)))
    with pytest.raises(IntakeError) as caught:
        download(tmp_path / "a", http, max_bytes=len(CONTENT) - 1)
    assert caught.value.reason is IntakeReason.BUNDLE_TOO_LARGE
    budget = Budget(10)
    budget.take(10, "a")
    with pytest.raises(IntakeError, match="at b"):
        budget.take(1, "b")
