"""Assertions that count, and errors as the proto files promise them."""

import os

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from weir.v1 import errors_pb2

# An error must say more than its name: it names the object, the reason and the next step.
WORDS_MIN = 4

# Part of the work that the short form leaves.
SHORT_PART = 5

count = 0


def scaled(number):
    """How many of these to do: all, or a part in the short form."""
    return number // SHORT_PART if os.environ.get("SHORT") == "1" else number


def that(holds, words=""):
    global count
    assert holds, words
    count += 1


def equal(found, expected, words=""):
    that(found == expected, f"{words}: found {found!r}, expected {expected!r}")


def reason_name(number):
    return errors_pb2.ErrorReason.Name(number).removeprefix("ERROR_REASON_")


def check_words(words):
    that(len(words.split()) >= WORDS_MIN, f"the message says too little: {words!r}")
    that(words.isprintable(), f"the message holds raw control characters: {words!r}")
    that(len(words) < 2_000, f"the message has {len(words)} characters")


def item(error, reason, *parts):
    """The error of one item: its reason, and the parts that its message must hold."""
    equal(reason_name(error.reason), reason, error.message)
    check_words(error.message)
    for part in parts:
        that(part in error.message, f"{part!r} is not in {error.message!r}")
    return error


def call(refused, reason, *parts, code=None):
    """The status of a call that failed: exactly one ErrorInfo with this reason, of the domain weir."""
    status = rpc_status.from_call(refused)
    that(status is not None, f"no details: {refused.code()} {refused.details()!r}")
    found = [error_details_pb2.ErrorInfo() for _ in range(sum(d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR) for d in status.details))]
    equal(len(found), 1, "ErrorInfo in the status")
    info = found[0]
    next(d for d in status.details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)).Unpack(info)
    equal(info.reason, reason, refused.details())
    equal(info.domain, "weir")
    if code is not None:
        equal(refused.code(), code, refused.details())
    check_words(refused.details())
    for part in parts:
        that(part in refused.details(), f"{part!r} is not in {refused.details()!r}")
    return dict(info.metadata)


def refused(do, reason, *parts, code=None):
    """Runs `do`, which must fail so."""
    try:
        reply = do()
    except grpc.RpcError as error:
        return call(error, reason, *parts, code=code)
    raise AssertionError(f"{reason} expected, answered with {str(reply)[:300]!r}")
