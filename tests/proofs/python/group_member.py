"""A member of a consumer group that is nothing but a gRPC stream: `group_member.py ADDRESS GROUP TOPIC`.

Prints a line for all that happens (`took`, `read`, `left`, `committed`), and leaves when its input ends.
"""

import queue
import sys
import threading

import grpc

from weir.v1 import consumer_pb2, consumer_pb2_grpc, group_pb2

COMMIT_EVERY = 10


class Member:
    def __init__(self, address, group, topic):
        self.requests = queue.Queue()
        options = group_pb2.MemberOptions(subscription=group_pb2.Subscription(topics=[topic]), client_id="python")
        self.say(join=consumer_pb2.ConsumeJoin(group=group, options=options))
        stub = consumer_pb2_grpc.ConsumerServiceStub(grpc.insecure_channel(address))
        self.answers = stub.Consume(iter(self.requests.get, None))
        self.held, self.next, self.uncommitted, self.sequence = {}, {}, {}, 0

    def say(self, **frame):
        self.requests.put(consumer_pb2.ConsumeRequest(**frame))

    def end(self):
        """The end of the requests leaves the group."""
        self.requests.put(None)

    def live(self):
        for answer in self.answers:
            getattr(self, answer.WhichOneof("frame"))(getattr(answer, answer.WhichOneof("frame")))

    def joined(self, frame):
        print("joined", frame.member_id, frame.member_epoch, flush=True)

    def assigned(self, frame):
        for one in frame.partitions:
            number = one.partition.partition
            self.held[number], self.next[number], self.uncommitted[number] = one.partition, one.offset, 0
            committed = one.committed if one.HasField("committed") else 0
            print("took", number, one.partition.ownership_epoch, one.offset, committed, flush=True)

    def records(self, frame):
        entry = frame.partition
        assert not entry.HasField("error"), entry.error.message
        for record in entry.records:
            print("read", entry.partition, record.offset, flush=True)
        self.next[entry.partition] = entry.next_offset
        self.uncommitted[entry.partition] += len(entry.records)
        if self.uncommitted[entry.partition] >= COMMIT_EVERY:
            self.commit(entry.partition)

    def commit(self, number):
        if not self.uncommitted[number]:
            return
        held, self.uncommitted[number], self.sequence = self.held[number], 0, self.sequence + 1
        place = group_pb2.PartitionOffset(
            topic=held.topic, topic_id=held.topic_id, partition=number, offset=self.next[number], ownership_epoch=held.ownership_epoch
        )
        self.say(commit=consumer_pb2.ConsumeCommit(sequence=self.sequence, offsets=[place]))

    def committed(self, frame):
        for result in frame.partitions:
            assert not result.HasField("error"), result.error.message
            print("committed", result.partition, flush=True)

    def revoke(self, frame):
        for one in frame.partitions:
            self.commit(one.partition)
            print("left", one.partition, flush=True)
        self.say(revoked=consumer_pb2.ConsumeRevoked(partitions=frame.partitions))

    def lost(self, frame):
        for one in frame.partitions:
            print("left", one.partition, flush=True)


def main():
    member = Member(*sys.argv[1:])

    def wait_for_end():
        sys.stdin.read()
        for number in member.held:
            member.commit(number)
        member.end()

    threading.Thread(target=wait_for_end, daemon=True).start()
    member.live()
    print("gone", flush=True)


main()
