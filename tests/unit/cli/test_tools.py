"""`vsmctl tools`: what a person sees before admitting anything, and what is written when they do."""

from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from support.fake_api import FakeApiServer
from vsm_operator.api.v1alpha1 import ADMISSION, ADMIT_ANNOTATION, MCP_SERVER
from vsm_operator.cli import common
from vsm_operator.cli.app import app
from vsm_operator.cli.errors import UserError
from vsm_operator.kube.auth import Credentials

ADMITTED, LISTED, OTHER = ("sha256:" + digit * 64 for digit in "abc")
KEY = MCP_SERVER.key("team", "memory")


class Terminal:
    """A cluster with one server, and somebody at the terminal."""

    def __init__(self) -> None:
        self.fake = FakeApiServer(MCP_SERVER)
        self.server()

    def server(self, *, pin: str = "TrustOnFirstUse", **tools: Any) -> None:
        listed = {"count": 2, "names": ["read", "write"], "hash": LISTED, "pinnedHash": ADMITTED} | tools
        condition = {
            "type": "ToolsUnchanged",
            "status": "False",
            "reason": "ToolsChanged",
            "message": "not the admitted ones",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        body = {
            "metadata": {"name": KEY.name, "namespace": KEY.namespace},
            "spec": {"source": {"npm": {"package": "memory", "version": "1.0.0"}}, "toolPin": pin},
            "status": {"phase": "Degraded", "tools": listed, "conditions": [condition]},
        }
        self.fake.put(MCP_SERVER, body)

    def types(self, *words: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, ["tools", *words, "-n", "team"], input=answer)

    @property
    def admission(self) -> str | None:
        annotations: dict[str, str] = self.fake.objects[KEY]["metadata"].get("annotations", {})
        return annotations.get(ADMIT_ANNOTATION)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    found = Terminal()
    monkeypatch.setattr(common, "load_credentials", lambda **_: Credentials(server="https://cluster.test"))
    monkeypatch.setattr(common, "KubeApi", lambda _: found.fake.api())
    return found


def test_show_prints_both_hashes_the_names_and_what_is_said_of_them(terminal: Terminal) -> None:
    said = terminal.types("show", "memory")
    assert said.exit_code == 0
    for text in (LISTED, ADMITTED, "  read\n", "Degraded", "ToolsChanged: not the admitted ones"):
        assert text in said.stdout
    assert terminal.fake.writes == []


def test_admit_shows_asks_and_then_writes_the_hash_that_was_shown(terminal: Terminal) -> None:
    said = terminal.types("admit", "memory", answer="y\n")
    assert said.exit_code == 0
    assert said.stdout.index(f"lists     {LISTED}") < said.stdout.index(f"Admit {LISTED}?")
    assert terminal.admission == LISTED
    assert len(terminal.fake.writes) == 1


def test_admit_that_is_not_confirmed_writes_nothing(terminal: Terminal) -> None:
    assert terminal.types("admit", "memory", answer="n\n").exit_code == 1
    assert terminal.types("admit", "memory", answer="").exit_code == 1
    assert terminal.fake.writes == []


def test_named_hash_is_admitted_without_a_question_and_a_difference_is_told(terminal: Terminal) -> None:
    said = terminal.types("admit", "memory", "--hash", OTHER)
    assert said.exit_code == 0
    assert terminal.admission == OTHER
    assert "not what the server lists now" in said.stdout


def test_yes_admits_without_a_question(terminal: Terminal) -> None:
    assert terminal.types("admit", "memory", "--yes").exit_code == 0
    assert terminal.admission == LISTED


def test_hash_that_was_admitted_once_can_be_admitted_again(terminal: Terminal) -> None:
    """For an earlier version, say: a value that does not change would say nothing."""
    terminal.types("admit", "memory", "--yes")
    terminal.types("admit", "memory", "--yes")
    first = terminal.admission
    assert first is not None
    assert first.startswith(f"{LISTED}@")
    assert ADMISSION.fullmatch(first)


@pytest.mark.parametrize("digest", ["latest", "sha256:abc", LISTED.upper(), f"{LISTED}\n", ""])
def test_hash_that_is_none_is_wrong_usage(terminal: Terminal, digest: str) -> None:
    assert terminal.types("admit", "memory", "--hash", digest).exit_code == 2
    assert terminal.fake.writes == []


def test_what_is_admitted_already_costs_no_write(terminal: Terminal) -> None:
    terminal.server(pinnedHash=LISTED)
    said = terminal.types("admit", "memory")
    assert said.exit_code == 0
    assert "admitted already" in said.stdout
    assert terminal.fake.writes == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"pin": "Off"}, "spec.toolPin of memory is Off", id="nothing is compared"),
        pytest.param({"hash": ""}, "has not listed its tools yet", id="nothing is listed"),
    ],
)
def test_admission_that_could_mean_nothing_is_refused_with_what_to_do(
    terminal: Terminal, change: dict[str, str], why: str
) -> None:
    terminal.server(**change)
    refusal = terminal.types("admit", "memory", "--yes").exception
    assert isinstance(refusal, UserError)
    assert why in refusal.message
    assert refusal.advice
    assert terminal.fake.writes == []


def test_server_that_is_not_there_is_named(terminal: Terminal) -> None:
    refusal = terminal.types("show", "absent").exception
    assert isinstance(refusal, UserError)
    assert "no McpServer absent in namespace team" in refusal.message


def test_names_cannot_move_the_cursor_of_a_terminal(terminal: Terminal) -> None:
    terminal.server(names=["read\x1b[2J\x1b[H", "a\rb", "\u202egnp.exe"], count=300)
    said = terminal.types("show", "memory").stdout
    assert not {"\x1b", "\r", "\u202e"} & set(said)
    assert "and 297 more" in said
