// ioredis Cluster: through a change of leaders, with workers that block, pipelines, MULTI and pub/sub.
"use strict";
const assert = require("node:assert");
const { Cluster } = require("ioredis");
const slotOf = require("cluster-key-slot");
const { version } = require("ioredis/package.json");
const { CLAIM_IDLE_MS, sleep } = require("./outcome.cjs");
const { throughFailover, arguments: args, end } = require("./failover.cjs");

const [name, ports] = args();
const nodes = ports.map((port) => ({ host: "127.0.0.1", port }));
const cluster = new Cluster(nodes);
const others = [];

// A map of entries in RESP3, here an object or flat; a list of pairs in RESP2.
function entriesOf(found) {
  if (!found) return [];
  if (!Array.isArray(found)) return Object.values(found)[0];
  return Array.isArray(found[0]) ? found[0][1] : found[1];
}

// What was on its way to a worker when a connection broke is pending still: it claims that again.
async function work(own, stream, seen, isOpen) {
  const group = ["GROUP", "workers", "w", "COUNT", 10, "BLOCK", 2000, "STREAMS", stream, ">"];
  while (isOpen()) {
    try {
      const found = entriesOf(await own.xreadgroup(...group));
      const [, claimed] = await own.xautoclaim(stream, "workers", "w", CLAIM_IDLE_MS, "0-0");
      for (const [id, [, number]] of [...found, ...claimed]) {
        await own.xack(stream, "workers", id);
        seen(number);
      }
    } catch (error) {
      await sleep(50);
    }
  }
}

const driver = {
  leaders: (names) => names.map((one) => cluster.slots[slotOf(one)]?.[0]),
  append: (stream, number) => cluster.xadd(stream, "*", "n", number),

  async follow(stream, seen) {
    const own = new Cluster(nodes);
    await own.xgroup("CREATE", stream, "workers", "0", "MKSTREAM");
    let isOpen = true;
    const working = work(own, stream, seen, () => isOpen);
    return async () => {
      isOpen = false;
      await working;
      own.disconnect();
    };
  },

  async together(key) {
    await cluster.del(`${key}in`, `${key}out`);
    const pipeline = cluster.pipeline();
    for (let number = 1; number <= 50; number += 1) pipeline.xadd(`${key}in`, `${number}-0`, "n", number);
    pipeline.xlen(`${key}in`);
    const answers = await pipeline.exec();
    assert.deepStrictEqual(answers[49], [null, "50-0"]);
    assert.deepStrictEqual(answers[50], [null, 50]);
    await cluster.xgroup("CREATE", `${key}in`, "g", "0");
    await cluster.xreadgroup("GROUP", "g", "c", "COUNT", 1, "STREAMS", `${key}in`, ">");
    const moved = cluster.multi().xack(`${key}in`, "g", "1-0").xadd(`${key}out`, "1-0", "n", 1);
    assert.deepStrictEqual(await moved.exec(), [[null, 1], [null, "1-0"]]);
    const apart = cluster.multi().xlen("a").xlen("b").exec();
    await assert.rejects(apart, "keys of different slots");
    await cluster.watch(`${key}out`);
    await cluster.xadd(`${key}out`, "2-0", "n", 2);
    assert.strictEqual(await cluster.multi().xlen(`${key}out`).exec(), null);
  },

  async listen(channel, heard) {
    const own = new Cluster(nodes, { shardedSubscribers: true });
    others.push(own);
    own.on("message", (at, text) => heard(text));
    own.on("smessage", (at, text) => heard(`s:${text}`));
    await own.subscribe(channel);
    await own.ssubscribe(channel);
  },

  publish: (channel, text) => Promise.all([cluster.publish(channel, text), cluster.spublish(channel, text)]),

  async stored(stream) {
    return (await cluster.xrange(stream, "-", "+")).map(([, [, number]]) => number);
  },

  close: () => [cluster, ...others].forEach((it) => it.disconnect()),
};

const main = async () => {
  await new Promise((done) => cluster.once("ready", done));
  assert.strictEqual(cluster.nodes("all").length, ports.length, "it learns of every node");
  await throughFailover(`ioredis ${version} Cluster`, name, driver);
};
end(main());
