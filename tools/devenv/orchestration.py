"""`up`, `down` and what `test` needs: steps in their order, one line each, and no work when there is none to do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from devenv import charts, choice, clusters, host, prerequisites, state
from devenv.checkout import Checkout
from devenv.choice import Choice, Engine
from devenv.commands import Commands
from devenv.errors import CommandError, DevenvError
from devenv.images import OPERATOR, RUNTIME, Image
from devenv.prerequisites import Missing
from devenv.progress import Progress
from devenv.quickstart import Quickstart
from devenv.rollout import Rollout
from devenv.settings import Settings
from devenv.venv import Environment


@dataclass(frozen=True, slots=True)
class Devenv:
    """Everything that the verbs need, composed once."""

    checkout: Checkout
    settings: Settings
    commands: Commands
    progress: Progress
    environ: Mapping[str, str]

    @property
    def environment(self) -> Environment:
        return Environment(checkout=self.checkout, commands=self.commands, environ=self.environ)

    def up(self) -> None:
        """A cluster with the operator and the first server on it."""
        self._first_server(self.install(self.prepare()))

    def prepare(self) -> Choice:
        """All that has to be on this machine, and the choice of a cluster; the cluster itself is not touched."""
        chosen = self.choose()
        self.progress.say(f"cluster: {chosen.wanted}, because {chosen.reason}")
        self._require(self.missing(chosen))
        with self.progress.step("development environment") as step:
            step.outcome = "made" if self.environment.ensure() else "unchanged"
        return chosen

    def install(self, chosen: Choice) -> clusters.Cluster:
        """The chosen cluster, up, with the operator of this tree running on it."""
        cluster = self._cluster_up(chosen)
        images: dict[str, Image] = {}
        for source in (OPERATOR, RUNTIME):
            with self.progress.step(f"image {source.name}") as step:
                images[source.name], step.outcome = cluster.provide(source)
        self._install_charts(cluster, images)
        return cluster

    def down(self) -> None:
        """Removes what the record says is ours."""
        record = state.read(self.checkout.state)
        if record is None:
            self.progress.say("nothing to remove: this checkout has made nothing")
            return
        cluster = self._cluster(self._choice_of(record))
        if record.made_cluster:
            self.progress.say(f"removing the {record.cluster} cluster")
            cluster.down()
        else:
            self._remove_from(cluster, record)
            self.checkout.kubeconfig.unlink(missing_ok=True)
        state.forget(self.checkout.state)

    def choose(self) -> Choice:
        """See `choice`; an engine answers when its `info` does."""
        return choice.choose(
            self.settings.cluster,
            earlier=state.read(self.checkout.state),
            engine_answers=lambda engine: self.commands.answers([engine, "info"]),
            contexts=self._contexts,
        )

    def missing(self, chosen: Choice) -> list[Missing]:
        """All that this machine lacks for `up` with the chosen cluster."""
        found = prerequisites.for_development(prerequisites.find_python(self.commands))
        if chosen.kind == "local":
            found += prerequisites.for_images(self.commands.which, exists=os.path.exists)
            minor = ["--kubernetes", self.settings.kubernetes] if self.settings.kubernetes else []
            try:
                self.commands.run(clusters.localcluster("prerequisites", *minor), environment=self._localcluster)
            except CommandError as error:
                listed = prerequisites.parse(error.output)
                if not listed:
                    raise
                found += listed
        elif chosen.kind == "context" and self.commands.which("kubectl") is None:
            found.append(Missing("program kubectl", "PYTHONPATH=tools python3 -m localcluster tools"))
        return found

    def install_prerequisites(self) -> None:
        """`make prerequisites`."""
        missing = self.missing(self.choose())
        with self.progress.step("prerequisites") as step:
            step.outcome = f"{len(missing)} installed" if missing else "nothing is missing"
            prerequisites.install(missing, commands=self.commands, is_root=os.geteuid() == 0)

    def _require(self, missing: Sequence[Missing]) -> None:
        if not missing:
            return
        if not self.settings.install_prerequisites:
            raise DevenvError(prerequisites.explain(missing))
        with self.progress.step("prerequisites") as step:
            prerequisites.install(missing, commands=self.commands, is_root=os.geteuid() == 0)
            step.outcome = f"{len(missing)} installed"

    def _cluster_up(self, chosen: Choice) -> clusters.Cluster:
        cluster = self._cluster(chosen)
        record = state.read(self.checkout.state)
        if record is None:
            made = chosen.kind != "context"
            state.write(self.checkout.state, state.Record(chosen.wanted, engine=chosen.engine or "", made_cluster=made))
        if cluster.exists():
            self.progress.say("cluster is up already")
        else:
            cluster.up()
            self.progress.say("cluster is up")
        if self.commands.which("helm") is None or self.commands.which("kubectl") is None:
            self.commands.show(clusters.localcluster("tools"), environment=self._localcluster, timeout_seconds=3600)
        return cluster

    def _install_charts(self, cluster: clusters.Cluster, images: Mapping[str, Image]) -> None:
        helm = charts.Helm(kubeconfig=cluster.kubeconfig, commands=self.commands)
        releases = [
            charts.definitions(self.checkout.root),
            charts.operator(
                self.checkout.root,
                operator_image=images[OPERATOR.name],
                runtime_image=images[RUNTIME.name],
                values=cluster.chart_values,
                ca_bundle=host.ca_bundle(self.environ),
            ),
        ]
        self._note_namespace(cluster)
        for release in releases:
            with self.progress.step(f"chart {release.name}") as step:
                if helm.latest(release) is None:
                    self._note(made_releases=release.name)
                step.outcome = "installed" if helm.ensure(release) else "unchanged"
        rollout = Rollout(kubeconfig=cluster.kubeconfig, commands=self.commands, progress=self.progress)
        with self.progress.step("waiting until the operator runs") as step:
            rollout.wait(charts.NAMESPACE)
            step.outcome = "running"

    def _first_server(self, cluster: clusters.Cluster) -> None:
        quickstart = self._quickstart(cluster)
        with self.progress.step(f"server {quickstart.manifest.name}") as step:
            self._note(made_quickstart=True)
            step.outcome = quickstart.apply()
        with self.progress.step("waiting until it is ready") as step:
            quickstart.wait()
            step.outcome = "ready"
        with self.progress.step("asking it for its tool's answer") as step:
            answer = quickstart.call(self.environment.vsmctl)
            step.outcome = "answered"
        print(f"\n{quickstart.line()}\n\n$ vsmctl call memory read_graph '{{}}'\n{answer}")

    def _remove_from(self, cluster: clusters.Cluster, record: state.Record) -> None:
        helm = charts.Helm(kubeconfig=cluster.kubeconfig, commands=self.commands)
        if not cluster.kubeconfig.exists():
            cluster.up()
        if record.made_quickstart:
            with self.progress.step("removing the first server"), suppress(CommandError):
                self._quickstart(cluster).delete()
        for release in (
            charts.Release("vsm-operator", self.checkout.root / "charts" / "vsm-operator", charts.NAMESPACE),
            charts.definitions(self.checkout.root),
        ):
            if release.name in record.made_releases:
                with self.progress.step(f"removing chart {release.name}"):
                    helm.uninstall(release)
        if record.made_namespace:
            with self.progress.step(f"removing namespace {charts.NAMESPACE}"):
                self._kubectl(cluster, "delete", "namespace", charts.NAMESPACE, "--ignore-not-found", "--timeout=120s")
        # The definitions stay: with them every McpServer of the cluster would go, whoever made it.
        self.progress.say("the definitions stay; without servers: kubectl delete crd mcpservers.vsm-mcp.io")

    def _note(self, *, made_releases: str = "", made_quickstart: bool = False, made_namespace: bool = False) -> None:
        record = state.read(self.checkout.state)
        assert record is not None  # noqa: S101  # written before the cluster
        changed = replace(
            record,
            made_releases=(
                tuple(dict.fromkeys([*record.made_releases, made_releases])) if made_releases else record.made_releases
            ),
            made_quickstart=record.made_quickstart or made_quickstart,
            made_namespace=record.made_namespace or made_namespace,
        )
        if changed != record:
            state.write(self.checkout.state, changed)

    def _note_namespace(self, cluster: clusters.Cluster) -> None:
        found = self._kubectl(cluster, "get", "namespace", charts.NAMESPACE, "--ignore-not-found", "--output", "name")
        if not found.strip():
            self._note(made_namespace=True)

    def _kubectl(self, cluster: clusters.Cluster, *arguments: str) -> str:
        return self.commands.run(
            ["kubectl", *arguments], environment={"KUBECONFIG": str(cluster.kubeconfig)}, timeout_seconds=150
        )

    def _quickstart(self, cluster: clusters.Cluster) -> Quickstart:
        return Quickstart(
            root=self.checkout.root, kubeconfig=cluster.kubeconfig, commands=self.commands, progress=self.progress
        )

    def _cluster(self, chosen: Choice) -> clusters.Cluster:
        return clusters.make(
            chosen,
            checkout=self.checkout,
            settings=self.settings,
            commands=self.commands,
            environ=self.environ,
            engine=self._engine,
        )

    def _choice_of(self, record: state.Record) -> Choice:
        if record.cluster.startswith("context:"):
            return Choice("context", "recorded", name=record.cluster.removeprefix("context:"))
        if record.cluster == "kind":
            engine: Engine = "podman" if record.engine == "podman" else "docker"
            return Choice("kind", "recorded", engine=engine)
        return Choice("local", "recorded")

    def _engine(self) -> Engine | None:
        return next((engine for engine in choice.ENGINES if self.commands.answers([engine, "info"])), None)

    def _contexts(self) -> Sequence[str]:
        return self.commands.run(["kubectl", "config", "get-contexts", "--output", "name"]).split()

    @property
    def _localcluster(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.checkout.root / "tools")}
