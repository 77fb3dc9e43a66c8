"""coredis."""

import asyncio
from datetime import timedelta
from importlib.metadata import version

import coredis
from outcome import CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails


async def work(client, name, consumer, outcome):
    while outcome.is_open():
        found = await client.xreadgroup("workers", consumer, {name: ">"}, count=10, block=200)
        entries = found[name] if found else ()
        for entry in entries:
            number = entry.field_values["n"]
            if not fails(number):
                assert await client.xack(name, "workers", [entry.identifier]) == 1
                outcome.done.append(number)
        await claim(client, name, consumer, outcome)


async def claim(client, name, consumer, outcome):
    idle = timedelta(milliseconds=CLAIM_IDLE_MS)
    _, entries, _ = await client.xautoclaim(name, "workers", consumer, idle, "0-0", count=10)
    for entry in entries:
        identifier = entry.identifier
        rows = await client.xpending(
            name, "workers", start=identifier, end=identifier, count=1
        )
        if rows and rows[0].delivered >= DELIVERIES_MAX:
            await client.xadd(f"{name}:dead", dict(entry.field_values))
            if await client.xack(name, "workers", [identifier]):
                outcome.dead.append(entry.field_values["n"])


async def main():
    port, name, seconds = arguments()
    outcome = Outcome(seconds)
    async with coredis.Redis(port=port, decode_responses=True) as client:
        await client.xgroup_create(name, "workers", "0", mkstream=True)
        workers = [asyncio.create_task(work(client, name, f"w{n}", outcome)) for n in range(2)]
        while outcome.goes_on():
            await client.xadd(name, {"n": str(outcome.produced)})
            outcome.produced += 1
            await asyncio.sleep(0.01)
        await asyncio.gather(*workers)
        (group,) = await client.xinfo_groups(name)
        await client.xtrim(name, coredis.PureToken.MAXLEN, 10)
        pending = (await client.xpending(name, "workers")).pending
        length = await client.xlen(name)
        outcome.check(f"coredis {version('coredis')}", pending, group["lag"], length)


asyncio.run(main())
