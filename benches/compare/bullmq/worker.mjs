// BullMQ's worker: `worker.mjs CONCURRENCY [OPTIONS as JSON]`.

import { Worker } from "bullmq";

import { handlers } from "../node/reports.mjs";
import { connection, QUEUE } from "./connection.mjs";

const [concurrency, options = "{}"] = process.argv.slice(2);
const jobs = handlers();
const worker = new Worker(QUEUE, async (job) => jobs[job.name](job.data), {
  connection,
  concurrency: Number(concurrency),
  ...JSON.parse(options),
});
worker.on("error", (error) => console.error(error));
process.on("SIGTERM", async () => {
  await worker.close();
  process.exit(0);
});
