"""taskiq with the stream broker of taskiq-redis: tasks through a group, each done once."""

import asyncio
from collections import Counter
from importlib.metadata import version

import redis.asyncio as redis
from outcome import DELIVERIES_MAX, Outcome, arguments, fails
from taskiq import SimpleRetryMiddleware
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker


async def main():
    port, name, seconds = arguments()
    outcome = Outcome(seconds)
    broker = RedisStreamBroker(
        f"redis://127.0.0.1:{port}", queue_name=name, consumer_group_name="workers", xread_block=200
    ).with_middlewares(SimpleRetryMiddleware(default_retry_count=DELIVERIES_MAX))
    tries = Counter()

    @broker.task(retry_on_error=True, max_retries=DELIVERIES_MAX)
    async def handle(number: int) -> None:
        tries[number] += 1
        if not fails(number):
            # An acknowledgement that takes long has the work done again: at least once.
            if number not in outcome.done:
                outcome.done.append(number)
        elif tries[number] < DELIVERIES_MAX:
            raise ValueError("to be tried again")
        else:
            if number not in outcome.dead:
                outcome.dead.append(number)

    await broker.startup()
    receiver = asyncio.create_task(run_receiver_task(broker))
    while outcome.goes_on():
        await handle.kiq(outcome.produced)
        outcome.produced += 1
        await asyncio.sleep(0.01)
    while outcome.is_open():
        await asyncio.sleep(0.05)
    client = redis.Redis(port=port)
    for _ in range(100):
        if (await client.xpending(name, "workers"))["pending"] == 0:
            break
        await asyncio.sleep(0.05)
    receiver.cancel()
    lag = (await client.xinfo_groups(name))[0]["lag"]
    await client.xtrim(name, maxlen=10, approximate=False)
    pending = (await client.xpending(name, "workers"))["pending"]
    who = f"taskiq-redis {version('taskiq-redis')}"
    outcome.check(who, pending, lag, await client.xlen(name))
    await broker.shutdown()
    await client.aclose()


import logging

logging.disable(logging.CRITICAL)
asyncio.run(main())
