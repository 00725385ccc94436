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
