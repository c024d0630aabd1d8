// Where BullMQ's Redis listens, as ioredis takes it; a worker must not give up on a call that blocks.

const { hostname, port } = new URL(process.env.COMPARE_STORE);

export const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
export const QUEUE = "compare";
