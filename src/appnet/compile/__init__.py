"""A whole application compiled: its chains planned, their code printed and built, and the manifests that carry it.

`ChainCompiler` plans and prints chain by chain; `compile_application` does so for an application; `build` makes modules
of the code; `manifests` and `output` make files of them.
"""

from appnet.compile.build import BuiltApplication, build
from appnet.compile.chains import (
    ChainCompiler,
    CompiledApplication,
    CompiledChain,
    CompileSettings,
    compile_application,
    plan_application,
)

__all__ = [
    "BuiltApplication",
    "ChainCompiler",
    "CompileSettings",
    "CompiledApplication",
    "CompiledChain",
    "build",
    "compile_application",
    "plan_application",
]
