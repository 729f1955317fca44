"""sample.proto as programs see it: the signature of ``/sample.Probe/Call``."""

from pathlib import Path

from appnet.application.proto import load_proto
from appnet.diagnostics.source import FileSource

SAMPLE = load_proto(FileSource(Path(__file__).with_name("sample.proto"))).method("Call")
