"""Where an element's method is to be found: the AppNetConfigs near it that name its file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appnet.application.appnet_config import AppNetConfig, ElementSpec, load_config
from appnet.application.methods import methods_of
from appnet.application.named import project_root
from appnet.application.proto import load_proto
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.language.messages import MethodSignature


@dataclass(frozen=True)
class Use:
    """An element in a chain of a configuration."""

    config: AppNetConfig
    element: ElementSpec

    def methods(self) -> tuple[MethodSignature, ...]:
        """The methods whose RPCs it sees. Raises `DiagnosticError` for a .proto that is wrong or lacks one."""
        return methods_of(self.config.methods, load_proto(self.config.proto))


def uses_of(element: Path) -> list[Use]:
    """The chains that ``element`` stands in, in all valid AppNetConfigs of the nearest folder that has one of them.

    Folders are looked at from the element's own upwards: to the one that has ``.git`` or ``config/samples``, else to
    the one above the element's.
    """
    for folder in _folders(element.resolve()):
        found = [
            Use(config, spec)
            for config in _configurations(folder)
            for spec in config.elements
            if spec.file.resolve() == element.resolve()
        ]
        if found:
            return found
    return []


def _folders(element: Path) -> list[Path]:
    above = list(element.parents)
    root = project_root(element) or next((it for it in above if (it / ".git").exists()), None)
    return above[: above.index(root) + 1 if root in above else 2]


def _configurations(folder: Path) -> Iterator[AppNetConfig]:
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            yield load_config(path)
        except DiagnosticError:
            continue  # a manifest, or wrong, which is told when it is checked itself
