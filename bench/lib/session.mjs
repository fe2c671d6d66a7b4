// Compiles a workload with what is in dist/ and opens it on a device.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const bench = dirname(dirname(fileURLToPath(import.meta.url)));

/** A file of the build; NNETC_DIST names another build to measure. */
export const distFile = (path) => join(process.env.NNETC_DIST ?? join(dirname(bench), 'dist'), path);

export const built = (path) => import(pathToFileURL(distFile(path)).href);

export const workloadFile = (workload) => join(bench, 'workloads', `${workload}.nnet`);

/** Reads files; every data source has the fields of `source`, whatever it is called in the text. */
const hostOf = (source) => ({
  read: (path) => readFileSync(path, 'utf8'),
  resolve: (from, specifier) => join(dirname(from), specifier),
  describeData: () => ({ fields: source.fields, count: source.count }),
});

/** `{target, relaxed, wide, open(program), close()}` for `wasm` or `webgpu`. */
export async function openDevice(target, { threads = 1, strict = false } = {}) {
  if (target === 'wasm') {
    const { openWasm, requestPairing, supportsRelaxedSimd } = await built('runtime/wasm.js');
    const { prefersWideTiles } = await built('cli/engine.js');
    const relaxed = !strict && supportsRelaxedSimd();
    return {
      target,
      relaxed,
      threads,
      wide: requestPairing() && prefersWideTiles(relaxed),
      open: (program) => openWasm(program, { threads }),
      close: () => undefined,
    };
  }
  const { openWebgpu } = await built('runtime/webgpu.js');
  const device = await openWebgpu({ allowSoftware: true });
  if ('reason' in device) throw new Error(device.reason);
  const { workgroups, isSoftware, subgroups } = device;
  return {
    target,
    relaxed: false,
    compileFor: { workgroups, isSoftware, subgroups },
    open: (program) => device.load(program),
    close: () => device.close(),
  };
}

/** The named task or model of a file as a program; `only` is the sole one where it has no name. */
export async function compile(kind, file, name, source, device, sets = {}) {
  const compiler = await built('lib/index.js');
  const { target, relaxed, wide, threads } = device;
  const options = { target, relaxed, wide, ...(threads && { threads }), ...device.compileFor, sets };
  const model = compiler.load(file, hostOf(source));
  const made =
    kind === 'task'
      ? compiler.compileTask(model, name, { ...options, predict: false })
      : compiler.compileModel(model, name, options);
  if (!made.result)
    throw new Error(made.problems.map((p) => compiler.plain(compiler.messageOf(p))).join('\n'));
  return made.result;
}

export async function modelName(file, source) {
  const compiler = await built('lib/index.js');
  return compiler.modelsOf(compiler.load(file, hostOf(source)))[0];
}

/** Draws initial values, then sets those of `weights`, a Map of path to data. */
export async function fill(session, weights) {
  await session.run('init', {}, {}, { seed: 1 });
  const known = new Set(session.program.tensors.map((t) => t.path));
  for (const [path, values] of weights) {
    if (!known.has(path)) throw new Error(`no tensor ${path} among ${[...known].join(', ')}`);
    await session.write(path, values);
  }
}
