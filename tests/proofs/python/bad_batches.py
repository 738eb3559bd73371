"""Batches that no topic may take: each is refused in words, alone, and its neighbours are stored."""

import random

import checks
import encode
from stock_client import ALL, Stream
from weir.v1 import consumer_pb2, producer_pb2, record_pb2, topic_pb2

TOPIC = "batches"
GIB = 1 << 30
FUZZED = checks.scaled(5_000)


def wrong_frames():
    good = encode.batch()
    yield b"", "CORRUPT_BATCH", "0 are there"
    yield b"no batch", "CORRUPT_BATCH", "8 are there"
    yield good[:60], "CORRUPT_BATCH", "60"
    yield good[:-1], "CORRUPT_BATCH", str(len(good))
    yield good + good, "INVALID_RECORD", "one batch"
    yield good + good[:30], "INVALID_RECORD", "one batch"
    yield encode.batch(crc=0), "CORRUPT_BATCH", "00000000"
    for length in (-1, 0, 48, -(1 << 31)):
        yield encode.batch(length=length), "CORRUPT_BATCH", str(length)
    yield encode.batch(length=(1 << 31) - 1), "CORRUPT_BATCH", ""
    for magic in (0, 1, 3, 127, 255):
        yield encode.batch(magic=magic), "INVALID_RECORD", f"magic {magic}"


def wrong_headers():
    for count in (0, -1, (1 << 31) - 1, -(1 << 31)):
        yield encode.batch(count=count, last_delta=0), "INVALID_RECORD", f"record count is {count}"
    yield encode.batch(count=2, last_delta=0), "INVALID_RECORD", "last offset delta 0"
    yield encode.batch(count=(1 << 31) - 1), "INVALID_RECORD", "record 1"
    yield encode.batch(count=-(1 << 31), last_delta=(1 << 31) - 1), "INVALID_RECORD", "record count"
    for base in (5, -1, (1 << 63) - 1):
        yield encode.batch(base_offset=base), "INVALID_RECORD", f"base offset is {base}"
    for codec in (5, 6, 7):
        yield encode.batch(attributes=codec), "UNSUPPORTED_COMPRESSION", f"id {codec}"
    for attributes, word in ((8, "append time"), (16, "transactional"), (32, "control"), (48, "control"), (64, "horizon")):
        yield encode.batch(attributes=attributes), "INVALID_RECORD", word
    for attributes in (0x80, 0x8000):
        yield encode.batch(attributes=attributes), "INVALID_RECORD", "attributes"
    yield encode.batch(producer_id=7, producer_epoch=0), "INVALID_RECORD", "base sequence -1"
    yield encode.batch(producer_id=7, base_sequence=0), "INVALID_RECORD", "producer epoch -1"
    far = 253_402_300_799_000
    for stamp in (far, (1 << 63) - 1):
        yield encode.batch(timestamp=stamp, max_timestamp=stamp), "INVALID_TIMESTAMP", str(stamp)
    yield encode.batch(timestamp=-2, max_timestamp=-2), "INVALID_TIMESTAMP", "-2"
    yield encode.batch(timestamp=-(1 << 63), max_timestamp=-(1 << 63)), "INVALID_TIMESTAMP", "-9223372036854775808"
    yield encode.batch(encode.record(timestamp=5), max_timestamp=1_000), "INVALID_RECORD", "max timestamp 1000"
    overflow = encode.batch(encode.record(timestamp=(1 << 62)), timestamp=(1 << 62) + (1 << 61))
    yield overflow, "INVALID_RECORD", "record 0"


def wrong_records():
    def one(body):
        return encode.batch(encode.framed(body)), "INVALID_RECORD", "record 0"

    start = b"\0" + encode.varint(0) + encode.varint(0)
    yield encode.batch(tail=b"more"), "INVALID_RECORD", "4 bytes"
    yield encode.batch(b""), "INVALID_RECORD", "record 0"
    yield encode.batch(encode.varint(-2)), "INVALID_RECORD", "record 0"
    yield encode.batch(encode.varint(1 << 30)), "INVALID_RECORD", "record 0"
    yield encode.batch(b"\xff" * 11), "INVALID_RECORD", "record 0"
    yield encode.batch(encode.record(delta=1)), "INVALID_RECORD", "1"
    yield encode.batch(encode.record(delta=-1)), "INVALID_RECORD", "-1"
    yield encode.batch(encode.record(attributes=1)), "INVALID_RECORD", "record 0"
    yield one(b"")
    yield one(start + encode.varint(-2))
    yield one(start + encode.varint(1_000_000) + b"k")
    yield one(start + encode.varint(-1) + encode.varint(-5) + encode.varint(0))
    yield one(start + encode.varint(-1) + encode.varint(-1) + encode.varint(0) + b"left")
    for headers in (-1, 1_000_000, (1 << 31) - 1):
        yield one(start + encode.varint(-1) * 2 + encode.varint(headers))
    yield one(start + encode.varint(-1) * 2 + encode.varint(20_000) + (encode.varint(0) + encode.varint(-1)) * 20_000)
    yield one(start + encode.varint(-1) * 2 + encode.varint(1) + encode.varint(-1) + encode.varint(-1))
    yield one(start + encode.varint(-1) * 2 + encode.varint(1) + encode.varint(2) + b"\xff\xfe" + encode.varint(-1))
    yield one(b"\0" + b"\xff" * 9 + b"\x7f" + encode.varint(0))


