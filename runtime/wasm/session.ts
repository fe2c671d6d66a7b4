import type { Plan, Program } from '../../compiler/plan.ts';
import type { Data, Dims, Session } from '../device.ts';
import { RuntimeError } from '../errors.ts';
import {
  arrayOf,
  checkClocks,
  checkDims,
  checkInputs,
  checkTensor,
  outputOf,
  planOf,
  tensorOf,
} from '../ports.ts';
import { supportsRelaxedSimd } from '../relaxed.ts';
import { elements, evalShape, evalSize } from '../size.ts';
import type { Layout, PlanLayout } from './layout.ts';
import { layOut } from './layout.ts';

const pageBytes = 65536;

type Entry = (begin: number, end: number, thread: number) => void;

/** A plan with its buffers at fixed addresses. */
interface Loaded {
  readonly plan: Plan;
  readonly layout: PlanLayout;
  readonly entries: readonly Entry[];
  readonly dims: readonly WebAssembly.Global[];
  /** What the dims of the last run came to. */
  bound?: Bound;
}

interface Bound {
  readonly key: string;
  readonly units: readonly number[];
  readonly outputs: readonly number[];
}

export class WasmSession implements Session {
  readonly device = 'wasm';
  private readonly reserved = new Map<string, Dims>();
  private readonly loaded = new Map<string, Loaded>();
  private readonly ran = new Set<string>();
  private layout: Layout;
  private memory: WebAssembly.Memory | undefined;

  private constructor(
    readonly program: Program,
    private readonly modules: ReadonlyMap<string, WebAssembly.Module>,
  ) {
    this.layout = layOut(program, this.reserved, 1);
    this.memory = new WebAssembly.Memory({ initial: 1 });
    this.grow(this.layout.total);
  }

  static async open(program: Program): Promise<WasmSession> {
    const modules = await Promise.all(
      Object.entries(program.plans).map(async ([name, plan]) => [name, await compile(plan)] as const),
    );
    return new WasmSession(program, new Map(modules));
  }

  // ---------------------------------------------------------------- memory

  private get open(): WebAssembly.Memory {
    if (!this.memory) throw new RuntimeError('closed', 'the session is closed', 'open a new one');
    return this.memory;
  }

  private grow(bytes: number): void {
    const memory = this.open;
    const missing = Math.ceil(bytes / pageBytes) - memory.buffer.byteLength / pageBytes;
    if (missing <= 0) return;
    try {
      memory.grow(missing);
    } catch {
      throw new RuntimeError(
        'out-of-memory',
        `${Math.ceil(bytes / 2 ** 20)} MiB of memory cannot be had`,
        'use a smaller batch',
        { bytes },
      );
    }
  }

  private copy(at: number, length: number, dtype: Plan['buffers'][number]['dtype']): Data {
    return new (arrayOf(dtype))(this.open.buffer as ArrayBuffer, at, length).slice();
  }

