"""walrus: containers for streams and groups."""

import threading
import time
from importlib.metadata import version

from outcome import CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails
from walrus import Database


def work(group, name, consumer, outcome):
    group = group.consumer(consumer)
    stream = group.streams[name]
    while outcome.is_open():
        found = stream.read(count=10, block=200)
        for entry_id, fields in found or []:
            if not fails(fields[b"n"]):
                assert stream.ack(entry_id) == 1
                outcome.done.append(fields[b"n"])
        claim(stream, outcome)


def claim(stream, outcome):
    idle = [row for row in stream.pending() if row["time_since_delivered"] >= CLAIM_IDLE_MS]
    for row in idle:
        for entry_id, fields in stream.claim(row["message_id"], min_idle_time=CLAIM_IDLE_MS):
            if row["times_delivered"] + 1 >= DELIVERIES_MAX and stream.ack(entry_id):
                stream.database.Stream(f"{stream.key}:dead").add(fields)
                outcome.dead.append(fields[b"n"])


def main():
    port, name, seconds = arguments()
    outcome = Outcome(seconds)
    db = Database(port=port)
    group = db.consumer_group("workers", [name])
    group.create()
    group.set_id("0")
    args = [(group, name, f"w{number}", outcome) for number in range(2)]
    threads = [threading.Thread(target=work, args=one) for one in args]
    [thread.start() for thread in threads]
    stream = db.Stream(name)
    while outcome.goes_on():
        stream.add({"n": outcome.produced})
        outcome.produced += 1
        time.sleep(0.01)
    [thread.join() for thread in threads]
    lag = stream.groups_info()[0]["lag"]
    stream.trim(10, approximate=False)
    pending = len(group.streams[name].pending())
    outcome.check(f"walrus {version('walrus')}", pending, lag, len(stream))


main()
