// node-redis's createCluster: through a change of leaders, with workers that block, pipelines, MULTI
// and pub/sub.
"use strict";
const assert = require("node:assert");
const { createCluster } = require("redis");
const slotOf = require("cluster-key-slot");
const { version } = require("redis/package.json");
const { CLAIM_IDLE_MS, sleep } = require("./outcome.cjs");
const { throughFailover, arguments: args, end } = require("./failover.cjs");

const [name, ports] = args();
const rootNodes = ports.map((port) => ({ url: `redis://127.0.0.1:${port}` }));
const opened = [];

async function open() {
  const cluster = createCluster({ rootNodes });
  cluster.on("error", () => {});
  await cluster.connect();
  opened.push(cluster);
  return cluster;
}

// What was on its way to a worker when a connection broke is pending still: it claims that again.
async function work(own, stream, seen, isOpen) {
  const streams = { key: stream, id: ">" };
  while (isOpen()) {
    try {
      const found = await own.xReadGroup("workers", "w", streams, { COUNT: 10, BLOCK: 2000 });
      const claimed = await own.xAutoClaim(stream, "workers", "w", CLAIM_IDLE_MS, "0-0");
      for (const { id, message } of [...(found?.[0].messages ?? []), ...claimed.messages]) {
        await own.xAck(stream, "workers", id);
        seen(message.n);
      }
    } catch (error) {
      await sleep(50);
    }
  }
}

function driver(cluster) {
  return {
    leaders: (names) => names.map((one) => cluster.slots[slotOf(one)]?.master.address),
    append: (stream, number) => cluster.xAdd(stream, "*", { n: String(number) }),

    async follow(stream, seen) {
      const own = await open();
      await own.xGroupCreate(stream, "workers", "0", { MKSTREAM: true });
      let isOpen = true;
      const working = work(own, stream, seen, () => isOpen);
      return async () => {
        isOpen = false;
        await working;
      };
    },

    async together(key) {
      await cluster.del([`${key}in`, `${key}out`]);
      const all = [...Array(50).keys()].map((at) => cluster.xAdd(`${key}in`, `${at + 1}-0`, { n: "1" }));
      assert.strictEqual((await Promise.all(all))[49], "50-0");
      await cluster.xGroupCreate(`${key}in`, "g", "0");
      await cluster.xReadGroup("g", "c", { key: `${key}in`, id: ">" }, { COUNT: 1 });
      const moved = cluster.multi().xAck(`${key}in`, "g", "1-0").xAdd(`${key}out`, "1-0", { n: "1" });
      assert.deepStrictEqual(await moved.exec(), [1, "1-0"]);
      const pipeline = cluster.multi().xLen(`${key}in`).xLen(`${key}out`);
      assert.deepStrictEqual(await pipeline.execAsPipeline(), [50, 1]);
      await assert.rejects(cluster.multi().xLen("a").xLen("b").exec(), "keys of different slots");
    },

    async listen(channel, heard) {
      await cluster.subscribe(channel, (text) => heard(text));
      await cluster.sSubscribe(channel, (text) => heard(`s:${text}`));
    },

    publish: (channel, text) => Promise.all([cluster.publish(channel, text), cluster.sPublish(channel, text)]),

    async stored(stream) {
      return (await cluster.xRange(stream, "-", "+")).map(({ message }) => message.n);
    },

    close: () => opened.forEach((it) => it.destroy()),
  };
}

const main = async () => {
  const cluster = await open();
  await throughFailover(`node-redis ${version} cluster`, name, driver(cluster));
};
end(main());
