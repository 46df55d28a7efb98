"""What a relayed message costs, counted and not timed: held against Bench/thresholds.json."""

import json
import sys
from pathlib import Path

import pytest
from peers.processes import free_port

BENCH = Path(__file__).resolve().parents[2] / "Bench"
sys.path.insert(0, str(BENCH))

MESSAGES = 2000


@pytest.fixture
def sink():
    import load

    started = load.Sink(free_port())
    yield started
    started.stop()


def test_a_relayed_message_costs_no_more_than_it_did(folder, sink):
    import measure
    from servers import MartletServer

    thresholds = json.loads((BENCH / "thresholds.json").read_text())
    counted = measure.counts(MartletServer, folder / "counts", sink, MESSAGES, 20, 4096)
    counted["allocations"] = measure.allocations(MartletServer, folder / "allocations", sink, MESSAGES, 20, 4096, measure.build_counter(folder))
    counted["bytesWritten"] = measure.bytes_written(MartletServer, folder / "bytes", sink, MESSAGES, 20, 4096)
    print(counted)
    over = {name: (counted[name], limit) for name, limit in thresholds.items() if counted[name] > limit}
    assert not over, f"(counted, threshold): {over}"
