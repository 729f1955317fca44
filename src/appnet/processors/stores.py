"""Where artifacts share state."""

from __future__ import annotations

from collections.abc import Iterable

from appnet.processors.artifact import Artifact
from appnet.processors.options import StoreOptions, store_options
from appnet.processors.processor import Group


def store_of(artifact: Artifact, application: str, password: str = "") -> StoreOptions | None:
    """Where an artifact shares state, as a part of the application; None where it does not. ``password``: of the store,
    where its address has none."""
    state = artifact.chain.chain.state
    return store_options(state, application, artifact.end, password) if artifact.in_store else None


def store_in_group(artifact: Artifact, group: Group) -> StoreOptions | None:
    """The same, of one that runs in a group."""
    return store_of(artifact, group.application, group.passwords.get(artifact.chain.chain.state.secret, ""))


def lacking_password(artifacts: Iterable[Artifact], group: Group) -> str:
    """Whose password is not known of the stores that these artifacts share state in; empty where nothing is missing."""
    for it in artifacts:
        secret = it.chain.chain.state.secret
        if secret and it.in_store and secret not in group.passwords:
            return f"the password of the store in the Secret {group.namespace}/{secret} is not known"
    return ""
