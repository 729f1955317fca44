"""The prices that come with the sidecar: what tests of plans count by."""

from appnet.processors.envoy.sidecar import PROCESSOR

DEFAULT = PROCESSOR.prices
