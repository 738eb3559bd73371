"""A hostile or clumsy client: whatever it sends, the broker answers in words, lives on, and keeps its memory."""

import time

import bad_batches
import bad_requests
import bad_sockets
import bad_streams
import checks
from broker import Broker, Peak
from stock_client import Client, batch, record
from weir.v1 import topic_pb2

SECTIONS = {"batches": bad_batches, "requests": bad_requests, "streams": bad_streams, "sockets": bad_sockets}
MEMORY_MIB = 128
# What a section may take on top of the memory budget, and leave behind, in KiB; and how many seconds the allocator has to
# give back what it took.
PEAK_KIB_MAX = 2 * MEMORY_MIB << 10
KEPT_KIB_MAX = 32 << 10
SETTLE_SECONDS = 15


def settled_kib(broker, client, below):
    """RssAnon once it is below the bound, or at the end of the time. WHY calls: an allocator without work gives nothing back."""
    until = time.monotonic() + SETTLE_SECONDS
    while broker.rss_anon_kib() > below and time.monotonic() < until:
        client.fetch("healthy", max_wait_ms=0)
        time.sleep(0.1)
    return broker.rss_anon_kib()


def warm_up(client):
    """What a healthy broker needs once is not counted as kept."""
    client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name="healthy"))
    for _ in range(200):
        client.produce(batch("healthy", record(bytes(100_000)), partition=0))


def section(broker, name):
    client, before, checked = Client(broker.address), broker.rss_anon_kib(), checks.count
    with Peak(broker) as peak:
        words = SECTIONS[name].run(client, broker)
    checks.that(broker.is_alive(), f"{name}: the broker is gone")
    after = settled_kib(broker, client, before + KEPT_KIB_MAX)
    client.channel.close()
    mib = [f"{kib / 1024:.0f}" for kib in (before, peak.kib, after)]
    print(f"  {name}: {words}; {checks.count - checked} checks; RssAnon {mib[0]} MiB before, {mib[1]} at most, {mib[2]} after")
    checks.that(after - before <= KEPT_KIB_MAX, f"{name}: memory was kept")
    checks.that(peak.kib <= PEAK_KIB_MAX, f"{name}: {peak.kib} KiB at most, {PEAK_KIB_MAX} expected")


def main():
    began = time.monotonic()
    with Broker(f"memory.bytes={MEMORY_MIB}MiB") as broker:
        client = Client(broker.address)
        warm_up(client)
        for name in SECTIONS:
            section(broker, name)
        checks.equal(len(client.fetch("healthy", max_wait_ms=0).records) > 0, True, "a healthy client goes on")
        checks.that("panicked" not in broker.log(), "a panic in the log")
        client.channel.close()
        broker.stop()
    print(f"malformed input: {len(SECTIONS)} sections, {checks.count} checks hold, {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
