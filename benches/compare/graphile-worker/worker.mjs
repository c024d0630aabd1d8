// graphile-worker's worker: `worker.mjs OPTIONS`, the worker options of its preset as JSON.

import { Logger, run } from "graphile-worker";

import { handlers } from "../node/reports.mjs";

// A line a job would be measured, too.
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});
const worker = { connectionString: process.env.COMPARE_STORE, logger, ...JSON.parse(process.argv[2]) };
const { noop, hold } = handlers();
const runner = await run({ preset: { worker }, taskList: { noop, hold } });
await runner.promise;
