"""Which element runs where and in which order, at the least expected cost among what means the same."""

from appnet.optimize.cost import CostModel, Profile
from appnet.optimize.plan import Algorithm, OptimizedPlan, Settings, optimize
from appnet.optimize.prices import DEFAULT

__all__ = ["DEFAULT", "Algorithm", "CostModel", "OptimizedPlan", "Profile", "Settings", "optimize"]
