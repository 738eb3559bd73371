"""Uses the whole of Weir's gRPC interface as any stock client would, and asserts every answer."""

import queue
import threading
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import checks
from broker import Broker
from weir.v1 import cluster_pb2, cluster_pb2_grpc, consumer_pb2, consumer_pb2_grpc
from weir.v1 import errors_pb2, producer_pb2, producer_pb2_grpc, record_pb2, topic_pb2, topic_pb2_grpc

PARTITIONS = 3
OWN_SERVICES = {f"weir.v1.{name}Service" for name in ("Cluster", "Consumer", "Producer", "Topic")}
SECONDS = 10
# Bytes without key that stay on one partition before the next one has its turn.
STICKY_BYTES = 16 << 10
NONE, LEADER, ALL = producer_pb2.ACKS_NONE, producer_pb2.ACKS_LEADER, producer_pb2.ACKS_ALL
# Kafka's Java client puts these keys there, of three partitions.
MURMUR2 = {b"1": 0, b"21": 0, b"kafka": 1, b"key": 1, b"foobar": 0, b"giberish123456789": 2, "żółw".encode(): 2}


class Client:
    def __init__(self, address):
        self.address = address
        self.channel = grpc.insecure_channel(address)
        self.topics = topic_pb2_grpc.TopicServiceStub(self.channel)
        self.producer = producer_pb2_grpc.ProducerServiceStub(self.channel)
        self.consumer = consumer_pb2_grpc.ConsumerServiceStub(self.channel)
        self.cluster = cluster_pb2_grpc.ClusterServiceStub(self.channel)

    def produce(self, *batches, acks=ALL):
        return self.producer.Produce(producer_pb2.ProduceRequest(acks=acks, batches=batches), timeout=SECONDS).results

    def fetch(self, topic, partition=0, offset=0, form=record_pb2.RECORD_FORM_RECORDS, **more):
        place = consumer_pb2.FetchPartition(topic=topic, partition=partition, offset=offset)
        request = consumer_pb2.FetchRequest(partitions=[place], form=form, **more)
        return self.consumer.Fetch(request, timeout=SECONDS).partitions[0]

    def offset(self, topic, partition=0, **at):
        place = consumer_pb2.ListOffsetsPartition(topic=topic, partition=partition, **at)
        return self.consumer.ListOffsets(consumer_pb2.ListOffsetsRequest(partitions=[place]), timeout=SECONDS).offsets[0]


def record(value, key=None, timestamp_ms=None, headers=()):
    headers = [record_pb2.Header(key=key, value=value) for key, value in headers]
    return record_pb2.Record(key=key, value=value, timestamp_ms=timestamp_ms, headers=headers)


def batch(topic, *records, **more):
    return producer_pb2.ProduceBatch(topic=topic, records=record_pb2.RecordList(records=records), **more)


class Stream:
    """A produce stream: what goes in is sent at once, what comes back is read by a thread of grpcio."""

    def __init__(self, client):
        self.requests = queue.Queue()
        self.call = client.producer.ProduceStream(iter(self.requests.get, None), timeout=60)
        self.results = self._flat(self.call)

    @staticmethod
    def _flat(responses):
        for response in responses:
            yield from response.results

    def send(self, sequence, *batches, acks=ALL, resume=False):
        self.requests.put(producer_pb2.ProduceStreamRequest(sequence=sequence, acks=acks, batches=batches, resume=resume))

    def answer(self, sequence):
        result = next(self.results)
        checks.equal(result.sequence, sequence, "sequence of the answer")
        return result.results

    def close(self):
        self.requests.put(None)
        checks.equal(list(self.results), [], "answers after the last request")


