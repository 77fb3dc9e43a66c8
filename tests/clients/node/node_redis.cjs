// node-redis: a client for the producer and one for each worker.
"use strict";
const { createClient } = require("redis");
const { version } = require("redis/package.json");
const { CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments: args, fails, sleep } = require("./outcome.cjs");

async function work(client, name, consumer, outcome) {
  while (outcome.isOpen()) {
    const streams = { key: name, id: ">" };
    const found = await client.xReadGroup("workers", consumer, streams, { COUNT: 10, BLOCK: 200 });
    const entries = found?.[0].messages ?? [];
    for (const { id, message } of entries) {
      if (!fails(message.n) && (await client.xAck(name, "workers", id)) === 1) {
        outcome.done.push(message.n);
      }
    }
    await claim(client, name, consumer, outcome);
  }
}

async function claim(client, name, consumer, outcome) {
  const { messages } = await client.xAutoClaim(name, "workers", consumer, CLAIM_IDLE_MS, "0-0");
  for (const { id, message } of messages) {
    const [row] = await client.xPendingRange(name, "workers", id, id, 1);
    if (row && row.deliveriesCounter >= DELIVERIES_MAX) {
      await client.xAdd(`${name}:dead`, "*", message);
      if (await client.xAck(name, "workers", id)) outcome.dead.push(message.n);
    }
  }
}

async function main() {
  const [port, name, seconds] = args();
  const outcome = new Outcome(seconds);
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
  await client.xGroupCreate(name, "workers", "0", { MKSTREAM: true });
  const workers = [await client.duplicate().connect(), await client.duplicate().connect()];
  const working = workers.map((it, at) => work(it, name, `w${at}`, outcome));
  while (outcome.goesOn()) {
    await client.xAdd(name, "*", { n: String(outcome.produced) });
    outcome.produced += 1;
    await sleep(10);
  }
  await Promise.all(working);
  const [group] = await client.xInfoGroups(name);
  await client.xTrim(name, "MAXLEN", 10);
  const { pending } = await client.xPending(name, "workers");
  outcome.check(`node-redis ${version}`, pending, group.lag, await client.xLen(name));
  [client, ...workers].forEach((it) => it.destroy());
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
