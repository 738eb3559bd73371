"""Requests that make no sense: names, numbers, lists, bytes that are no message."""

import time

import grpc

import checks
from stock_client import Stream, batch, record
from weir.v1 import cluster_pb2, consumer_pb2, producer_pb2, topic_pb2

TOPIC = "requests"
INT_MAX, LONG_MAX = (1 << 31) - 1, (1 << 63) - 1
ITEMS_MAX = 10_000
SECONDS = 30
# What one request may hold everybody else up for.
STALL_SECONDS_MAX = 2
WRONG_NAMES = {
    "": "empty",
    ".": "path",
    "..": "path",
    "../../etc/x": "'/' at 2",
    "a\0b": "\\0",
    "a\nb\x1b[31m": "\\n",
    "é": "é",
    "\u202egnp": "\\u{202e}",
    "n" * 250: "249",
    "n" * 1_000_000: "249",
    "__consumer_offsets": "__",
    "__cluster_metadata": "__",
}


def names(client):
    topics = client.topics
    for name, part in WRONG_NAMES.items():
        checks.refused(lambda: topics.CreateTopic(topic_pb2.CreateTopicRequest(name=name)), "INVALID_TOPIC", part)
        for ask, request in (
            (topics.GetTopic, topic_pb2.GetTopicRequest(name=name)),
            (topics.UpdateTopic, topic_pb2.UpdateTopicRequest(name=name, partition_count=2)),
            (topics.DeleteTopic, topic_pb2.DeleteTopicRequest(name=name)),
            (topics.TrimTopic, topic_pb2.TrimTopicRequest(name=name, partitions=[topic_pb2.TrimPartition()])),
        ):
            try:
                ask(request, timeout=SECONDS)
                raise AssertionError(f"{name[:20]!r} was taken")
            except grpc.RpcError as error:
                checks.that(error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED), error)
                checks.check_words(error.details())
        results = [client.produce(batch(name, record(b"x"), partition=0))[0].error, client.fetch(name).error]
        for error in [*results, client.offset(name, timestamp_ms=0).error]:
            checks.that(error.reason != 0, f"{name[:20]!r} was taken")
            checks.check_words(error.message)
    topics.CreateTopic(topic_pb2.CreateTopicRequest(name="a_b-0"))
    checks.refused(lambda: topics.CreateTopic(topic_pb2.CreateTopicRequest(name="a.b-0")), "INVALID_TOPIC", "a_b-0")
    return len(WRONG_NAMES)


def topic_settings(client):
    def create(count=1, **configs):
        configs = {key.replace("_", "."): value for key, value in configs.items()}
        request = topic_pb2.CreateTopicRequest(name="settings", partition_count=count, configs=configs)
        return lambda: client.topics.CreateTopic(request, timeout=SECONDS)

    for count in (-1, 10_001, 10**9, INT_MAX, -INT_MAX - 1):
        checks.refused(create(count), "INVALID_PARTITIONS", str(count))
    wrong = [("retention.ms", "abc"), ("retention.ms", "-5"), ("segment.bytes", "1"), ("segment.bytes", str(1 << 32))]
    wrong += [("segment.bytes", "1e9999"), ("max.message.bytes", "0"), ("max.message.bytes", str(LONG_MAX)), ("flush", "never")]
    wrong += [("compression.type", "rar"), ("", "x"), ("x" * 100_000, "1"), ("retention.ms", "9" * 100_000), ("flush.ms", "\0")]
    for key, value in wrong:
        checks.refused(create(**{key: value}), "INVALID_CONFIG", key[:20])
    many = {f"key{number}": "x" for number in range(10_000)}
    checks.refused(create(**many), "INVALID_CONFIG")
    lists = [{"page_size": -1}, {"page_token": "\0" * 100_000}, {"name_glob": "*a" * 500_000}, {"page_size": INT_MAX}]
    for fields in lists:
        try:
            client.topics.ListTopics(topic_pb2.ListTopicsRequest(**fields), timeout=SECONDS)
            checks.that(True)
        except grpc.RpcError as error:
            checks.call(error, "INVALID_REQUEST")
    return 5 + len(wrong) + 1 + len(lists)


