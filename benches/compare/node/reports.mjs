// What the jobs tell: JSON lines in a file of this process' own, which the harness reads.

import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";

const FLUSH_MS = 50;
const LOOK_MS = 50;

// Date.now() counts whole milliseconds: where one begins tells how far performance.now() is from it.
const offsetMs = (() => {
  const began = Date.now();
  while (Date.now() === began);
  return Date.now() - performance.now();
})();

/** Wall time in microseconds. */
export const nowUs = () => Math.round((offsetMs + performance.now()) * 1000);

/** Two hundred bytes, as every peer's jobs carry. */
export const PAD = "x".repeat(200);

/** The two kinds of job that every driver has. */
export function handlers() {
  const path = join(process.env.COMPARE_REPORTS, `${process.pid}.jsonl`);
  const write = (line) => appendFileSync(path, JSON.stringify(line) + "\n");
  let ran = 0, told = 0, firstUs = 0, lastUs = 0, waitsUs = [];

  setInterval(() => {
    if (ran === told) return;
    told = ran;
    write({ ran, first_us: firstUs, last_us: lastUs, waits_us: waitsUs });
    waitsUs = [];
  }, FLUSH_MS).unref();

  return {
    noop({ at_us }) {
      lastUs = nowUs();
      if (ran++ === 0) firstUs = lastUs;
      if (at_us) waitsUs.push(lastUs - at_us);
    },
    async hold({ n }) {
      write({ began: n, at_us: nowUs() });
      while (existsSync(process.env.COMPARE_HOLD)) await new Promise((done) => setTimeout(done, LOOK_MS));
      write({ ended: n, at_us: nowUs() });
    },
  };
}

/**
 * Runs `enqueue.mjs bulk N noop|hold BATCH` or `enqueue.mjs paced N PER_S` with the two calls of a peer. Of paced jobs
 * those of the first second are not timed: client and worker warm up.
 */
export async function enqueue({ many, one }) {
  const [command, count, rest, size] = process.argv.slice(2);
  const n = Number(count);
  const began = performance.now();
  if (command === "bulk") {
    for (let made = 0; made < n; ) {
      const batch = Math.min(Number(size), n - made);
      const payload = (i) => (rest === "hold" ? { n: made + i } : { at_us: 0, pad: PAD });
      await many(rest, Array.from({ length: batch }, (_, i) => payload(i)));
      made += batch;
    }
  } else {
    for (let i = 0; i < n; i++) {
      const ahead = began + (i * 1000) / Number(rest) - performance.now();
      if (ahead > 0) await new Promise((done) => setTimeout(done, ahead));
      await one({ at_us: i >= Number(rest) ? nowUs() : 0, pad: PAD });
    }
  }
  console.log(JSON.stringify({ enqueued: n, seconds: (performance.now() - began) / 1000 }));
}
