"""Nobody is asked what belongs to the call of somebody else."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from unit.bridge.rig import DEADLINE_SECONDS, HEADERS, Rig, answer_of, modern

CHILD = [sys.executable, str(Path(__file__).with_name("asks_for_another.py"))]
TOKENS = {"ada": "token-of-ada-0123456789", "bob": "token-of-bob-0123456789"}
ELICITATION = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    for name, token in TOKENS.items():
        (tmp_path / name).write_text(token)
    rig = Rig()
    try:
        yield rig.start(CHILD, bridge={"AUTH": "tokens", "AUTH_TOKENS_DIR": str(tmp_path)}).ready()
    finally:
        rig.stop()


async def _call(rig: Rig, who: str, tool: str) -> Any:
    message, headers = modern("tools/call", {"name": tool, "arguments": {}}, **ELICITATION)
    bearer = {"Authorization": f"Bearer {TOKENS[who]}"}
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False) as http:
        return answer_of(await http.post(rig.url, json=message, headers={**HEADERS, **headers, **bearer}))


async def test_a_late_question_reaches_nobody_who_has_not_caused_it(rig: Rig) -> None:
    first = await _call(rig, "ada", "ask")
    assert "the first question of ask" in str(first)
    second = await _call(rig, "bob", "answer")
    assert "a secret of ask" not in str(second)
    assert second["result"]["content"] == [{"type": "text", "text": "refused"}]