def creates(client):
    create = topic_pb2.CreateTopicRequest(name="orders", partition_count=PARTITIONS, configs={"retention.ms": "86400000"})
    dry = topic_pb2.CreateTopicRequest(name="orders", partition_count=PARTITIONS, validate_only=True)
    client.topics.CreateTopic(dry, timeout=SECONDS)
    checks.equal(len(client.topics.ListTopics(topic_pb2.ListTopicsRequest()).topics), 0, "topics after validate_only")
    topic = client.topics.CreateTopic(create, timeout=SECONDS).topic
    checks.equal(topic.name, "orders")
    checks.equal(len(topic.topic_id), 16, "bytes of the topic id")
    checks.equal([p.partition for p in topic.partitions], list(range(PARTITIONS)))
    found = client.topics.GetTopic(topic_pb2.GetTopicRequest(name="orders")).topic
    checks.equal(found.topic_id, topic.topic_id)
    checks.equal({c.key: c.value for c in found.configs if c.is_set}, {"retention.ms": "86400000"})
    keys = {key.key for key in client.topics.ListConfigKeys(topic_pb2.ListConfigKeysRequest()).keys}
    checks.equal(keys, {c.key for c in found.configs}, "config keys")
    metadata = client.cluster.GetMetadata(cluster_pb2.GetMetadataRequest(topics=["orders", "ordres"]))
    checks.equal([t.exists for t in metadata.topics], [True, False])
    checks.equal(metadata.topics[1].closest, "orders")
    cluster = client.cluster.GetCluster(cluster_pb2.GetClusterRequest())
    checks.equal(cluster.cluster_id, metadata.cluster_id)
    checks.that(cluster.rss_anon_bytes > 0)
    return topic


def produces(client):
    headers = [("h", b"1"), ("h", None), ("empty", b"")]
    sent = [record(b"a", b"k", 1_700_000_000_000, headers), record(None, b""), record(b"\xff\x00", None, 1_700_000_000_500)]
    (result,) = client.produce(batch("orders", *sent, partition=1))
    checks.equal((result.partition, result.base_offset, result.record_count), (1, 0, 3))
    checks.equal(result.durability, producer_pb2.DURABILITY_FLUSHED)
    checks.that(not result.HasField("error"))
    back = client.fetch("orders", 1)
    checks.equal([r.offset for r in back.records], [0, 1, 2])
    checks.equal([(r.HasField("key"), r.key) for r in back.records], [(True, b"k"), (True, b""), (False, b"")])
    checks.equal([(r.HasField("value"), r.value) for r in back.records], [(True, b"a"), (False, b""), (True, b"\xff\x00")])
    found = [(h.key, h.value if h.HasField("value") else None) for h in back.records[0].headers]
    checks.equal(found, headers, "headers")
    checks.equal((back.records[0].timestamp_ms, back.records[2].timestamp_ms), (1_700_000_000_000, 1_700_000_000_500))
    checks.that(abs(back.records[1].timestamp_ms - time.time() * 1_000) < 60_000, "the broker's clock")


def partitions(client):
    by_index = {}
    keyed = [record(b"v", key) for key in MURMUR2]
    for result in client.produce(batch("orders", *keyed), acks=LEADER):
        checks.equal(len(result.record_indexes), result.record_count)
        by_index.update({index: result.partition for index in result.record_indexes})
    checks.equal([by_index[index] for index in range(len(keyed))], list(MURMUR2.values()), "murmur2")
    large = batch("orders", record(b"v" * STICKY_BYTES))
    keyless = [result.partition for _ in range(9) for result in client.produce(large)]
    checks.equal(sorted(keyless), sorted(3 * list(range(PARTITIONS))), "partitions of keyless batches")
    checks.equal(len(client.produce(batch("orders", record(b"no answer"), partition=0), acks=NONE)), 0)
    mixed = client.produce(batch("orders", record(b"x"), partition=0), batch("nowhere", record(b"x"), partition=0))
    checks.equal([r.batch_index for r in mixed], [0, 1])
    checks.that(not mixed[0].HasField("error"))
    checks.item(mixed[1].error, "TOPIC_NOT_FOUND", "nowhere")


def streams(client):
    client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name="stream", partition_count=2), timeout=SECONDS)
    stream = Stream(client)
    for sequence in range(1, 201):
        acks = (ALL, LEADER, NONE)[sequence % 3]
        stream.send(sequence, batch("stream", record(b"%d" % sequence), partition=0), acks=acks)
    answered = [sequence for sequence in range(1, 201) if sequence % 3 != 2]
    offsets = [stream.answer(sequence)[0].base_offset for sequence in answered]
    checks.equal(offsets, [sequence - 1 for sequence in answered], "offsets")
    stream.send(300, batch("stream", record(b"x"), partition=7))
    checks.item(stream.answer(300)[0].error, "PARTITION_NOT_FOUND", "stream", "7")
    stream.send(301, batch("stream", record(b"spread"), record(b"keyed", b"kafka")), resume=True)
    checks.equal(sum(r.record_count for r in stream.answer(301)), 2)
    stream.close()
    values = [r.value for r in client.fetch("stream", 0).records][:200]
    checks.equal(values, [b"%d" % sequence for sequence in range(1, 201)], "values in order")


