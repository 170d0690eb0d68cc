"""json.loads, a set of ids and, given a folder, shards of lines: the script that most people have."""
import json
import os
import sys

MAX_LINES = 50_000
MAX_BYTES = 190_000_000

path = sys.argv[1]
folder = sys.argv[2] if len(sys.argv) > 2 else None
ids = set()
lines = shards = shard_lines = shard_bytes = 0
shard = None
with open(path, "rb") as source:
    for line in source:
        request = json.loads(line)
        custom_id = request["custom_id"]
        if request["method"] != "POST" or not isinstance(request["url"], str):
            raise ValueError(f"line {lines + 1}: not a request")
        if not isinstance(request["body"]["model"], str):
            raise ValueError(f"line {lines + 1}: no model")
        if custom_id in ids:
            raise ValueError(f"line {lines + 1}: duplicate custom_id")
        ids.add(custom_id)
        lines += 1
        if folder is None:
            continue
        if shard is None or shard_lines == MAX_LINES or shard_bytes + len(line) > MAX_BYTES:
            if shard is not None:
                shard.close()
            shard = open(os.path.join(folder, f"shard-{shards}.jsonl"), "wb", buffering=1 << 20)
            shards += 1
            shard_lines = shard_bytes = 0
        shard.write(line)
        shard_lines += 1
        shard_bytes += len(line)
if shard is not None:
    shard.close()
print(json.dumps({"lines": lines}))
