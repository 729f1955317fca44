"""Which element runs where and in which order, at the least expected cost among what means the same."""

from appnet.optimize.cost import CostModel, Profile
from appnet.optimize.placement import OptLevel, Place
from appnet.optimize.plan import Algorithm, OptimizedPlan, Settings
from appnet.optimize.planner import Planner
from appnet.optimize.standing import Lack, UnsuitedError

__all__ = [
    "Algorithm",
    "CostModel",
    "Lack",
    "OptLevel",
    "OptimizedPlan",
    "Place",
    "Planner",
    "Profile",
    "Settings",
    "UnsuitedError",
]
