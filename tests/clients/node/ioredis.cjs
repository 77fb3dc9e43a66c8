// ioredis: commands as arrays of words.
"use strict";
const { Redis } = require("ioredis");
const { version } = require("ioredis/package.json");
const { CLAIM_IDLE_MS, DELIVERIES_MAX, Outcome, arguments: args, fails, sleep } = require("./outcome.cjs");

// In RESP3 the reply is a map, here an object or a flat list; in RESP2 a list of pairs.
function entriesOf(found) {
  if (!found) return [];
  if (found instanceof Map) return [...found.values()][0];
  if (!Array.isArray(found)) return Object.values(found)[0];
  return Array.isArray(found[0]) ? found[0][1] : found[1];
}

function field(map, name) {
  if (map instanceof Map) return map.get(name);
  return Array.isArray(map) ? map[map.indexOf(name) + 1] : map[name];
}

async function work(client, name, consumer, outcome) {
  while (outcome.isOpen()) {
    const how = ["GROUP", "workers", consumer, "COUNT", 10, "BLOCK", 200, "STREAMS", name, ">"];
    const entries = entriesOf(await client.xreadgroup(...how));
    for (const [id, [, number]] of entries) {
      if (!fails(number) && (await client.xack(name, "workers", id)) === 1) outcome.done.push(number);
    }
    await claim(client, name, consumer, outcome);
  }
}

async function claim(client, name, consumer, outcome) {
  const [, entries] = await client.xautoclaim(name, "workers", consumer, CLAIM_IDLE_MS, "0-0");
  for (const [id, fields] of entries) {
    const [row] = await client.xpending(name, "workers", id, id, 1);
    if (row && row[3] >= DELIVERIES_MAX) {
      await client.xadd(`${name}:dead`, "*", ...fields);
      if (await client.xack(name, "workers", id)) outcome.dead.push(fields[1]);
    }
  }
}

async function main() {
  const [port, name, seconds] = args();
  const outcome = new Outcome(seconds);
  const client = new Redis({ port, host: "127.0.0.1" });
  await client.xgroup("CREATE", name, "workers", "0", "MKSTREAM");
  const workers = [client.duplicate(), client.duplicate()];
  const working = workers.map((it, at) => work(it, name, `w${at}`, outcome));
  while (outcome.goesOn()) {
    await client.xadd(name, "*", "n", outcome.produced);
    outcome.produced += 1;
    await sleep(10);
  }
  await Promise.all(working);
  const [group] = await client.xinfo("GROUPS", name);
  await client.xtrim(name, "MAXLEN", 10);
  const [pending] = await client.xpending(name, "workers");
  outcome.check(`ioredis ${version}`, pending, field(group, "lag"), await client.xlen(name));
  [client, ...workers].forEach((it) => it.disconnect());
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
