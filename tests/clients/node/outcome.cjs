// What became of the entries of one program, and whether that is right.
"use strict";
const assert = require("node:assert");

const ENTRIES_MIN = 21;
exports.DELIVERIES_MAX = 3;
exports.CLAIM_IDLE_MS = 300;
exports.fails = (number) => Number(number) % 10 === 0;
exports.sleep = (ms) => new Promise((done) => setTimeout(done, ms));
exports.arguments = () => {
  const [port, name, seconds] = process.argv.slice(2);
  return [Number(port), name, Number(seconds)];
};

exports.Outcome = class {
  constructor(seconds) {
    this.ends = Date.now() + seconds * 1000;
    this.produced = 0;
    this.done = [];
    this.dead = [];
  }
  goesOn() {
    return Date.now() < this.ends || this.produced < ENTRIES_MIN;
  }
  isOpen() {
    assert(Date.now() < this.ends + 60_000, `${this.count()} of ${this.produced} after a minute`);
    return this.goesOn() || this.count() < this.produced;
  }
  count() {
    return this.done.length + this.dead.length;
  }
  check(who, pending, lag, length) {
    const all = [...Array(this.produced).keys()];
    const sorted = (numbers) => numbers.map(Number).sort((a, b) => a - b);
    assert.deepStrictEqual(sorted(this.done), all.filter((number) => !exports.fails(number)));
    assert.deepStrictEqual(sorted(this.dead), all.filter(exports.fails));
    assert.deepStrictEqual([Number(pending), Number(lag)], [0, 0], "pending and lag");
    assert(length <= 10, `${length} after the trim`);
    console.log(`${who}: ${this.produced} entries, as expected`);
  }
};
