/** A session whose plans are plain functions over its tensors: the trainer is tested without any device. */
import type { Plan, Program, Tensor } from '../../compiler/plan.ts';
import type { Data, Dims, Session } from '../../runtime/device.ts';

export interface FakeRun {
  readonly dims: Dims;
  readonly inputs: Readonly<Record<string, Data>>;
  readonly clocks: Readonly<Record<string, number>>;
}

export type FakePlan = (tensors: Map<string, Data>, run: FakeRun) => Readonly<Record<string, Data>>;

export function tensor(
  path: string,
  role: Tensor['role'],
  shape: readonly number[] = [],
  dtype: Tensor['dtype'] = 'f32',
): Tensor {
  return { path, role, dtype, shape, store: 0, offset: 0 };
}

const size = (t: Tensor): number => t.shape.reduce((a, b) => a * b, 1);
const zeros = (t: Tensor): Data =>
  t.dtype === 'f32'
    ? new Float32Array(size(t))
    : t.dtype === 'i32'
      ? new Int32Array(size(t))
      : new Uint32Array(size(t));

export class FakeSession implements Session {
  readonly device = 'fake';
  readonly tensors: Map<string, Data>;
  readonly runs: ({ readonly plan: string } & FakeRun)[] = [];
  reads = 0;
  private readonly outputs = new Map<string, Readonly<Record<string, Data>>>();

  readonly program: Program;
  private readonly plans: Readonly<Record<string, FakePlan>>;

  constructor(program: Program, plans: Readonly<Record<string, FakePlan>>) {
    this.program = program;
    this.plans = plans;
    this.tensors = new Map(program.tensors.map((t) => [t.path, zeros(t)]));
  }

  async reserve(): Promise<void> {}

  run(
    plan: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>> = {},
  ): void {
    const body = this.plans[plan];
    if (!body) throw new Error(`no plan ${plan}`);
    const copied = Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, v.slice()]));
    const run = { dims: { ...dims }, inputs: copied, clocks: { ...clocks } };
    this.runs.push({ plan, ...run });
    this.outputs.set(plan, body(this.tensors, run));
  }

  async output(plan: string, name: string): Promise<Data> {
    this.reads++;
    return this.outputs.get(plan)![name]!.slice();
  }

  async read(path: string): Promise<Data> {
    this.reads++;
    return this.tensors.get(path)!.slice();
  }

  async write(path: string, data: Data): Promise<void> {
    const held = this.tensors.get(path)!;
    if (held.length !== data.length) throw new Error(`${path}: ${data.length} values for ${held.length}`);
    held.set(data);
  }

  allocated(): undefined {
    return undefined;
  }

  close(): void {}
}

/** A plan with these ports; nothing else of it is looked at by the trainer. */
export function plan(name: string, parts: Partial<Plan> = {}): Plan {
  return {
    name,
    target: 'reference',
    dims: ['batch'],
    inputs: [],
    outputs: [],
    clocks: [],
    buffers: [],
    dispatches: [],
    loops: [],
    code: { kind: 'wgsl', shaders: {} },
    ...parts,
  };
}