def wrong_streams():
    """Compressed records that lie. Bombs stop at the bound."""
    for codec, name in ((1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")):
        yield encode.batch(b"", attributes=codec), "INVALID_RECORD", "record 0"
        for packed in (b"\x01", b"garbage!" * 20, encode.record()):
            yield encode.batch(packed, attributes=codec), "INVALID_RECORD", name
    yield encode.batch(encode.gzip_bomb(GIB // 4)[:900_000], attributes=1), "RECORD_TOO_LARGE", "gzip"
    yield encode.batch(encode.gzip_bomb(1 << 20)[:-4], attributes=1), "INVALID_RECORD", "gzip"
    yield encode.batch(encode.gzip_bomb(1 << 20) + b"x", attributes=1), "INVALID_RECORD", "gzip"
    yield encode.batch(encode.zstd_frames(GIB), attributes=4), "RECORD_TOO_LARGE", "zstd"
    yield encode.batch(encode.zstd_frames(GIB, size=(GIB).to_bytes(8, "little")), attributes=4), "RECORD_TOO_LARGE", "zstd"
    yield encode.batch(encode.zstd_frames(1 << 20, window=21 << 3), attributes=4), "INVALID_RECORD", "zstd"
    for claimed in ((1 << 31) - 1, 1_000):
        yield encode.batch(encode.snappy_claim(claimed), attributes=2), "INVALID_RECORD", "snappy"
    yield encode.batch(encode.gzip_bomb(1)[:10] + encode.batch(), attributes=1), "INVALID_RECORD", "gzip"
    yield encode.batch(bytes(1_100_000)), "RECORD_TOO_LARGE", "1048588"


def cases():
    for make in (wrong_frames, wrong_headers, wrong_records, wrong_streams):
        yield from make()


def is_refused(result, reason, part):
    checks.item(result.error, reason, TOPIC, "partition 0", part)
    checks.equal(result.base_offset, -1)


def run(client, _broker):
    client.topics.CreateTopic(topic_pb2.CreateTopicRequest(name=TOPIC, partition_count=2))
    bad = list(cases())
    good = producer_pb2.ProduceBatch(topic=TOPIC, partition=1, batch=encode.batch())
    stream = Stream(client)
    for number, (bytes_, reason, part) in enumerate(bad):
        item = producer_pb2.ProduceBatch(topic=TOPIC, partition=0, batch=bytes_)
        first, second = client.produce(item, good)
        is_refused(first, reason, part)
        checks.equal(second.base_offset, 2 * number)
        stream.send(number, item, good, acks=ALL, resume=True)
        first, second = stream.answer(number)
        is_refused(first, reason, part)
        checks.equal(second.base_offset, 2 * number + 1)
    stream.close()
    end = client.offset(TOPIC, 0, word=consumer_pb2.OFFSET_WORD_END).offset
    checks.equal(end, 0, "nothing that was refused was stored")
    stored = fuzz(client)
    return f"{len(bad)} batches refused twice each, {FUZZED} altered at random, of which {stored} records were right and read back"


def fuzz(client):
    """Alters bytes at random; whatever is taken must be readable in both forms."""
    rng = random.Random(7)
    records = b"".join(encode.record(delta, headers=encode.varint(1) + encode.framed(b"h") + encode.varint(-1)) for delta in range(5))
    plain, stored = encode.batch(records, count=5), 0
    packed = encode.batch(encode.gzip.compress(records), count=5, attributes=1)
    for _ in range(FUZZED // 100):
        items = []
        for _ in range(100):
            altered = bytearray(rng.choice((plain, packed)))
            for _ in range(rng.randint(1, 3)):
                altered[rng.randrange(8, len(altered))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            altered[17:21] = encode.crc32c(altered[21:]).to_bytes(4, "big")
            items.append(producer_pb2.ProduceBatch(topic=TOPIC, partition=0, batch=bytes(altered)))
        for result in client.produce(*items):
            if result.HasField("error"):
                checks.check_words(result.error.message)
            else:
                stored += result.record_count
    end = client.offset(TOPIC, 0, word=consumer_pb2.OFFSET_WORD_END).offset
    checks.equal(end, stored, "offsets are those of what was stored")
    for form in (record_pb2.RECORD_FORM_RECORDS, record_pb2.RECORD_FORM_BATCH):
        offset = 0
        while offset < end:
            entry = client.fetch(TOPIC, 0, offset, form=form)
            checks.that(not entry.HasField("error"), entry.error.message)
            checks.that(entry.next_offset > offset, f"no step at {offset}")
            offset = entry.next_offset
    return stored
