"""Peers that speak no gRPC, no HTTP/2, or not at all."""

import contextlib
import random
import time

import checks
import raw_http2 as h2

GET_CLUSTER = "/weir.v1.ClusterService/GetCluster"
PRODUCE = "/weir.v1.ProducerService/Produce"
FLOOD = checks.scaled(50_000)
# CPU time that the broker may spend on one flood.
FLOOD_CPU_SECONDS_MAX = 5


def garbage(port):
    """Whoever speaks neither HTTP/2 nor HTTP/1.1 is cut off, at once or when its time is up."""
    rng = random.Random(7)
    tls = bytes.fromhex("16030100c8010000c40303") + rng.randbytes(196)
    said = [b"", b"\0", h2.PREFACE[:10], b"GET / HTTP/1.1\r\nHost x\r\n\r\n", tls, rng.randbytes(100_000), b"\0" * 100_000]
    said += [h2.PREFACE + rng.randbytes(1_000), h2.PREFACE + b"\xff" * 64, h2.PREFACE + h2.frame(h2.HEADERS, 5, 0, b"x")]
    said += [h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.HEADERS, 5, 1, b"\xff" * 100)]
    peers = [h2.Peer(port, greet=False) for _ in said]
    with contextlib.ExitStack() as stack:
        for peer, words in zip(peers, said):
            stack.enter_context(peer)
            peer.send(words)
        for peer, words in zip(peers, said):
            checks.that(peer.is_closed(), f"not closed: {words[:20]!r}")
    return len(said)


def wrong_calls(port):
    """Each ends its own call; the connection lives."""
    whole = b"\0\0\0\0\0"
    calls = [
        (h2.call(GET_CLUSTER), b"\2\0\0\0\0"),
        (h2.call(GET_CLUSTER), b"\1\0\0\0\4gzip"),
        (h2.call(GET_CLUSTER, ("grpc-encoding", "br")), b"\1\0\0\0\1x"),
        (h2.call(GET_CLUSTER), b"\0\0\0\0\x64short"),
        (h2.call(GET_CLUSTER), b"\0\xff\xff\xff\xff"),
        (h2.call(GET_CLUSTER), b""),
        (h2.call(GET_CLUSTER), whole + whole),
        (h2.call(GET_CLUSTER, ("grpc-timeout", "0n")), whole),
        (h2.call(GET_CLUSTER, ("grpc-timeout", "soon")), whole),
        (h2.call(GET_CLUSTER, ("grpc-timeout", "9" * 100 + "H")), whole),
        (h2.call("/", method="GET", content_type="text/html"), b""),
        (h2.call(GET_CLUSTER, content_type="application/json"), b"{}"),
        (h2.call(GET_CLUSTER, method="PUT"), whole),
        (h2.call("/../../etc/passwd"), whole),
        (h2.call("/weir.v1.TopicService/" + "x" * 5_000), whole),
        (h2.call(GET_CLUSTER, *[("x", "y")] * 1_000), whole),
    ]
    for number, (block, body) in enumerate(calls):
        with h2.Peer(port) as peer:
            peer.end(peer.call(block, body))
            checks.that(peer.ended(1), f"call {number} has no end")
            checks.that(peer.is_alive(), f"the connection did not outlive call {number}")
    return len(calls)


def floods(port, broker):
    block = h2.call(GET_CLUSTER)

    def reset(number):
        stream = 2 * number + 1
        return h2.frame(h2.HEADERS, h2.END_HEADERS, stream, block) + h2.frame(h2.RST_STREAM, 0, stream, b"\0\0\0\x08")

    many = range(FLOOD)
    kinds = {
        "resets": b"".join(map(reset, many)),
        "settings": h2.frame(h2.SETTINGS, 0, 0, b"\0\3\0\0\0\7") * FLOOD,
        "pings": h2.frame(h2.PING, 0, 0, b"pingping") * FLOOD,
        "continuations": h2.frame(h2.HEADERS, 0, 1, block) + h2.frame(h2.CONTINUATION, 0, 1, h2.header_block([("x", "y" * 16_000)])) * 2_000,
        "empty data": h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.call(PRODUCE)) + h2.frame(h2.DATA, 0, 1) * FLOOD,
        "priorities": h2.frame(2, 0, 1, b"\0\0\0\0\1") * FLOOD,
    }
    for name, flood in kinds.items():
        before = broker.cpu_seconds()
        with h2.Peer(port) as peer:
            peer.socket.settimeout(3)
            peer.send(flood)
        time.sleep(0.3)
        spent = broker.cpu_seconds() - before
        checks.that(spent <= FLOOD_CPU_SECONDS_MAX, f"{name} cost {spent:.1f} s of CPU")
    return len(kinds)


def run(_client, broker):
    port = broker.port()
    strange = garbage(port)
    calls = wrong_calls(port)
    kinds = floods(port, broker)
    return f"{strange} strangers cut off, {calls} wrong calls ended, {kinds} floods survived"
