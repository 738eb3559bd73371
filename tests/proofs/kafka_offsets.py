"""Holds what Kafka's tool says of the offsets log against what Weir told, and against the partitions that Kafka chooses."""

import json
import pathlib
import re
import sys

KNOWN = {"1", "3", "5", "6", "7", "8"}
folder = pathlib.Path(sys.argv[1])
chosen = {group: int(number) for number, group in (line.split("\t") for line in (folder / "chosen").read_text().splitlines())}


def dumped():
    """Partition of the offsets log, type of the record, its key and value."""
    partition = None
    for line in (folder / "dump").read_text().splitlines():
        if found := re.match(r"Dumping .*__consumer_offsets-(\d+)/", line):
            partition = int(found[1])
        elif found := re.match(r"\| offset: .* key: (\{.*\}) payload: (.*)$", line):
            key = json.loads(found[1])
            value = None if found[2] == "<DELETE>" else json.loads(found[2])["data"]
            yield partition, key["type"], key["data"], value
        else:
            assert not line.startswith("| "), f"the tool does not know {line}"


def told():
    """Committed offsets as `weir group describe -J` has them."""
    for line in (folder / "told").read_text().splitlines():
        (group,) = json.loads(line)["groups"]
        assert group["coordinator_partition"] == chosen[group["group"]], group
        for place in group["partitions"]:
            if place["committed"] is not None:
                yield (group["group"], place["topic"], place["partition"]), place["committed"]


records, types, offsets = 0, {}, {}
for partition, kind, key, value in dumped():
    group = key.get("group", key.get("groupId"))
    assert kind in KNOWN, f"a record of type {kind}"
    assert partition == chosen[group], f"'{group}' is in partition {partition}, Kafka chooses {chosen[group]}"
    records += 1
    types[kind] = types.get(kind, 0) + 1
    if kind == "1":
        offsets[group, key["topic"], key["partition"]] = value and value["offset"]
weir = dict(told())
assert offsets == weir, f"Kafka reads {sorted(offsets.items() ^ weir.items())} otherwise than Weir"
assert set(chosen) == {group for group, _, _ in offsets}, "a group has no offsets"
assert set(types) == KNOWN, f"only records of types {sorted(types)}"
kinds = ", ".join(f"{types[kind]} of type {kind}" for kind in sorted(types))
print(
    f"kafka dump-log: {records} records of the offsets log decoded ({kinds}); {len(offsets)} committed offsets of {len(chosen)} groups are "
    f"what Weir tells, each group in the partition of {len(set(chosen.values()))} that Kafka chooses"
)
