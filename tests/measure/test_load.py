"""The load generator and the upstream against each other and against the h2 library, which shares no code with them."""

import socket
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from tests.support.load import Load, LoadError, LoadSettings, Request, Upstream, run_load
from tests.support.raw_grpc import RawClient, RecordingServer, frame, string_field

HELLO = Request(string_field(1, b"hello"), weight=3)
TEST = Request(string_field(1, b"test"), metadata=(("x-version", "7"),))


def test_calls_are_made_in_the_given_proportions() -> None:
    with Upstream(echo_headers=["x-version"]) as upstream:
        settings = LoadSettings(connections=3, streams=4, count=4_000, capture=("x-version",), bodies=True)
        result = run_load(upstream.port, [HELLO, TEST], settings)
        report = upstream.stop()
    assert {(it.status, it.captured, it.body): it.count for it in result.outcomes} == {
        (0, ("",), frame(HELLO.message)): 3_000,
        (0, ("7",), frame(TEST.message)): 1_000,
    }
    assert (result.finished, result.failed, result.connects) == (4_000, 0, 3)
    assert (report.calls, report.connections, report.resets) == (4_000, 3, 0)


def test_outcomes_carry_the_times_of_their_first_and_last_call() -> None:
    with Upstream() as upstream:
        before = time.monotonic_ns()
        result = run_load(upstream.port, [HELLO], LoadSettings(count=500))
        after = time.monotonic_ns()
    (outcome,) = result.outcomes
    assert before < outcome.first_start < outcome.first_end <= outcome.last_end < after
    assert outcome.first_start < outcome.last_start < outcome.last_end
    assert 0 < result.latency.p50 <= result.latency.p99 <= result.latency.max


def test_messages_larger_than_every_window_arrive_whole() -> None:
    big = Request(string_field(1, bytes(range(256)) * 1200))
    with Upstream() as upstream:
        result = run_load(upstream.port, [big], LoadSettings(connections=1, streams=4, count=8, bodies=True))
    (outcome,) = result.outcomes
    assert outcome.body == frame(big.message)


def test_the_h2_library_understands_the_generator() -> None:
    with RecordingServer(frame(b"answer"), reply_frame_size=3) as server:
        server.reply_headers = [("x-long", "é" * 200), ("x-version", "19")]
        settings = LoadSettings(streams=2, count=40, capture=("x-version", "x-long"), bodies=True)
        result = run_load(server.port, [TEST], settings)
    (outcome,) = result.outcomes
    assert (outcome.status, outcome.count) == (0, 40)
    assert (outcome.captured, outcome.body) == (("19", "é" * 200), frame(b"answer"))
    assert {it.header("x-version") for it in server.seen} == {"7"}
    assert all(it.body == frame(TEST.message) for it in server.seen)
    assert server.seen[0].header(":path") == "/echo.EchoService/echo"


def test_the_upstream_understands_the_h2_library_and_its_indexed_headers() -> None:
    # The library encodes with Huffman codes and a dynamic table that long values keep evicting entries from.
    with Upstream(reply=b"fixed", echo_headers=["x-version"]) as upstream, RawClient(upstream.port) as client:
        for number in range(200):
            version = f"{number // 2:0{number * 7 % 900 + 3}}"
            extra = (("x-version", version), ("x-other", "z" * (number % 70)))
            reply = client.call("/echo.EchoService/echo", frame(string_field(1, b"hello")), extra)
            assert reply.header("x-version") == version
            assert (reply.grpc_status, reply.body) == (0, frame(b"fixed"))


def test_refusals_are_told_apart_by_status_and_decoded_message() -> None:
    with RecordingServer(b"", status=10) as server:
        result = run_load(server.port, [HELLO], LoadSettings(count=5))
    assert result.by_status() == {(10, "server says no"): 5}
    assert result.failed == 0


def test_a_rate_is_kept_and_lateness_counts() -> None:
    with Upstream() as upstream:
        result = run_load(upstream.port, [HELLO], LoadSettings(connections=2, streams=4, seconds=0.5, rate=1_000))
    assert result.finished + result.unstarted == 500
    assert result.unstarted == 0


def test_it_stops_when_told() -> None:
    with Upstream() as upstream, Load(upstream.port, [HELLO], LoadSettings(seconds=60)) as load:
        time.sleep(0.1)
        assert load.running
        load.stop()
        result = load.result()
    assert result.finished > 0
    assert result.seconds < 10


def test_nobody_there_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Load(unused.getsockname()[1], [HELLO], LoadSettings(count=1)) as load:
            load.stop()
            with pytest.raises(LoadError, match="connections"):
                load.result()


class HostileServer:
    """Ends the first streams of each connection as ``how`` says; then serves."""

    def __init__(self, how: str) -> None:
        self._how = how
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._left = 3
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        while data := connection.recv(65_536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.StreamEnded) and not self._end(state, event.stream_id):
                    connection.sendall(state.data_to_send())
                    return
            connection.sendall(state.data_to_send())

    def _end(self, state: h2.connection.H2Connection, stream: int) -> bool:
        if self._left == 0:
            state.send_headers(stream, [(":status", "200"), ("grpc-status", "0")], end_stream=True)
            return True
        self._left -= 1
        if self._how == "reset":
            state.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif self._how == "status":
            state.send_headers(stream, [(":status", "503")], end_stream=True)
        elif self._how == "goaway":
            state.close_connection(last_stream_id=0)
            return False
        return self._how != "close"


@pytest.mark.parametrize(
    ("how", "message", "connects"),
    [
        ("reset", "RST_STREAM 7", 1),
        ("status", "no grpc-status, HTTP status 503", 1),
        ("goaway", "GOAWAY 0", 4),
        ("close", "connection closed", 4),
    ],
)
def test_what_the_transport_breaks_is_a_failure_and_the_rest_goes_on(how: str, message: str, connects: int) -> None:
    server = HostileServer(how)
    result = run_load(server.port, [HELLO], LoadSettings(count=20))
    assert result.by_status() == {(None, message): 3, (0, ""): 17}
    assert (result.failed, result.connects) == (3, connects)
