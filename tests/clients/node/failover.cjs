// A cluster-aware client through a change of leaders: what is produced, what arrives, and whether the
// client learns who leads. `driver` is a program's own calls of its library:
//   leaders(names)        who leads each stream's slot, as the client has learnt it
//   append(name, number)  one entry; its id
//   follow(name, seen)    a worker of a group that blocks for entries until its own `stop` is called
//   together(key)         a pipeline, a transaction, a watched key
//   listen(channel, heard), publish(channel, text), stored(name), close(). What is heard by way of
//   SSUBSCRIBE has `s:` in front.
"use strict";
const assert = require("node:assert");
const { sleep } = require("./outcome.cjs");

const PATIENCE_MS = 120_000;
const BEFORE = 200;
const AFTER = 400;

// Looks until something is so.
async function until(what, look) {
  const ends = Date.now() + PATIENCE_MS;
  for (let found = await look(); !found; found = await look()) {
    assert(Date.now() < ends, `${what}: not within ${PATIENCE_MS} ms`);
    await sleep(20);
  }
}

async function isHeard(driver, heard, channel, word) {
  await until(`${word} to be heard`, async () => {
    await driver.publish(channel, word).catch(() => {});
    await sleep(50);
    return heard.includes(word) && heard.includes(`s:${word}`);
  });
}

// Appends until other nodes lead, and some more. Says `producing` when a leader may be killed.
async function produce(driver, names) {
  const before = JSON.stringify(await driver.leaders(names));
  const [acknowledged, ends] = [[], Date.now() + PATIENCE_MS];
  let [number, unanswered, more] = [0, 0, 0];
  for (; more < AFTER; number += 1) {
    assert(Date.now() < ends, `${number} appends, ${more} since the change: ${before}`);
    const name = names[number % names.length];
    try {
      await driver.append(name, number);
      acknowledged.push(`${name} ${number}`);
    } catch (error) {
      unanswered += 1;
    }
    more += JSON.stringify(await driver.leaders(names)) !== before;
    if (number === BEFORE) console.log("producing");
  }
  assert(unanswered < 100, `${unanswered} appends of ${number} had no answer`);
  return acknowledged;
}

exports.throughFailover = async (who, name, driver) => {
  const names = [...Array(8).keys()].map((at) => `${name}-${at}`);
  const [heard, seen] = [[], new Set()];
  await driver.listen(`${name}-news`, (text) => heard.push(text));
  await isHeard(driver, heard, `${name}-news`, "before");
  await driver.together(`{${name}}`);
  const workers = [];
  for (const one of names) {
    workers.push(await driver.follow(one, (number) => seen.add(`${one} ${number}`)));
  }
  const acknowledged = await produce(driver, names);
  const stored = new Set();
  for (const one of names) {
    for (const number of await driver.stored(one)) stored.add(`${one} ${number}`);
  }
  const lost = acknowledged.filter((one) => !stored.has(one));
  assert.deepStrictEqual(lost, [], "acknowledged and lost");
  await until("the workers to have everything", () => acknowledged.every((one) => seen.has(one)));
  await driver.together(`{${name}}`);
  await isHeard(driver, heard, `${name}-news`, "after");
  await Promise.all(workers.map((stop) => stop()));
  await driver.close();
  console.log(`${who}: ${acknowledged.length} acknowledged, as expected`);
};

exports.arguments = () => {
  const [name, ...ports] = process.argv.slice(2);
  return [name, ports.map(Number)];
};

exports.end = (main) =>
  main.then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