def preceding_failed(client):
    stream = Stream(client)
    stream.send(1, producer_pb2.ProduceBatch(topic="stream", partition=1, batch=b"no batch"))
    stream.send(2, batch("stream", record(b"later"), partition=1))
    stream.send(3, batch("stream", record(b"other"), partition=0))
    stream.send(4, batch("stream", record(b"resumed"), partition=1), resume=True)
    # Partitions may overtake one another.
    results = {result.sequence: result.results[0] for result in (next(stream.results) for _ in range(4))}
    checks.item(results[1].error, "CORRUPT_BATCH")
    checks.item(results[2].error, "PRECEDING_FAILED")
    checks.equal(results[2].error.outcome, errors_pb2.OUTCOME_NOT_WRITTEN)
    checks.that(not results[3].HasField("error") and not results[4].HasField("error"))
    stream.close()


def idempotence(client):
    producer = client.producer.InitProducer(producer_pb2.InitProducerRequest())
    mine = {"producer_id": producer.producer_id, "producer_epoch": producer.producer_epoch, "partition": 1}
    first = batch("stream", record(b"once"), record(b"twice"), base_sequence=0, **mine)
    (stored,) = client.produce(first)
    (again,) = client.produce(first)
    checks.equal((again.duplicate, again.base_offset), (True, stored.base_offset))
    (gap,) = client.produce(batch("stream", record(b"gap"), base_sequence=9, **mine))
    checks.item(gap.error, "OUT_OF_ORDER_SEQUENCE", "9")


def batches(client):
    """What comes out in the batch form goes in again in the batch form, byte for byte."""
    entry = client.fetch("orders", 1, form=record_pb2.RECORD_FORM_BATCH)
    length = 12 + int.from_bytes(entry.batches[8:12], "big")
    encoded = b"\0" * 8 + entry.batches[8:length]
    checks.equal(encoded[16], 2, "magic")
    (result,) = client.produce(producer_pb2.ProduceBatch(topic="stream", partition=1, batch=encoded))
    checks.equal(result.record_count, 3)
    back = client.fetch("stream", 1, result.base_offset, form=record_pb2.RECORD_FORM_BATCH).batches
    checks.equal(back[16:length], encoded[16:], "bytes from the magic on")
    (refused,) = client.produce(producer_pb2.ProduceBatch(topic="stream", batch=encoded))
    checks.item(refused.error, "INVALID_REQUEST", "partition")


def long_polls(client):
    end = client.offset("orders", 0, word=consumer_pb2.OFFSET_WORD_END).offset
    began = time.monotonic()
    checks.equal(len(client.fetch("orders", 0, end, max_wait_ms=300, min_bytes=1).records), 0)
    checks.that(time.monotonic() - began >= 0.29, "an empty fetch waits max_wait_ms")
    later = threading.Timer(0.2, client.produce, [batch("orders", record(b"late"), partition=0)])
    later.start()
    began = time.monotonic()
    entry = client.fetch("orders", 0, end, max_wait_ms=8_000, min_bytes=1)
    checks.equal([r.value for r in entry.records], [b"late"])
    checks.that(time.monotonic() - began < 5, "a fetch wakes when there is something")
    checks.equal((entry.next_offset, entry.high_watermark), (end + 1, end + 1))
    later.join()


