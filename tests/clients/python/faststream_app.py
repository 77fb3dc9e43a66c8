"""FastStream: subscribers of a group; what one rejects is claimed by another, and dead in the end."""

import asyncio
from collections import Counter
from importlib.metadata import version

import redis.asyncio as redis
from faststream import AckPolicy
from faststream.redis import RedisBroker, StreamSub
from outcome import CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments, fails


def main():
    port, name, seconds = arguments()
    outcome = Outcome(seconds)
    broker = RedisBroker(f"redis://127.0.0.1:{port}", logger=None)
    tries = Counter()

    async def handle(number):
        tries[number] += 1
        if not fails(number):
            # An acknowledgement that takes long has the work done again: at least once.
            if number not in outcome.done:
                outcome.done.append(number)
        elif tries[number] < DELIVERIES_MAX:
            raise ValueError("to be tried again")
        else:
            await broker.publish(number, stream=f"{name}:dead")
            if number not in outcome.dead:
                outcome.dead.append(number)

    @broker.subscriber(
        stream=StreamSub(name, group="workers", consumer="one", polling_interval=100, last_id=">"),
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def new(number: int):
        await handle(number)

    @broker.subscriber(
        stream=StreamSub(
            name,
            group="workers",
            consumer="two",
            polling_interval=100,
            min_idle_time=CLAIM_IDLE_MS,
        ),
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def left(number: int):
        await handle(number)

    asyncio.run(produce(broker, port, name, outcome))


async def produce(broker, port, name, outcome):
    client = redis.Redis(port=port)
    await client.xgroup_create(name, "workers", id="0", mkstream=True)
    async with broker:
        await broker.start()
        while outcome.goes_on():
            await broker.publish(outcome.produced, stream=name)
            outcome.produced += 1
            await asyncio.sleep(0.01)
        while outcome.is_open():
            await asyncio.sleep(0.05)
        # The last acknowledgement follows the handler's end.
        for _ in range(100):
            if (await client.xpending(name, "workers"))["pending"] == 0:
                break
            await asyncio.sleep(0.05)
    lag = (await client.xinfo_groups(name))[0]["lag"]
    await client.xtrim(name, maxlen=10, approximate=False)
    pending = (await client.xpending(name, "workers"))["pending"]
    who = f"FastStream {version('faststream')}"
    outcome.check(who, pending, lag, await client.xlen(name))
    await client.aclose()


main()