def places(client):
    wrong_partitions = (-1, 3, INT_MAX, -INT_MAX - 1)
    for partition in wrong_partitions:
        errors = [client.produce(batch(TOPIC, record(b"x"), partition=partition))[0].error]
        errors += [client.fetch(TOPIC, partition).error, client.offset(TOPIC, partition, timestamp_ms=0).error]
        trim = topic_pb2.TrimTopicRequest(name=TOPIC, partitions=[topic_pb2.TrimPartition(partition=partition)])
        errors.append(client.topics.TrimTopic(trim).partitions[0].error)
        for error in errors:
            checks.item(error, "PARTITION_NOT_FOUND", TOPIC, str(partition), "0 to 2")
    wrong_offsets = (-1, -3, -LONG_MAX - 1, 5, LONG_MAX)
    for offset in wrong_offsets:
        checks.item(client.fetch(TOPIC, 0, offset).error, "OFFSET_OUT_OF_RANGE", TOPIC, str(offset))
        if offset != -1:
            trim = topic_pb2.TrimTopicRequest(name=TOPIC, partitions=[topic_pb2.TrimPartition(offset=offset)])
            checks.item(client.topics.TrimTopic(trim).partitions[0].error, "OFFSET_OUT_OF_RANGE", TOPIC)
    for stamp in (-1, -7, -LONG_MAX - 1):
        checks.item(client.offset(TOPIC, timestamp_ms=stamp).error, "INVALID_REQUEST", "timestamp_ms", str(stamp))
    checks.that(not client.offset(TOPIC, timestamp_ms=LONG_MAX).HasField("offset"))
    for word in (0, 9, INT_MAX, -1):
        checks.item(client.offset(TOPIC, word=word).error, "INVALID_REQUEST", "'at'")
    for length in (0, 1, 15, 17, 1 << 20):
        ask = client.produce(batch(TOPIC, record(b"x"), partition=0, topic_id=b"i" * length))[0]
        checks.item(ask.error, "INVALID_REQUEST", "topic_id", str(length))
    return len(wrong_partitions) * 4 + len(wrong_offsets) * 2 - 1 + 13


def reads(client):
    place = consumer_pb2.FetchPartition(topic=TOPIC)
    ask = lambda **fields: client.consumer.Fetch(consumer_pb2.FetchRequest(partitions=[place], **fields), timeout=SECONDS)
    for field in ("max_bytes", "min_bytes", "max_wait_ms"):
        for number in (-1, -INT_MAX - 1):
            checks.refused(lambda: ask(**{field: number}), "INVALID_REQUEST", field)
    checks.refused(lambda: ask(form=9), "INVALID_REQUEST", "form", "9")
    ten_days = 864_000_000
    for fields in ({"max_bytes": 1}, {"max_bytes": INT_MAX}, {"min_bytes": 100, "max_bytes": 10, "max_wait_ms": ten_days}):
        checks.that(len(ask(**fields).partitions[0].records) > 0, fields)
    for epoch, reason in ((-1, None), (-INT_MAX - 1, None), (INT_MAX, None)):
        place = consumer_pb2.FetchPartition(topic=TOPIC, leader_epoch=epoch)
        error = ask().partitions[0].error
        checks.that(error.reason == 0 or len(error.message) > 20, error)
    place = consumer_pb2.FetchPartition(topic=TOPIC, max_bytes=-5)
    checks.item(ask().partitions[0].error, "INVALID_REQUEST", "max_bytes", "-5")
    stream = Stream(client)
    stream.send(1, batch(TOPIC, record(b"x"), partition=0), acks=7)
    checks.item(stream.answer(1)[0].error, "INVALID_REQUEST", "acks", "7")
    stream.send(2)
    checks.item(stream.answer(2)[0].error, "INVALID_REQUEST", "batches")
    stream.close()
    return 16


def records(client):
    def refused(reason, part, *records, **fields):
        (result,) = client.produce(batch(TOPIC, *records, partition=0, **fields))
        checks.item(result.error, reason, part)

    refused("INVALID_RECORD", "", record(b"x", headers=[("h", b"")] * 20_000))
    refused("INVALID_TIMESTAMP", "-2", record(b"x", timestamp_ms=-2))
    refused("INVALID_TIMESTAMP", "", record(b"x", timestamp_ms=LONG_MAX))
    refused("INVALID_TIMESTAMP", "", record(b"x", timestamp_ms=-LONG_MAX - 1))
    refused("RECORD_TOO_LARGE", "1048588", record(bytes(2 << 20)))
    refused("INVALID_REQUEST", "producer_id", record(b"x"), producer_id=-7)
    refused("INVALID_REQUEST", "producer_epoch", record(b"x"), producer_id=7, producer_epoch=40_000, base_sequence=0)
    refused("INVALID_REQUEST", "base_sequence", record(b"x"), producer_id=7, producer_epoch=0, base_sequence=-1)
    (result,) = client.produce(batch(TOPIC, partition=0))
    checks.that(result.HasField("error"), "an empty list of records")
    checks.check_words(result.error.message)
    (result,) = client.produce(producer_pb2.ProduceBatch(topic=TOPIC, partition=0))
    checks.item(result.error, "INVALID_REQUEST", "payload")
    return 10


