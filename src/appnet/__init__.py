"""AppNet: program the network between microservices.

The road from text to traffic is the order of the sub-packages:
``language`` -> ``ir`` -> ``interpret`` -> ``network`` -> ``codegen`` -> ``processors`` -> ``control`` -> ``cli``.
"""

__version__ = "0.1.0"