  private put(at: number, data: Data): void {
    new Uint8Array(this.open.buffer, at, data.byteLength).set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    );
  }

  private at(path: string): number {
    const { store, offset } = tensorOf(this.program, path);
    return this.layout.stores[store]! + 4 * offset;
  }

  // ---------------------------------------------------------------- plans

  reserve(name: string, dims: Dims): Promise<void> {
    try {
      this.fit(planOf(this.program, name), name, dims);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Makes room for a plan with these dims; does nothing when there is. */
  private fit(plan: Plan, name: string, dims: Dims): Loaded {
    checkDims(plan, dims);
    const before = this.reserved.get(name);
    const known = this.loaded.get(name);
    if (known && before && plan.dims.every((d) => dims[d]! <= before[d]!)) return known;
    const kept = this.keepOutputs();
    this.reserved.set(
      name,
      Object.fromEntries(plan.dims.map((d) => [d, Math.max(dims[d]!, before?.[d] ?? 0)])),
    );
    this.relocate();
    kept.forEach(({ loaded, data }) => {
      const moved = this.loaded.get(loaded);
      data.forEach((d, i) => this.put(moved?.layout.outputs[i] ?? 0, d));
    });
    return this.loaded.get(name)!;
  }

  /** Outputs of earlier runs, which must survive a new layout. */
  private keepOutputs(): { loaded: string; data: Data[] }[] {
    return [...this.loaded].map(([loaded, l]) => ({
      loaded,
      data: l.bound
        ? l.plan.outputs.map((o, i) => this.copy(l.layout.outputs[i]!, l.bound!.outputs[i]!, o.dtype))
        : [],
    }));
  }

  private relocate(): void {
    this.layout = layOut(this.program, this.reserved, 1);
    this.grow(this.layout.total);
    for (const [name, layout] of this.layout.plans) {
      const before = this.loaded.get(name);
      const made = this.instantiate(name, layout);
      made.dims.forEach((global, i) => (global.value = Number(before?.dims[i]?.value ?? 0)));
      this.loaded.set(name, { ...made, ...(before?.bound && { bound: before.bound }) });
    }
  }

  private instantiate(name: string, layout: PlanLayout): Loaded {
    const plan = planOf(this.program, name);
    const dims = plan.dims.map(() => new WebAssembly.Global({ value: 'i32', mutable: true }, 0));
    const fixed = (value: number): WebAssembly.Global =>
      new WebAssembly.Global({ value: 'i32', mutable: false }, value);
    const env: Record<string, WebAssembly.ImportValue> = {
      memory: this.open,
      scratch: fixed(this.layout.scratch),
    };
    layout.buffers.forEach((at, i) => (env[`b${i}`] = fixed(at)));
    dims.forEach((global, i) => (env[`d${i}`] = global));
    const { exports } = new WebAssembly.Instance(this.modules.get(name)!, { env });
    return { plan, layout, dims, entries: plan.dispatches.map((d) => exports[d.entry] as Entry) };
  }

  private bind(loaded: Loaded, dims: Dims): Bound {
    const { plan } = loaded;
    const key = plan.dims.map((d) => dims[d]).join(' ');
    if (loaded.bound?.key === key) return loaded.bound;
    plan.dims.forEach((d, i) => (loaded.dims[i]!.value = dims[d]!));
    loaded.bound = {
      key,
      units: plan.dispatches.map((d) => evalSize(d.units, dims)),
      outputs: plan.outputs.map((o) => elements(evalShape(o.shape, dims))),
    };
    return loaded.bound;
  }

  run(
    name: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>> = {},
  ): void {
    const plan = planOf(this.program, name);
    checkDims(plan, dims);
    checkInputs(plan, dims, inputs);
    checkClocks(plan, clocks);
    const loaded = this.fit(plan, name, dims);
    const { units, outputs } = this.bind(loaded, dims);
    const { buffers } = loaded.layout;
    for (const port of plan.inputs) this.put(buffers[port.buffer]!, inputs[port.name]!);
    for (const clock of plan.clocks)
      this.put(buffers[clock.buffer]!, arrayOf(clock.dtype).of(clocks[clock.name] ?? 0));
    loaded.entries.forEach((entry, i) => {
      if (units[i]! > 0) entry(0, units[i]!, 0);
    });
    const bytes = new Uint8Array(this.open.buffer);
    plan.outputs.forEach((o, i) => {
      const from = buffers[o.buffer]!;
      bytes.copyWithin(loaded.layout.outputs[i]!, from, from + 4 * outputs[i]!);
    });
    this.ran.add(name);
  }

  output(name: string, port: string): Promise<Data> {
    const plan = planOf(this.program, name);
    const { dtype } = outputOf(plan, port);
    const loaded = this.loaded.get(name);
    if (!this.ran.has(name) || !loaded?.bound)
      return Promise.reject(
        new RuntimeError('no-output-yet', `plan \`${name}\` has not run yet`, 'run it first', {
          plan: name,
          port,
        }),
      );
    const i = plan.outputs.findIndex((o) => o.name === port);
    return Promise.resolve(this.copy(loaded.layout.outputs[i]!, loaded.bound.outputs[i]!, dtype));
  }

  read(path: string): Promise<Data> {
    const tensor = tensorOf(this.program, path);
    return Promise.resolve(this.copy(this.at(path), elements(tensor.shape), tensor.dtype));
  }

  write(path: string, data: Data): Promise<void> {
    checkTensor(tensorOf(this.program, path), data);
    this.put(this.at(path), data);
    return Promise.resolve();
  }

  close(): void {
    this.memory = undefined;
    this.loaded.clear();
  }
}

async function compile(plan: Plan): Promise<WebAssembly.Module> {
  const { code } = plan;
  if (code.kind !== 'wasm')
    throw new RuntimeError(
      'wrong-target',
      `plan \`${plan.name}\` was compiled for ${plan.target}, not for wasm`,
      'compile it with the target `wasm`',
      {
        plan: plan.name,
        target: plan.target,
      },
    );
  if (code.relaxed && !supportsRelaxedSimd())
    throw new RuntimeError(
      'no-device',
      `plan \`${plan.name}\` needs relaxed SIMD, which this engine does not have`,
      'compile it without',
      {
        plan: plan.name,
      },
    );
  return WebAssembly.compile(code.bytes as BufferSource);
}