def offsets(client):
    topic_pb2_request = topic_pb2.CreateTopicRequest(name="times")
    client.topics.CreateTopic(topic_pb2_request, timeout=SECONDS)
    for stamp in (1_000, 3_000, 2_000):
        client.produce(batch("times", record(b"t", timestamp_ms=stamp), partition=0))
    checks.equal(client.offset("times", word=consumer_pb2.OFFSET_WORD_START).offset, 0)
    checks.equal(client.offset("times", word=consumer_pb2.OFFSET_WORD_END).offset, 3)
    latest = client.offset("times", word=consumer_pb2.OFFSET_WORD_MAX_TIMESTAMP)
    checks.equal((latest.offset, latest.timestamp_ms), (1, 3_000))
    for asked, offset in ((0, 0), (1_000, 0), (1_001, 1), (3_000, 1)):
        checks.equal(client.offset("times", timestamp_ms=asked).offset, offset, f"first at or after {asked}")
    checks.that(not client.offset("times", timestamp_ms=3_001).HasField("offset"), "nothing at or after 3001")
    checks.item(client.offset("times", timestamp_ms=-7).error, "INVALID_REQUEST", "timestamp_ms", "-7")
    checks.item(client.offset("timez", timestamp_ms=1).error, "TOPIC_NOT_FOUND", "timez", "times")


def tails(client):
    client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name="tail", partition_count=2), timeout=SECONDS)
    count = 300

    def send():
        for number in range(count):
            client.produce(batch("tail", record(b"%d" % number), partition=number % 2))

    sender = threading.Thread(target=send)
    sender.start()
    places = [consumer_pb2.FetchPartition(topic="tail", partition=partition) for partition in (0, 1)]
    tail = client.consumer.Tail(consumer_pb2.TailRequest(partitions=places), timeout=60)
    values, caught_up = {0: [], 1: []}, False
    for response in tail:
        entry = response.partition
        values[entry.partition] += [int(r.value) for r in entry.records]
        caught_up |= response.caught_up
        if len(values[0]) + len(values[1]) == count:
            break
    tail.cancel()
    sender.join()
    checks.equal(values, {0: list(range(0, count, 2)), 1: list(range(1, count, 2))}, "tailed values")
    checks.that(caught_up, "the tail says when it has everything")
    lost = consumer_pb2.FetchPartition(topic="tail", partition=9)
    response = next(client.consumer.Tail(consumer_pb2.TailRequest(partitions=[lost, places[0]]), timeout=SECONDS))
    checks.item(response.partition.error, "PARTITION_NOT_FOUND", "tail", "9")


def alters(client):
    update = topic_pb2.UpdateTopicRequest(name="orders", set_configs={"max.message.bytes": "2000"}, delete_configs=["retention.ms"], partition_count=5)
    updated = client.topics.UpdateTopic(update, timeout=SECONDS)
    checks.equal((len(updated.previous.partitions), len(updated.topic.partitions)), (3, 5))
    checks.equal({c.key: c.value for c in updated.topic.configs if c.is_set}, {"max.message.bytes": "2000"})
    (refused,) = client.produce(batch("orders", record(b"x" * 3_000), partition=0))
    checks.item(refused.error, "RECORD_TOO_LARGE", "2000")
    checks.equal(client.produce(batch("orders", record(b"new"), partition=4))[0].base_offset, 0)
    fewer = topic_pb2.UpdateTopicRequest(name="orders", partition_count=2)
    checks.refused(lambda: client.topics.UpdateTopic(fewer), "INVALID_PARTITIONS", "orders", "2")


def trims(client):
    trim = topic_pb2.TrimTopicRequest(name="orders", partitions=[topic_pb2.TrimPartition(partition=1, offset=2)])
    (trimmed,) = client.topics.TrimTopic(trim, timeout=SECONDS).partitions
    checks.equal(trimmed.log_start_offset, 2)
    entry = client.fetch("orders", 1, 0)
    error = checks.item(entry.error, "OFFSET_OUT_OF_RANGE", "orders", "offset 0")
    checks.equal(error.metadata["start"], "2", "start of the range")
    checks.equal(client.fetch("orders", 1, 2).records[0].offset, 2)
    whole = topic_pb2.TrimTopicRequest(name="orders", partitions=[topic_pb2.TrimPartition(partition=1, offset=-1)])
    end = client.offset("orders", 1, word=consumer_pb2.OFFSET_WORD_END).offset
    checks.equal(client.topics.TrimTopic(whole).partitions[0].log_start_offset, end)