def raw(client):
    """Bytes that are no message, and messages above the limit: the connection lives."""

    def call(path, body):
        return lambda: client.channel.unary_unary(path)(body, timeout=SECONDS)

    produce, get = "/weir.v1.ProducerService/Produce", "/weir.v1.TopicService/GetTopic"
    deep = b"\x0b" * 100_000
    bodies = [b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x07", b"\x0a\x02\xff\xfe", deep, b"\x12" + b"\x80" * 20, b"\x0a"]
    for path in (produce, get):
        for body in bodies:
            checks.refused(call(path, body), "INVALID_REQUEST")
    large = producer_pb2.ProduceRequest(batches=[batch(TOPIC, record(bytes(5 << 20)), partition=0)]).SerializeToString()
    checks.refused(call(produce, large), "RECORD_TOO_LARGE", "4194304", "smaller")
    stream = Stream(client)
    stream.send(1, batch(TOPIC, record(bytes(5 << 20)), partition=0))
    checks.refused(lambda: next(stream.results), "RECORD_TOO_LARGE", "4194304", "smaller")
    gzipped = lambda: client.producer.Produce(producer_pb2.ProduceRequest(), compression=grpc.Compression.Gzip, timeout=SECONDS)
    checks.refused(gzipped, "INVALID_REQUEST", "gzip")
    return 2 * len(bodies) + 3


def stall_of(client, ask):
    """How long others wait while `ask` is answered."""
    other, waits = grpc.insecure_channel(client.address, options=[("grpc.use_local_subchannel_pool", 1)]), []
    probe = other.unary_unary("/weir.v1.ClusterService/GetCluster")
    probe(b"", timeout=SECONDS)
    running = ask()
    while not running.done() or not waits:
        began = time.monotonic()
        probe(b"", timeout=120)
        waits.append(time.monotonic() - began)
    other.close()
    return max(waits), running.result()


def crowds(client):
    """10,000 items in one request, each wrong, with names that are costly to compare."""
    for number in range(100):
        client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name="n" * 50 + f"{number:04}"), timeout=SECONDS)
    nobody = ["n" * 48 + f"{number:07}" for number in range(ITEMS_MAX)]
    worst = 0
    for stub, request in (
        (client.cluster.GetMetadata, cluster_pb2.GetMetadataRequest(topics=nobody[:8_000])),
        (client.producer.Produce, producer_pb2.ProduceRequest(batches=[batch(name, partition=0) for name in nobody])),
        (client.producer.Produce, producer_pb2.ProduceRequest(batches=[batch(name, record(b""), partition=0) for name in nobody])),
        (client.consumer.Fetch, consumer_pb2.FetchRequest(partitions=[consumer_pb2.FetchPartition(topic=name) for name in nobody])),
        (client.consumer.ListOffsets, consumer_pb2.ListOffsetsRequest(partitions=[consumer_pb2.ListOffsetsPartition(topic=name, word=1) for name in nobody])),
    ):
        stall, reply = stall_of(client, lambda: stub.future(request, timeout=300))
        answers = next(value for field, value in reply.ListFields() if field.name in ("topics", "results", "partitions", "offsets"))
        checks.that(0 < len(answers) <= ITEMS_MAX)
        print(f"    {type(request).__name__} of up to {ITEMS_MAX} unknown names: {len(answers)} answers, others waited at most {stall:.2f} s")
        worst = max(worst, stall)
    one_more = [consumer_pb2.FetchPartition(topic=TOPIC)] * (ITEMS_MAX + 1)
    checks.refused(lambda: client.consumer.Fetch(consumer_pb2.FetchRequest(partitions=one_more)), "INVALID_REQUEST", "10001", "10000")
    checks.that(worst <= STALL_SECONDS_MAX, f"others waited {worst:.1f} s")
    return 6, worst


def run(client, _broker):
    client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name=TOPIC, partition_count=3))
    client.produce(batch(TOPIC, *[record(b"v" * 100)] * 4, partition=0))
    counts = [part(client) for part in (names, topic_settings, places, reads, records, raw)]
    crowd_count, worst = crowds(client)
    return f"{sum(counts) + crowd_count} requests refused, others waited at most {worst:.2f} s"
