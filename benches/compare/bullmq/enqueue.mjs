// Makes jobs for BullMQ: addBulk for many, add for one. The arguments are those of every driver.

import { Queue } from "bullmq";

import { enqueue } from "../node/reports.mjs";
import { connection, QUEUE } from "./connection.mjs";

const queue = new Queue(QUEUE, { connection });
await queue.waitUntilReady();
await enqueue({
  many: (name, payloads) => queue.addBulk(payloads.map((data) => ({ name, data }))),
  one: (data) => queue.add("noop", data),
});
await queue.close();
