"""Streams that are reset, left unread, or fed with crumbs."""

import time

import grpc

import checks
from stock_client import Stream, batch, record
from weir.v1 import consumer_pb2, topic_pb2

TOPIC = "streams"
RESETS = 1_000
CRUMBS = checks.scaled(20_000)
UNREAD_REQUESTS = 1_200


def own_connection(client):
    """WHY the option: grpcio lets channels to one address share a connection, and a hostile one may lose its own."""
    return grpc.insecure_channel(client.address, options=[("grpc.use_local_subchannel_pool", 1)])


def others_live(client):
    checks.that(not client.produce(batch(TOPIC, record(b"alive"), partition=1))[0].HasField("error"))


def resets(client):
    """Calls that are cancelled as soon as they are made; the broker may close their connection, no other."""
    hostile = own_connection(client)
    tail = hostile.unary_stream("/weir.v1.ConsumerService/Tail")
    produce = hostile.stream_stream("/weir.v1.ProducerService/ProduceStream")
    place = consumer_pb2.FetchPartition(topic=TOPIC, partition=2)
    request = consumer_pb2.TailRequest(partitions=[place]).SerializeToString()
    for _ in range(RESETS // 2):
        tail(request).cancel()
        produce(iter([])).cancel()
    others_live(client)
    hostile.close()


def half_closed(client):
    empty = Stream(client)
    empty.close()
    stream = Stream(client)
    for sequence in range(100):
        stream.send(sequence, batch(TOPIC, record(b"x"), partition=2))
    stream.requests.put(None)
    checks.equal([result.sequence for result in stream.results], list(range(100)), "answers after a half-close")


def never_reads_results(client):
    """Its results pile up to a bound, then it is told so; reading of requests never stopped before."""
    hostile, beside = Stream(client), Stream(client)
    refused = [batch("n" * 200, record(b"x"), partition=0)] * 100
    for sequence in range(UNREAD_REQUESTS):
        hostile.send(sequence, *refused, resume=True)
    for sequence in range(20):
        beside.send(sequence, batch(TOPIC, record(b"beside"), partition=1))
        checks.that(not beside.answer(sequence)[0].HasField("error"))
    beside.close()
    # Requests are read until the stream ends, which grpcio does not tell before the results are read.
    left = None
    while left != hostile.requests.qsize():
        left = hostile.requests.qsize()
        time.sleep(2)
    seen = 0
    try:
        for result in hostile.results:
            checks.equal(result.sequence, seen)
            seen += 1
    except grpc.RpcError as error:
        checks.call(error, "THROTTLED", "read results", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    checks.that(0 < seen < UNREAD_REQUESTS, f"{seen} answers: nothing was left unread")
    return seen


def never_reads_tails(client):
    for _ in range(60):
        client.produce(batch(TOPIC, record(bytes(1_000_000)), partition=0))
    hostile = own_connection(client)
    tail = hostile.unary_stream("/weir.v1.ConsumerService/Tail")
    place = consumer_pb2.FetchPartition(topic=TOPIC, partition=0)
    request = consumer_pb2.TailRequest(partitions=[place], max_bytes=4 << 20).SerializeToString()
    tails = [tail(request) for _ in range(20)]
    time.sleep(2)
    others_live(client)
    checks.that(all(call.is_active() for call in tails), "a tail that is not read keeps its place")
    hostile.close()


def crumbs(client):
    """Requests far smaller than a frame should be, as fast as they go, while nobody reads."""
    stream = Stream(client)
    for sequence in range(CRUMBS):
        stream.send(sequence, batch(TOPIC, record(b"c"), partition=2))
    time.sleep(1)
    for sequence in range(CRUMBS):
        checks.that(not stream.answer(sequence)[0].HasField("error"))
    stream.close()


def many_calls(client):
    """More calls than one connection may have: the rest wait their turn, and other connections never."""
    hostile = own_connection(client)
    tail = hostile.unary_stream("/weir.v1.ConsumerService/Tail")
    place = consumer_pb2.FetchPartition(topic=TOPIC, partition=1, offset=0)
    request = consumer_pb2.TailRequest(partitions=[place]).SerializeToString()
    tails = [tail(request) for _ in range(300)]
    others_live(client)
    for call in tails:
        call.cancel()
    hostile.close()


def run(client, _broker):
    client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name=TOPIC, partition_count=3))
    half_closed(client)
    resets(client)
    many_calls(client)
    crumbs(client)
    never_reads_tails(client)
    seen = never_reads_results(client)
    return f"{RESETS} resets, 300 calls at once, {CRUMBS} crumbs, 20 tails unread, a stream told after {seen} unread answers"
