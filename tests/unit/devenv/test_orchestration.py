"""What is recorded is removed, and nothing else; what is missing stops everything before anything is touched."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from devenv import state
from devenv.checkout import Checkout
from devenv.errors import DevenvError
from devenv.orchestration import Devenv
from devenv.progress import Progress
from devenv.settings import Settings
from devenv.state import Record
from unit.devenv.fake_commands import FakeCommands, failed


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(root=tmp_path, cache=tmp_path / "cache")


def devenv(checkout: Checkout, commands: FakeCommands, *, settings: Settings | None = None) -> Devenv:
    return Devenv(
        checkout=checkout,
        settings=settings or Settings(),
        commands=commands,
        progress=Progress(io.StringIO()),
        environ={},
    )


def test_down_without_a_record_starts_nothing(checkout: Checkout) -> None:
    commands = FakeCommands()
    devenv(checkout, commands).down()
    assert commands.started == []


def test_down_of_a_cluster_of_ours_removes_the_cluster_and_forgets_it(checkout: Checkout) -> None:
    state.write(
        checkout.state, Record("local", made_cluster=True, made_quickstart=True, made_releases=("vsm-operator",))
    )
    commands = FakeCommands()
    devenv(checkout, commands).down()
    assert commands.started == [[sys.executable, "-m", "localcluster", "down"]]
    assert state.read(checkout.state) is None


def test_a_failed_removal_is_still_on_record(checkout: Checkout) -> None:
    state.write(checkout.state, Record("local", made_cluster=True))
    commands = FakeCommands(answers_to={f"{sys.executable} -m localcluster down": failed()})
    with pytest.raises(DevenvError):
        devenv(checkout, commands).down()
    assert state.read(checkout.state) is not None


def test_down_on_somebodys_cluster_removes_only_what_was_made_there(checkout: Checkout) -> None:
    checkout.kubeconfig.parent.mkdir(parents=True)
    checkout.kubeconfig.touch()
    state.write(checkout.state, Record("context:staging", made_quickstart=True, made_releases=("vsm-operator",)))
    commands = FakeCommands()
    devenv(checkout, commands).down()
    assert len(commands.lines("kubectl delete")) == 1
    assert commands.lines("helm uninstall vsm-operator ")
    assert commands.lines("helm uninstall vsm-operator-crds") == []  # was there before
    assert not any("namespace vsm-system --ignore-not-found" in line for line in commands.lines("kubectl"))


def test_all_that_is_missing_stops_the_start_before_anything_is_made(checkout: Checkout) -> None:
    listed = "missing on this host:\n  program etcd  apt-get install etcd-server\n"
    commands = FakeCommands(
        answers_to={f"{sys.executable} -m localcluster prerequisites": failed(listed)}, present={"apt-get"}
    )
    with pytest.raises(DevenvError, match=r"(?s)buildah.*mmdebstrap.*etcd-server"):
        devenv(checkout, commands, settings=Settings(cluster="local")).up()
    assert state.read(checkout.state) is None
    assert commands.lines("apt-get") == []


def test_a_failure_to_check_prerequisites_is_not_a_clean_bill(checkout: Checkout) -> None:
    commands = FakeCommands(answers_to={f"{sys.executable} -m localcluster prerequisites": failed("Traceback: boom")})
    with pytest.raises(DevenvError, match="boom"):
        devenv(checkout, commands, settings=Settings(cluster="local")).prepare()


def test_the_record_is_there_before_the_cluster(checkout: Checkout) -> None:
    commands = FakeCommands(answers_to={f"{sys.executable} -m localcluster up": failed("killed")})
    subject = devenv(checkout, commands, settings=Settings(cluster="local"))
    with pytest.raises(DevenvError, match="killed"):
        subject.install(subject.choose())
    assert state.read(checkout.state) == Record("local", made_cluster=True)


def test_an_unreadable_record_is_said_and_not_ignored(checkout: Checkout) -> None:
    checkout.state.mkdir(parents=True)
    (checkout.state / "made.json").write_text("{")
    with pytest.raises(DevenvError, match="not readable"):
        devenv(checkout, FakeCommands()).down()
