"""The reference meaning: runs elements and chains on RPCs, in plain Python."""

from appnet.interpret.chain import ChainInstance
from appnet.interpret.dump import dump
from appnet.interpret.instance import Watcher
from appnet.interpret.rpc import Answered, Environment, Forwarded, Outcome, Refused, Rpc
from appnet.interpret.store import Store

__all__ = [
    "Answered",
    "ChainInstance",
    "Environment",
    "Forwarded",
    "Outcome",
    "Refused",
    "Rpc",
    "Store",
    "Watcher",
    "dump",
]
