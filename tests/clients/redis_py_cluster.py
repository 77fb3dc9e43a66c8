"""A producer with redis-py's RedisCluster that goes on while a leader is killed.

usage: redis_py_cluster.py PORT...   (cluster ports of the nodes of an empty cluster)

Says `producing` once a leader may be killed. Goes on until slots are led by another node than before,
and some more; then everything that was acknowledged must be there. An append without an answer counts
as not acknowledged. Ends with 0 and one line, or with the first thing that is wrong.
"""

import sys
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

STREAMS = [f"orders-{number}" for number in range(8)]
DEADLINE = time.monotonic() + 90


def leaders(client):
    """Who leads each stream's slot, as the client has learnt it."""
    manager = client.nodes_manager
    return [manager.get_node_from_slot(client.keyslot(name)).name for name in STREAMS]


def main(ports):
    nodes = [ClusterNode("127.0.0.1", int(port)) for port in ports]
    client = RedisCluster(startup_nodes=nodes, decode_responses=True)
    assert len(client.get_nodes()) == len(ports), "the client learns of every node"
    before = leaders(client)
    acknowledged, unanswered, number, more = [], 0, 0, 0
    while more < 400:
        assert time.monotonic() < DEADLINE, f"no other leader was learnt: {leaders(client)}"
        name = STREAMS[number % len(STREAMS)]
        try:
            client.xadd(name, {"number": number})
            acknowledged.append((name, str(number)))
        except redis.RedisError:
            unanswered += 1
        number += 1
        more += leaders(client) != before
        if number == 200:
            print("producing", flush=True)
    stored = {(name, entry["number"]) for name in STREAMS for _, entry in client.xrange(name)}
    lost = [one for one in acknowledged if one not in stored]
    assert not lost, f"{len(lost)} acknowledged entries are lost: {lost[:3]}"
    assert unanswered < 100, f"{unanswered} appends of {number} had no answer"
    print(f"redis-py {redis.__version__}: {len(acknowledged)} acknowledged, as expected")


if __name__ == "__main__":
    main(sys.argv[1:])
