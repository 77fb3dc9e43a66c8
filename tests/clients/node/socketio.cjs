// Socket.IO's streams adapter: servers that tell each other events through a stream.
"use strict";
const assert = require("node:assert");
const { createServer } = require("node:http");
const { createAdapter } = require("@socket.io/redis-streams-adapter");
const { version } = require("@socket.io/redis-streams-adapter/package.json");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { arguments: args, sleep } = require("./outcome.cjs");

async function open(port, name) {
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
  const adapter = createAdapter(client, { streamName: name, channelPrefix: name, blockTimeInMs: 200 });
  return { client, io: new Server(createServer(), { adapter }) };
}

async function main() {
  const [port, name, seconds] = args();
  const [one, two] = [await open(port, name), await open(port, name)];
  const heard = [];
  two.io.on("told", (number) => heard.push(number));
  await sleep(500);
  const ends = Date.now() + seconds * 1000;
  let told = 0;
  while (Date.now() < ends) {
    one.io.serverSideEmit("told", told);
    told += 1;
    await sleep(10);
  }
  while (heard.length < told) {
    assert(Date.now() < ends + 30_000, `${heard.length} of ${told} heard`);
    await sleep(20);
  }
  assert.deepStrictEqual(heard, [...Array(told).keys()]);
  console.log(`redis-streams-adapter ${version}: ${told} events, as expected`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
