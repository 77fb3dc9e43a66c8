"""What users of redis-py do with streams, through each node of a cluster.

usage: redis_py.py PORT PORT PORT   (RESP ports of the nodes of an empty cluster)

Runs with RESP2 and RESP3. Ends with 0 and one line, or with the first thing that is wrong.
"""

import sys
import threading

import redis


def entries_of(reply):
    """The entries of an XREAD or XREADGROUP of one stream, whatever the protocol's shape."""
    if not reply:
        return []
    if isinstance(reply, dict):
        (found,) = reply.values()
        return found[0] if found and isinstance(found[0], list) else found
    return reply[0][1]


def produce_and_read(clients, protocol):
    name = f"orders-{protocol}"
    ids = [clients[i % 3].xadd(name, {"item": i, "binary": b"\x00\xff\r\n"}) for i in range(30)]
    assert ids == sorted(ids, key=lambda it: tuple(map(int, it.split(b"-")))), "ids go up"
    for client in clients:
        assert client.xlen(name) == 30
        assert [found for found, _ in client.xrange(name)] == ids
        assert [found for found, _ in client.xrevrange(name, count=2)] == ids[:-3:-1]
        assert client.xrange(name, min=ids[4], max=ids[4])[0][1][b"binary"] == b"\x00\xff\r\n"
        assert len(entries_of(client.xread({name: ids[9]}, count=5))) == 5
        assert client.type(name) == b"stream"


def group_work(clients, protocol):
    name, group = f"jobs-{protocol}", "workers"
    assert clients[0].xgroup_create(name, group, id="0", mkstream=True)
    try:
        clients[1].xgroup_create(name, group, id="0")
        raise AssertionError("a group was made twice")
    except redis.ResponseError as error:
        assert str(error).startswith("BUSYGROUP"), error
    ids = [clients[0].xadd(name, {"n": n}) for n in range(20)]
    done, lock = [], threading.Lock()

    def work(client, consumer):
        while found := entries_of(client.xreadgroup(group, consumer, {name: ">"}, count=3)):
            for entry_id, fields in found:
                assert client.xack(name, group, entry_id) == 1
                with lock:
                    done.append(int(fields[b"n"]))

    threads = [threading.Thread(target=work, args=(c, f"c{i}")) for i, c in enumerate(clients)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert sorted(done) == list(range(20)), f"each entry once: {sorted(done)}"
    assert clients[2].xpending(name, group)["pending"] == 0
    info = clients[1].xinfo_groups(name)[0]
    assert info["last-delivered-id"] == ids[-1] and info["lag"] == 0, info


def retry_by_claim(clients, protocol):
    name, group = f"mail-{protocol}", "senders"
    clients[0].xgroup_create(name, group, id="$", mkstream=True)
    sent = clients[1].xadd(name, {"to": "ann"})
    lost = entries_of(clients[2].xreadgroup(group, "crashed", {name: ">"}))
    assert [found for found, _ in lost] == [sent]
    (pending,) = clients[0].xpending_range(name, group, "-", "+", 10)
    assert pending["consumer"] == b"crashed" and pending["times_delivered"] == 1
    _, claimed, deleted = clients[1].xautoclaim(name, group, "rescuer", 0)
    assert [found for found, _ in claimed] == [sent] and deleted == []
    ((found, _),) = clients[2].xclaim(name, group, "second", 0, [sent])
    assert found == sent
    (pending,) = clients[0].xpending_range(name, group, "-", "+", 10)
    assert pending["consumer"] == b"second" and pending["times_delivered"] == 3, pending
    history = entries_of(clients[1].xreadgroup(group, "second", {name: "0"}))
    assert [found for found, _ in history] == [sent]
    assert clients[0].xack(name, group, sent) == 1


def trim_and_delete(clients, protocol):
    name = f"log-{protocol}"
    pipe = clients[0].pipeline(transaction=False)
    for n in range(1000):
        pipe.xadd(name, {"item": n})
    ids = pipe.execute()
    assert len(set(ids)) == 1000
    assert clients[1].xtrim(name, maxlen=555, approximate=True) == 400
    assert clients[2].xlen(name) == 600, "whole blocks of 100, as Redis does"
    assert clients[0].xtrim(name, maxlen=10, approximate=False) == 590
    assert clients[1].xdel(name, ids[-1], ids[0]) == 1
    info = clients[2].xinfo_stream(name)
    assert info["length"] == 9 and info["last-generated-id"] == ids[-1], info
    assert clients[0].xinfo_stream(name, full=True)["length"] == 9
    assert clients[0].delete(name, "nothing") == 1 and clients[1].exists(name) == 0


def main():
    ports = [int(port) for port in sys.argv[1:]]
    assert len(ports) == 3, __doc__
    for protocol in (2, 3):
        clients = [
            redis.Redis(port=port, protocol=protocol, socket_timeout=30, client_name="test") for port in ports
        ]
        for client in clients:
            assert client.ping()
        for scenario in (produce_and_read, group_work, retry_by_claim, trim_and_delete):
            scenario(clients, protocol)
    print(f"redis-py {redis.__version__}: RESP2 and RESP3 through {len(ports)} nodes: as expected")


if __name__ == "__main__":
    main()