def typed_errors(client):
    def get(name):
        return lambda: client.topics.GetTopic(topic_pb2.GetTopicRequest(name=name), timeout=SECONDS)

    def create(name, count=1, **configs):
        configs = {key.replace("_", "."): value for key, value in configs.items()}
        request = topic_pb2.CreateTopicRequest(name=name, partition_count=count, configs=configs)
        return lambda: client.topics.CreateTopic(request, timeout=SECONDS)

    code = grpc.StatusCode
    facts = checks.refused(get("ordres"), "TOPIC_NOT_FOUND", "ordres", "orders", code=code.NOT_FOUND)
    checks.equal((facts["topic"], facts["outcome"]), ("ordres", "NOT_WRITTEN"))
    checks.refused(create("orders"), "TOPIC_EXISTS", "orders", code=code.ALREADY_EXISTS)
    checks.refused(create("a/b"), "INVALID_TOPIC", "a/b", code=code.INVALID_ARGUMENT)
    checks.refused(create("big", 100_000), "INVALID_PARTITIONS", "100000", code=code.INVALID_ARGUMENT)
    checks.refused(create("odd", retention_mss="1"), "INVALID_CONFIG", "retention.ms", code=code.INVALID_ARGUMENT)
    checks.refused(create("odd", cleanup_policy="shrink"), "INVALID_CONFIG", code=code.INVALID_ARGUMENT)
    checks.refused(client.produce, "INVALID_REQUEST", "batches", code=code.INVALID_ARGUMENT)
    checks.refused(lambda: client.produce(batch("orders", record(b"x")), acks=7), "INVALID_REQUEST", "acks", "7")
    unknown = client.channel.unary_unary("/weir.v1.TopicService/NoSuchCall")
    checks.refused(lambda: unknown(b"", timeout=SECONDS), "INVALID_REQUEST", code=code.UNIMPLEMENTED)


def deletes(client, topic):
    client.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name="orders", validate_only=True), timeout=SECONDS)
    client.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name="orders"), timeout=SECONDS)
    gone = topic_pb2.GetTopicRequest(name="orders")
    checks.refused(lambda: client.topics.GetTopic(gone), "TOPIC_NOT_FOUND", "orders")
    new = client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name="orders"), timeout=SECONDS).topic
    checks.that(new.topic_id != topic.topic_id, "a topic that is made again has a new id")
    (stale,) = client.produce(batch("orders", record(b"x"), partition=0, topic_id=topic.topic_id))
    checks.item(stale.error, "UNKNOWN_TOPIC_ID", "orders")
    names = [t.name for t in client.topics.ListTopics(topic_pb2.ListTopicsRequest(name_glob="t*")).topics]
    checks.equal(names, ["tail", "times"], "topics that match t*")


def reflection(client):
    listed = ProtoReflectionDescriptorDatabase(client.channel).get_services()
    checks.that(OWN_SERVICES <= set(listed), f"v1alpha lists {listed}")
    # WHY by hand: grpcio has stubs for v1alpha only; v1 differs by its name alone.
    ask = client.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(ask(iter([request]), timeout=SECONDS))
    listed = {service.name for service in answer.list_services_response.service}
    checks.that(OWN_SERVICES | {"grpc.health.v1.Health"} <= listed, f"v1 lists {listed}")
    for name in sorted(OWN_SERVICES):
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
        found = next(ask(iter([request]), timeout=SECONDS))
        checks.that(len(found.file_descriptor_response.file_descriptor_proto) > 0, name)
    return len(listed)


def health(client):
    stub = health_pb2_grpc.HealthStub(client.channel)
    for name in ["", *sorted(OWN_SERVICES)]:
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
        checks.equal(answer.status, health_pb2.HealthCheckResponse.SERVING, f"health of {name!r}")
    checks.refused(lambda: stub.Check(health_pb2.HealthCheckRequest(service="nobody")), "INVALID_REQUEST")


def main():
    began = time.monotonic()
    with Broker() as broker:
        client = Client(broker.address)
        topic = creates(client)
        for part in (produces, partitions, streams, preceding_failed, idempotence, batches, long_polls, offsets, tails):
            part(client)
        for part in (alters, trims, typed_errors):
            part(client)
        deletes(client, topic)
        service_count = reflection(client)
        health(client)
        client.channel.close()
        broker.stop()
    seconds = time.monotonic() - began
    print(f"stock Python client: {checks.count} checks hold, {service_count} services by reflection, {seconds:.1f} s")


if __name__ == "__main__":
    main()
