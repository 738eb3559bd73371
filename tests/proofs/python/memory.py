"""Memory under clients that hold on to it: whatever they leave unfinished or unread, the budget bounds it."""

import contextlib
import os
import threading
import time

import grpc

import checks
import encode
import raw_http2 as h2
from broker import Broker, Peak
from stock_client import Client, batch, record
from weir.v1 import consumer_pb2, producer_pb2, record_pb2, topic_pb2

MEMORY_MIB = 64
# What a broker takes beside its budget: what it has when idle, what the allocator keeps, and one message at a time.
BESIDE_MIB = 40
HALVES, FETCHERS, TAILS, WINDOWLESS, BOMBS = 40, 40, 20, 4, 8
STREAMS = 4
WINDOWLESS_STREAMS = 100
MESSAGE_BYTES = (4 << 20) - 1_000
# How long they hold on: SHORT=1 looks at the peak alone, else the broker has time to lose its patience with them.
HOLD_SECONDS = 5 if os.environ.get("SHORT") else 45
PATIENCE_SECONDS = 40
# A throttled client tries again; after the broker's patience with the others is over it must have got through.
THROUGH_SECONDS = 60
SERVICE = "/weir.v1."


def message(payload, length=None):
    return b"\0" + (len(payload) if length is None else length).to_bytes(4, "big") + payload


def windows(stream_bytes):
    """Settings with so much room for each stream."""
    return h2.frame(h2.SETTINGS, 0, 0, b"\0\4" + stream_bytes.to_bytes(4, "big"))


class Holder(h2.Peer):
    """A connection that never reads."""

    def __init__(self, port, stream_bytes=65_535):
        super().__init__(port)
        self.socket.settimeout(0.2)
        self.send(windows(stream_bytes))


class Windowless(Holder):
    """A connection that answers pings, so that it counts as alive, and gives no call any room."""

    def __init__(self, port):
        super().__init__(port, 0)
        self.socket.settimeout(None)
        self.reader = threading.Thread(target=self.answer, daemon=True)
        self.reader.start()

    def answer(self):
        with contextlib.suppress(OSError):
            for kind, flags, _, body in self.frames():
                if kind == h2.PING and not flags & h2.ACK:
                    self.send(h2.frame(h2.PING, h2.ACK, 0, body))

    def is_over(self):
        """Whether the broker has closed it."""
        return not self.reader.is_alive()


def half_messages(port):
    peer = Holder(port)
    method = h2.call(SERVICE + "ProducerService/ProduceStream")
    for _ in range(STREAMS):
        stream = peer.call(method, message(b"", MESSAGE_BYTES))
        for _ in range(MESSAGE_BYTES // 2 >> 14):
            if not peer.send(h2.frame(h2.DATA, 0, stream, bytes(1 << 14))):
                return peer
    return peer


def unread(port, method, request):
    peer = Holder(port, (1 << 31) - 1)
    for _ in range(STREAMS):
        peer.end(peer.call(h2.call(SERVICE + method), message(request.SerializeToString())))
    return peer


def large_fetch():
    place = consumer_pb2.FetchPartition(topic="large", partition=0, offset=0)
    return consumer_pb2.FetchRequest(partitions=[place], max_bytes=4 << 20, form=record_pb2.RECORD_FORM_BATCH)


def unread_fetch(port):
    return unread(port, "ConsumerService/Fetch", large_fetch())


def windowless_fetch(port):
    peer = Windowless(port)
    for _ in range(WINDOWLESS_STREAMS):
        peer.end(peer.call(h2.call(SERVICE + "ConsumerService/Fetch"), message(large_fetch().SerializeToString())))
    return peer


def unread_tail(port):
    place = consumer_pb2.FetchPartition(topic="large", partition=0, offset=0)
    return unread(port, "ConsumerService/Tail", consumer_pb2.TailRequest(partitions=[place], max_bytes=4 << 20))


def bomb(port):
    packed = encode.batch(encode.gzip_bomb(200 << 20)[:900_000], attributes=1)
    item = producer_pb2.ProduceBatch(topic="small", partition=0, batch=packed)
    peer = Holder(port)
    for _ in range(STREAMS):
        method = h2.call(SERVICE + "ProducerService/Produce")
        peer.end(peer.call(method, message(producer_pb2.ProduceRequest(batches=[item]).SerializeToString())))
    return peer


def prepare(address):
    client = Client(address)
    for name in ("large", "small"):
        client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name=name))
    for _ in range(40):
        client.produce(batch("large", record(bytes(900_000)), partition=0))
    client.channel.close()


def gets_through(address, deadline):
    """Whether a client that tries again writes a record and reads it back; and after how many refusals."""
    client, refusals = Client(address), 0
    while time.monotonic() < deadline:
        with contextlib.suppress(grpc.RpcError):
            results = client.produce(batch("small", record(b"well behaved"), partition=0))
            if not results[0].HasField("error"):
                found = client.fetch("small", offset=results[0].base_offset, max_wait_ms=0)
                if [each.value for each in found.records] == [b"well behaved"]:
                    client.channel.close()
                    return refusals
        refusals += 1
        time.sleep(0.1)
    client.channel.close()
    return None


def hold(broker):
    """All of them at once; what the client between them met, and the peak in MiB."""
    port = broker.port()
    crowds = (
        (windowless_fetch, WINDOWLESS),
        (half_messages, HALVES),
        (unread_fetch, FETCHERS),
        (unread_tail, TAILS),
        (bomb, BOMBS),
    )
    with Peak(broker) as peak, contextlib.ExitStack() as held:
        peers = []
        for hold_one, count in crowds:
            for _ in range(count):
                peers.append(held.enter_context(hold_one(port)))
            print(f"  {count} x {hold_one.__name__}: RssAnon {broker.rss_anon_kib() >> 10} MiB", flush=True)
        until = time.monotonic() + HOLD_SECONDS
        during = gets_through(broker.address, until)
        time.sleep(max(0, until - time.monotonic()))
        if HOLD_SECONDS > PATIENCE_SECONDS:
            # The others found no memory left, and got refusals that hold nothing.
            checks.that(peers[0].is_over(), "a reply without a window is kept for ever")
    return during, peak.kib >> 10


def main():
    began = time.monotonic()
    with Broker(f"memory.bytes={MEMORY_MIB}MiB") as broker:
        prepare(broker.address)
        before = broker.rss_anon_kib() >> 10
        during, peak_mib = hold(broker)
        after = gets_through(broker.address, time.monotonic() + THROUGH_SECONDS)
        words = "did not get through" if during is None else f"got through after {during} refusals"
        print(f"  RssAnon {before} MiB before, {peak_mib} MiB at most; meanwhile a well-behaved client {words}")
        checks.that(broker.is_alive(), "the broker is gone")
        checks.that(after is not None, "a well-behaved client does not get through afterwards")
        checks.that(peak_mib <= MEMORY_MIB + BESIDE_MIB, f"{peak_mib} MiB, {MEMORY_MIB} + {BESIDE_MIB} expected")
        checks.that("panicked" not in broker.log(), "a panic in the log")
        broker.stop()
    print(f"memory: RssAnon at most {peak_mib} MiB with memory.bytes={MEMORY_MIB} MiB, {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
