"""Kafka record batches v2, right and wrong on purpose."""

import gzip
import struct

HEADER_BYTES = 61


def crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CRC_TABLE = list(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[crc & 0xFF ^ byte]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def framed(body):
    return varint(len(body)) + body


def record(delta=0, value=b"value", attributes=0, timestamp=0, key=varint(-1), headers=varint(0)):
    """One record; key and headers as they are encoded."""
    return framed(bytes([attributes]) + varint(timestamp) + varint(delta) + key + varint(len(value)) + value + headers)


def batch(records=None, count=1, tail=b"", crc=None, length=None, **fields):
    """A batch whose checksum fits whatever is wrong with it, unless `crc` is given."""
    records = record() if records is None else records
    get = fields.pop
    inside = struct.pack(
        ">HiqqqhiI",
        get("attributes", 0),
        get("last_delta", count - 1),
        get("timestamp", 1_000),
        get("max_timestamp", 1_000),
        get("producer_id", -1),
        get("producer_epoch", -1),
        get("base_sequence", -1),
        count & 0xFFFFFFFF,
    )
    inside += records + tail
    crc = crc32c(inside) if crc is None else crc
    length = len(inside) + 9 if length is None else length
    out = struct.pack(">qiiBI", get("base_offset", 0), length, 0, get("magic", 2), crc) + inside
    assert not fields, fields
    return out


def gzip_bomb(plain_bytes):
    return gzip.compress(bytes(plain_bytes))


def zstd_frames(plain_bytes, window=0x50, size=b""):
    """Blocks of 128 KiB that repeat one byte: four bytes each. The window byte is exponent << 3 | mantissa."""
    descriptor = 0xC0 if size else 0
    blocks = (plain_bytes + (128 << 10) - 1) // (128 << 10)
    block = (128 << 10) << 3 | 1 << 1
    body = struct.pack("<I", block)[:3] + b"\0"
    last = struct.pack("<I", block | 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor, window]) + size + body * (blocks - 1) + last


def snappy_claim(plain_bytes):
    """A bare block that claims to unpack to so many bytes."""
    out = bytearray()
    while plain_bytes > 0x7F:
        out.append(plain_bytes & 0x7F | 0x80)
        plain_bytes >>= 7
    return bytes(out) + bytes([plain_bytes]) + b"\x00a"
