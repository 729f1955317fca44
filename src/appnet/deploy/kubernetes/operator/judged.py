"""The AppNetConfigs of one application: which can be used, what is wrong with the others, and what they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from appnet.application.load import LoadedApplication
from appnet.compile.cluster import problems, told_in_clusters
from appnet.compile.fit import Where, load_application, places_of, unfit, unshared_state, without_store
from appnet.compile.pipeline import Arrangements, Version, built_also, compile_application, planned_as
from appnet.deploy.kubernetes.operator.absent import absent
from appnet.deploy.kubernetes.operator.sources import SERVICES_FILE, ClusterText, files_of
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Span
from appnet.optimize import Settings
from appnet.processors import registry

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Judged:
    """What came of the AppNetConfigs of an application.

    ``wrong``: what is wrong, by name, with those that cannot be used as they are now. ``held``: those of which there is
    no earlier state that could. ``version``: what the others make, None where there are none. ``warnings``: of a mesh.
    """

    version: Version | None
    wrong: Mapping[str, Sequence[Diagnostic]]
    held: frozenset[str]
    warnings: Sequence[Diagnostic] = ()


@dataclass
class Judge:
    """Turns texts into versions. It remembers the last texts of each AppNetConfig that could be used."""

    origin: str
    root: Path | None
    settings: Settings
    where: Where
    _good: dict[str, Texts] = field(default_factory=dict)
    _looked_at: dict[str, tuple[Texts, str, Texts, list[Diagnostic]]] = field(default_factory=dict)
    _lacking: Texts = field(default_factory=dict)
    _files: dict[str, Texts] = field(default_factory=dict)

    def remember(self, kept: Texts, names: Iterable[str]) -> None:
        """Takes the texts of an earlier version for the last ones of these AppNetConfigs that could be used, where it
        knows no later ones."""
        known = {place.removesuffix(".yaml") for place in kept if "/" not in place and place.endswith(".yaml")}
        for it in names:
            texts = {place: text for place, text in kept.items() if not any(_is_of(place, one) for one in known - {it})}
            if it not in self._good and it in known:
                self._good[it] = texts

    def earlier(self, services: str, targets: Sequence[str], plans: Arrangements) -> Version | None:
        """The version of all texts that it remembers, by these plans; None where there is none that can still be
        used."""
        try:
            return self._compiled(self._good, services, targets, plans) if self._good else None
        except DiagnosticError:
            return None

    def judge(
        self,
        own: Mapping[str, Texts],
        services: str,
        targets: Sequence[str],
        running: Version | Arrangements | None,
        claimed: Mapping[str, str],
        lacking: Mapping[str, str],
    ) -> Judged:
        """The version of these AppNetConfigs, each with its texts by name, built for all of the targets. ``running``:
        what ran so far, or where its elements ran. ``claimed``: those whose methods another application's has, by name,
        with that one's. ``lacking``: why Secrets of stores have no password, by name."""
        self._lacking = lacking
        used = dict(own)
        wrong: dict[str, Sequence[Diagnostic]] = {}
        for name in own:
            other = claimed.get(name)
            found = self._taken(name, own[name], other) if other else self._alone(name, own[name], services)
            if found:
                wrong[name] = found
                self._go_back(name, used, services, exclude=own[name])
        while len(used) > 1 and (found := self._wrong_with(sorted(used), used, services)):
            name = self._to_blame(found, used)  # two that are right may not fit together
            wrong[name] = [it for it in found if self._to_blame([it], used) == name]
            self._go_back(name, used, services, exclude=used[name])
        for name in own.keys() - wrong.keys():
            self._good[name] = {**self._files.get(name, {}), **own[name]}
        for name in self._good.keys() - own.keys():
            del self._good[name]
        self._looked_at = {name: it for name, it in self._looked_at.items() if name in own}
        version = self._compiled(used, services, targets, running) if used else None
        return Judged(version, wrong, frozenset(own.keys() - used.keys()), self._warnings(version))

    def _warnings(self, version: Version | None) -> list[Diagnostic]:
        if version is None:
            return []
        apart = (
            it
            for chain in version.application.chains
            for it in unshared_state(chain, places_of(chain.chain, self.where))
        )
        return [*problems(version.artifacts, version.application.manifest), *dict.fromkeys(apart)]

    def _taken(self, name: str, texts: Texts, other: str) -> list[Diagnostic]:
        span = Span.whole(ClusterText(f"{name}.yaml", texts, self.origin, self.root))
        title = f"the AppNetConfig `{other}` of another application is for these methods of the edge already"
        help_ = "give both the same `appName` and put their elements into one chain, or delete one"
        return [Diagnostic("C022", Severity.ERROR, title, span, "", help_)]

    def _alone(self, name: str, texts: Texts, services: str) -> list[Diagnostic]:
        """What is wrong with it, whatever the others are; looked at once for the same texts, but for files."""
        before = self._looked_at.get(name)
        if before is None or self.root is not None or before[:3] != (texts, services, self._lacking):
            found = absent(name, texts, services, self.origin, self._lacking, files=self.root is not None)
            found = found or self._wrong_with([name], {name: texts}, services)
            before = self._looked_at[name] = texts, services, self._lacking, found
        return before[3]

    def _go_back(self, name: str, used: dict[str, Texts], services: str, exclude: Texts | None = None) -> None:
        """To the last texts that can still be used, if there are any."""
        good = self._good.get(name)
        if good is not None and good != exclude and not self._wrong_with([name], {name: good}, services):
            used[name] = good
        else:
            del used[name]

    def _load(self, names: Sequence[str], used: Mapping[str, Texts], services: str) -> LoadedApplication:
        every = {it: {**used[it], SERVICES_FILE: services} for it in names}  # a file may be kept for one of them alone
        return load_application(*(ClusterText(f"{it}.yaml", every[it], self.origin, self.root) for it in names))

    def _wrong_with(self, names: Sequence[str], used: Mapping[str, Texts], services: str) -> list[Diagnostic]:
        try:
            loaded = self._load(names, used, services)
            found = [*self._unserved(loaded)] or [
                *told_in_clusters(loaded, self.where),
                *without_store(loaded, self.where),
            ]
            if self.root is not None and len(names) == 1:
                self._files[names[0]] = dict(files_of(loaded.sources, self.root))
        except DiagnosticError as error:
            found = error.diagnostics
        return [it for it in found if it.severity is Severity.ERROR]

    @staticmethod
    def _unserved(loaded: LoadedApplication) -> Iterator[Diagnostic]:
        """An error for each processor that asks no control plane in a cluster."""
        for it in (one for chain in loaded.application.chains for one in chain.processors):
            if registry.processor(it.value).mesh() is None:
                title = f"the controller brings nothing to the processor `{it}` yet"
                help_ = "use `sidecar` or `ambient`, or apply what `appnetctl compile` writes"
                yield Diagnostic("C021", Severity.ERROR, title, it.span, "not in a cluster's controller", help_)

    def _compiled(
        self, used: Mapping[str, Texts], services: str, targets: Sequence[str], running: Version | Arrangements | None
    ) -> Version:
        loaded = self._load(sorted(used), used, services)
        if isinstance(running, Mapping):
            running = planned_as(loaded, self.settings, self.where, running)
        return self.planned(loaded, targets, running)

    def planned(self, loaded: LoadedApplication, targets: Sequence[str], running: Version | None) -> Version:
        """The version of the application, by the plans of ``running`` where they may stay, built for all targets."""
        version = compile_application(loaded, self.settings, self.where, running=running)
        for it in targets:
            if it != self.where.target and not unfit(loaded, replace(self.where, target=it)):
                version = built_also(version, it)
        return version

    @staticmethod
    def _to_blame(found: Sequence[Diagnostic], used: Mapping[str, Texts]) -> str:
        """The AppNetConfig that an error is in; the last one, where it is in none."""
        names = sorted(used)
        for it in found:
            place = it.span.source.name.partition("/")[2]
            for name in names:
                if _is_of(place, name):
                    return name
        return names[-1]


def _is_of(place: str, name: str) -> bool:
    """Whether a text is the AppNetConfig's own, or one that it has inside it or in ConfigMaps."""
    return place == f"{name}.yaml" or place.startswith(f"{name}/")
