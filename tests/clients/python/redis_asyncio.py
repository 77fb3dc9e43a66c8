"""redis-py's asyncio client, RESP2."""

import asyncio

import redis.asyncio as redis
from outcome import CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails


async def work(client, name, consumer, outcome):
    while outcome.is_open():
        found = await client.xreadgroup("workers", consumer, {name: ">"}, count=10, block=200)
        entries = found[0][1] if found else []
        for entry_id, fields in entries:
            if not fails(fields["n"]):
                assert await client.xack(name, "workers", entry_id) == 1
                outcome.done.append(fields["n"])
        await claim(client, name, consumer, outcome)


async def claim(client, name, consumer, outcome):
    _, entries, _ = await client.xautoclaim(name, "workers", consumer, CLAIM_IDLE_MS, count=10)
    for entry_id, fields in entries:
        row = await client.xpending_range(name, "workers", entry_id, entry_id, 1)
        if row and row[0]["times_delivered"] >= DELIVERIES_MAX:
            await client.xadd(f"{name}:dead", fields)
            if await client.xack(name, "workers", entry_id):
                outcome.dead.append(fields["n"])


async def main():
    port, name, seconds = arguments()
    outcome = Outcome(seconds)
    client = redis.Redis(port=port, decode_responses=True, protocol=2)
    await client.xgroup_create(name, "workers", id="0", mkstream=True)
    workers = [asyncio.create_task(work(client, name, f"w{n}", outcome)) for n in range(2)]
    while outcome.goes_on():
        await client.xadd(name, {"n": outcome.produced})
        outcome.produced += 1
        await asyncio.sleep(0.01)
    await asyncio.gather(*workers)
    lag = (await client.xinfo_groups(name))[0]["lag"]
    await client.xtrim(name, maxlen=10, approximate=False)
    pending = (await client.xpending(name, "workers"))["pending"]
    outcome.check("redis.asyncio", pending, lag, await client.xlen(name))
    await client.aclose()


asyncio.run(main())
