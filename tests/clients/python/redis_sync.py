"""redis-py, blocking, a thread for each worker."""

import threading
import time

import redis
from outcome import CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails


def entries_of(found):
    """The entries of one stream, in the shape of either protocol."""
    if not found:
        return []
    if not isinstance(found, dict):
        return found[0][1]
    (entries,) = found.values()
    return entries[0] if entries and isinstance(entries[0], list) else entries


def work(client, name, consumer, outcome):
    while outcome.is_open():
        found = client.xreadgroup("workers", consumer, {name: ">"}, count=10, block=200)
        entries = entries_of(found)
        for entry_id, fields in entries:
            if not fails(fields["n"]):
                assert client.xack(name, "workers", entry_id) == 1
                outcome.done.append(fields["n"])
        claim(client, name, consumer, outcome)


def claim(client, name, consumer, outcome):
    _, entries, _ = client.xautoclaim(name, "workers", consumer, CLAIM_IDLE_MS, count=10)
    for entry_id, fields in entries:
        row = client.xpending_range(name, "workers", entry_id, entry_id, 1)
        if row and row[0]["times_delivered"] >= DELIVERIES_MAX:
            client.xadd(f"{name}:dead", fields)
            if client.xack(name, "workers", entry_id):
                outcome.dead.append(fields["n"])


def main():
    port, name, seconds = arguments()
    outcome = Outcome(seconds)
    client = redis.Redis(port=port, decode_responses=True)
    client.xgroup_create(name, "workers", id="0", mkstream=True)
    args = [(client, name, f"worker-{number}", outcome) for number in range(2)]
    threads = [threading.Thread(target=work, args=one) for one in args]
    [thread.start() for thread in threads]
    while outcome.goes_on():
        client.xadd(name, {"n": outcome.produced}, maxlen=100_000)
        outcome.produced += 1
        time.sleep(0.01)
    [thread.join() for thread in threads]
    lag = client.xinfo_groups(name)[0]["lag"]
    client.xtrim(name, maxlen=10, approximate=False)
    pending = client.xpending(name, "workers")["pending"]
    outcome.check(f"redis-py {redis.__version__}", pending, lag, client.xlen(name))


main()
