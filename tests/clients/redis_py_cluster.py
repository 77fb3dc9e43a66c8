"""redis-py's RedisCluster through a change of leaders, with workers that block, pipelines, MULTI and
pub/sub; RESP3 for the producer and RESP2 for the workers.

usage: redis_py_cluster.py NAME PORT...   (cluster ports of the nodes)

Says `producing` once a leader may be killed. Goes on until slots are led by another node than before,
and some more; then everything that was acknowledged must be there, and the workers must have it. An
append without an answer counts as not acknowledged. Ends with 0 and one line, or with the first thing
that is wrong.
"""

import sys
import threading
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

DEADLINE = time.monotonic() + 150


def open_cluster(ports, **options):
    nodes = [ClusterNode("127.0.0.1", int(port)) for port in ports]
    return RedisCluster(startup_nodes=nodes, decode_responses=True, **options)


def leaders(client, streams):
    """Who leads each stream's slot, as the client has learnt it."""
    manager = client.nodes_manager
    return [manager.get_node_from_slot(client.keyslot(name)).name for name in streams]


def work(ports, name, seen, is_open):
    """What was on its way when a connection broke is pending still: it is claimed again. After an error
    the worker opens the cluster anew: the library has its default node tell it the keys of an
    XREADGROUP, and goes on asking that one when it is gone."""
    client = open_cluster(ports, protocol=2)
    while is_open.is_set():
        try:
            found = client.xreadgroup("workers", "w", {name: ">"}, count=10, block=2000)
            _, claimed, _ = client.xautoclaim(name, "workers", "w", 300)
            for entry_id, fields in claimed + (found[0][1] if found else []):
                client.xack(name, "workers", entry_id)
                seen.add((name, fields["number"]))
        except (redis.RedisError, redis.RedisClusterException):
            time.sleep(0.05)
            client = reopened(client, ports)


def reopened(client, ports):
    try:
        client.close()
        return open_cluster(ports, protocol=2)
    except (redis.RedisError, redis.RedisClusterException):
        return client


def together(client, name):
    """A pipeline; a transaction of one slot, of several, and with a watched key that changed."""
    source, target = f"{{{name}}}in", f"{{{name}}}out"
    client.delete(source, target)
    pipeline = client.pipeline()
    for number in range(1, 51):
        pipeline.xadd(source, {"n": number}, id=f"{number}-0")
    assert pipeline.execute()[49] == "50-0"
    client.xgroup_create(source, "g", "0")
    client.xreadgroup("g", "c", {source: ">"}, count=1)
    moved = client.pipeline(transaction=True)
    moved.xack(source, "g", "1-0")
    moved.xadd(target, {"n": 1}, id="1-0")
    assert moved.execute() == [1, "1-0"]
    apart = client.pipeline(transaction=True)
    try:
        apart.xlen("a").xlen("b").execute()
        raise AssertionError("keys of different slots")
    except redis.RedisClusterException:
        pass
    with client.pipeline(transaction=True) as watching:
        watching.watch(target)
        client.xadd(target, {"n": 2}, id="2-0")
        watching.multi()
        watching.xlen(target)
        try:
            watching.execute()
            raise AssertionError("a watched key changed")
        except redis.WatchError:
            pass


def hear(client, ports, name, word):
    """Both kinds of channels, by a subscriber that is opened now."""
    other = open_cluster(ports)
    listener = other.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(f"{name}-news")
    sharded = other.pubsub(ignore_subscribe_messages=True)
    sharded.ssubscribe(f"{name}-news")
    heard = set()
    while len(heard) < 2:
        assert time.monotonic() < DEADLINE, f"{word} is not heard: {heard}"
        client.publish(f"{name}-news", word)
        client.spublish(f"{name}-news", word)
        for message in (listener.get_message(timeout=0.1), sharded.get_sharded_message(timeout=0.1)):
            if message and message["data"] == word:
                heard.add(message["type"])
    assert heard == {"message", "smessage"}, heard
    other.close()


def produce(client, streams):
    before = leaders(client, streams)
    acknowledged, unanswered, number, more = [], 0, 0, 0
    while more < 400:
        assert time.monotonic() < DEADLINE, f"no other leader was learnt: {leaders(client, streams)}"
        name = streams[number % len(streams)]
        try:
            client.xadd(name, {"number": number})
            acknowledged.append((name, str(number)))
        except (redis.RedisError, redis.RedisClusterException):
            unanswered += 1
        number += 1
        more += leaders(client, streams) != before
        if number == 200:
            print("producing", flush=True)
    assert unanswered < 100, f"{unanswered} appends of {number} had no answer"
    return acknowledged


def main(name, *ports):
    client = open_cluster(ports)
    assert len(client.get_nodes()) == len(ports), "the client learns of every node"
    streams = [f"{name}-{number}" for number in range(8)]
    hear(client, ports, name, "before")
    together(client, name)
    seen, is_open, threads = set(), threading.Event(), []
    is_open.set()
    for stream in streams:
        client.xgroup_create(stream, "workers", id="0", mkstream=True)
        args = (ports, stream, seen, is_open)
        threads.append(threading.Thread(target=work, args=args, daemon=True))
        threads[-1].start()
    acknowledged = produce(client, streams)
    stored = {(one, entry["number"]) for one in streams for _, entry in client.xrange(one)}
    lost = [one for one in acknowledged if one not in stored]
    assert not lost, f"{len(lost)} acknowledged entries are lost: {lost[:3]}"
    while missing := set(acknowledged) - seen:
        assert time.monotonic() < DEADLINE, f"the workers have not {len(missing)}"
        time.sleep(0.05)
    is_open.clear()
    [thread.join() for thread in threads]
    together(client, name)
    hear(client, ports, name, "after")
    print(f"redis-py {redis.__version__} cluster: {len(acknowledged)} acknowledged, as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
