"""sample.proto as programs see it: the signature of ``/sample.Probe/Call``."""

from pathlib import Path

from appnet.application.proto import load_proto

SAMPLE = load_proto(Path(__file__).with_name("sample.proto")).method("Call")
