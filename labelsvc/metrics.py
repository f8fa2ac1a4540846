"""What the service counts, for Prometheus: network calls and rounds by outcome, waybills and labels by state.

Hides the registry. Every label of every series has few values, known beforehand; no id, no number, no person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from labelsvc.errors import LabelsvcError, Refused, Unavailable

CONTENT_TYPE = CONTENT_TYPE_PLAIN_1_0_0

_registry = CollectorRegistry()
_network_calls = Counter(
    "labelsvc_network_calls",
    "Requests to the carrier network, by the platform's type and what came of them.",
    ["call", "outcome"],
    registry=_registry,
)
_rounds = Counter(
    "labelsvc_rounds", "Turns of each duty of the daemon's rounds.", ["duty", "outcome"], registry=_registry
)
_waybills = Gauge("labelsvc_waybills", "Waybills of all stores.", ["state"], registry=_registry)
_driven = Gauge(
    "labelsvc_node_printers",
    "Printers that each machine drives; 0: it is away or has none. Only on PostgreSQL.",
    ["node"],
    registry=_registry,
)
_labels = Gauge("labelsvc_labels", "Printing's labels of all stores.", ["state"], registry=_registry)


@contextmanager
def network_call(call: str) -> Iterator[None]:
    """Count a request of the platform's type ``call``, a word of our own code, by how the block ends."""
    outcome = "broken"
    try:
        yield
        outcome = "ok"
    except Refused:
        outcome = "refused"
        raise
    except Unavailable as fault:
        outcome = {"network.busy": "busy", "network.resting": "resting"}.get(fault.code, "silent")
        raise
    finally:
        _network_calls.labels(call, outcome).inc()


@contextmanager
def round_of(duty: str) -> Iterator[None]:
    """Count a turn of a duty by how the block ends."""
    outcome = "broken"
    try:
        yield
        outcome = "ok"
    except LabelsvcError:
        outcome = "failed"
        raise
    finally:
        _rounds.labels(duty, outcome).inc()


def exposition(waybills: Mapping[str, int], labels: Mapping[str, int], driven: Mapping[str, int]) -> bytes:
    """Everything counted, in Prometheus' text format, with how many waybills and labels are in each state now, and how many
    printers each machine drives."""
    for gauge, counts in ((_waybills, waybills), (_labels, labels)):
        for state, count in counts.items():
            gauge.labels(state).set(count)
    for node, count in driven.items():
        _driven.labels(node).set(count)
    return generate_latest(_registry)
