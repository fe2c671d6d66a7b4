// Inference in ONNX Runtime: onnxruntime.mjs node|web WORKLOAD prints JSON lines as bench/ours.mjs does.
// PEERLAB: folder with the packages in node_modules, and in nnet-onnx/ what `pytorch.py --export` wrote.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as inputs from '../lib/data.mjs';
import { budgets, timeCalls } from '../lib/timing.mjs';

const [kind = '', workload = ''] = process.argv.slice(2);
const folder = process.env.PEERLAB;
const packageName = kind === 'node' ? 'onnxruntime-node' : 'onnxruntime-web';
const entry = createRequire(join(folder, 'package.json')).resolve(packageName);
const ort = (await import(pathToFileURL(entry).href)).default;
const source = inputs.data(workload);

const tensor = (i, batch) => {
  const [values] = Object.values(inputs.inferenceInputs(source, workload, i, batch));
  if (workload === 'gpt') return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [batch, 64]);
  const shape = workload === 'mlp' || workload === 'lstm' ? [batch, 28, 28] : [batch, 1, 28, 28];
  return new ort.Tensor('float32', values, shape);
};

const result = { workload };
for (const batch of [1, 64]) {
  const path = join(folder, 'nnet-onnx', `${workload}.b${batch}.onnx`);
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 2 });
  const batches = Array.from({ length: 8 }, (_, i) => tensor(i, batch));
  const infer = async (i) => (await session.run({ x: batches[i % 8] })).y.data;
  const first = await infer(0);
  if (batch === 1) result.check = first.reduce((sum, x) => sum + Math.abs(x), 0) / first.length;
  result[`inferMs${batch}`] = await timeCalls(infer, budgets.infer);
  result.rssMb = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(JSON.stringify(result));
}
process.exit(0);
