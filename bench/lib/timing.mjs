// Times steps in blocks that end by waiting for the device, as long as a budget allows.

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Milliseconds to measure, by phase; a harness that compares programs sets them for all of them. */
export const budgets = {
  train: Number(process.env.BENCH_TRAIN_MS ?? 4000),
  infer: Number(process.env.BENCH_INFER_MS ?? 1500),
  op: Number(process.env.BENCH_OP_MS ?? 2000),
};

/** Milliseconds a step: `{ms, min, max, blocks, stepsPerBlock}`, `ms` being the median of the blocks. */
export async function timeSteps(step, wait, budget) {
  let each;
  let done = 0;
  for (const start = performance.now(); done < 3 || performance.now() - start < budget / 4; done++) {
    if (done >= 50) break;
    const began = performance.now();
    await step();
    await wait();
    each = performance.now() - began;
    if (each > 5000) break;
  }
  const size = Math.max(1, Math.min(50, Math.floor(budget / 6 / each)));
  const blocks = [];
  for (const start = performance.now(); blocks.length === 0 || performance.now() - start < budget;) {
    if (blocks.length >= 60) break;
    const began = performance.now();
    for (let i = 0; i < size; i++) await step();
    await wait();
    blocks.push((performance.now() - began) / size);
  }
  return {
    ms: median(blocks),
    min: Math.min(...blocks),
    max: Math.max(...blocks),
    blocks: blocks.length,
    stepsPerBlock: size,
  };
}

/** Median latency of one call after the first fifth of them, in milliseconds. */
export async function timeCalls(call, budget) {
  const times = [];
  for (const start = performance.now(); times.length <= 5000;) {
    const began = performance.now();
    await call(times.length);
    const took = performance.now() - began;
    times.push(took);
    if (performance.now() - start > budget && (times.length > 4 || took > 3000)) break;
  }
  return median(times.length > 4 ? times.slice(Math.max(2, Math.floor(times.length / 5))) : times.slice(-1));
}
