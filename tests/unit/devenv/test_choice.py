"""Which cluster is chosen, why, and what is never chosen silently."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from devenv.choice import Choice, Engine, choose
from devenv.errors import DevenvError
from devenv.state import Record

NOTHING: tuple[Engine, ...] = ()


def chosen(
    wanted: str = "",
    *,
    engines: Sequence[Engine] = NOTHING,
    earlier: Record | None = None,
    asked: list[str] | None = None,
) -> Choice:
    asked = [] if asked is None else asked

    def answers(engine: Engine) -> bool:
        asked.append(engine)
        return engine in engines

    def contexts() -> Sequence[str]:
        asked.append("contexts")
        return ["staging", "production"]

    return choose(wanted, earlier=earlier, engine_answers=answers, contexts=contexts)


def test_without_an_engine_the_cluster_is_local_and_the_reason_says_why() -> None:
    choice = chosen()
    assert choice.kind == "local"
    assert "neither Docker nor Podman answers" in choice.reason


def test_docker_is_asked_first_and_its_answer_means_kind() -> None:
    choice = chosen(engines=("docker", "podman"))
    assert (choice.kind, choice.engine) == ("kind", "docker")
    assert "docker answers" in choice.reason


def test_podman_serves_when_docker_does_not_answer() -> None:
    assert chosen(engines=("podman",)).engine == "podman"


def test_an_existing_context_is_not_even_looked_at_unless_it_is_named() -> None:
    asked: list[str] = []
    chosen(asked=asked)
    assert "contexts" not in asked


def test_a_named_context_is_used() -> None:
    choice = chosen("context:staging", engines=("docker",))
    assert (choice.kind, choice.name, choice.wanted) == ("context", "staging", "context:staging")


def test_an_unknown_context_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(DevenvError, match="no context 'prod'; it has: staging, production"):
        chosen("context:prod")


def test_kind_by_force_without_an_engine_is_refused() -> None:
    with pytest.raises(DevenvError, match="neither answers"):
        chosen("kind")


def test_local_by_force_asks_no_engine() -> None:
    asked: list[str] = []
    assert chosen("local", engines=("docker",), asked=asked).kind == "local"
    assert asked == []


def test_an_engine_that_appears_later_does_not_move_an_existing_checkout() -> None:
    choice = chosen(engines=("docker",), earlier=Record("local", made_cluster=True))
    assert choice.kind == "local"
    assert "earlier `make up`" in choice.reason


def test_a_context_used_earlier_is_used_again_and_still_has_to_exist() -> None:
    assert chosen(earlier=Record("context:staging")).name == "staging"
    with pytest.raises(DevenvError, match="no context"):
        chosen(earlier=Record("context:gone"))


def test_another_cluster_than_the_one_in_use_is_refused_until_it_is_down() -> None:
    with pytest.raises(DevenvError, match="run `make down` before"):
        chosen("kind", engines=("docker",), earlier=Record("local", made_cluster=True))
