// Makes jobs for graphile-worker: addJobs for many, addJob for one. `enqueue.mjs migrate` only makes its tables.

import { makeWorkerUtils } from "graphile-worker";

import { enqueue } from "../node/reports.mjs";

const utils = await makeWorkerUtils({ connectionString: process.env.COMPARE_STORE });
if (process.argv[2] === "migrate") {
  await utils.migrate();
} else {
  // The first query connects: before the clock runs.
  await utils.withPgClient((client) => client.query("SELECT 1"));
  await enqueue({
    many: (identifier, payloads) => utils.addJobs(payloads.map((payload) => ({ identifier, payload }))),
    one: (payload) => utils.addJob("noop", payload),
  });
}
await utils.release();
