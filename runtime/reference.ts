/** The device `reference`: runs plans by the interpreter that defines their meaning. Slow; for comparison and tests. */
import type { GraphData, Plan, PlanDType, Program } from '../compiler/plan.ts';
import { roundToHalf } from '../compiler/plan.ts';
import type { Data, Dims, Session } from './device.ts';
import { RuntimeError } from './errors.ts';
import type { Interpreter } from './interpret.ts';
import { interpreter } from './interpret.ts';
import {
  arrayOf,
  checkClocks,
  checkDims,
  checkInputs,
  checkTensor,
  outputOf,
  planOf,
  tensorOf,
} from './ports.ts';
import { elements } from './size.ts';

/** Opens a program whose plans were compiled for `reference`. */
export function openReference(program: Program): Session {
  return new ReferenceSession(program);
}

class ReferenceSession implements Session {
  readonly device = 'reference (float64)';
  readonly program: Program;
  private readonly tensors: Map<string, Float64Array>;
  private readonly bound = new Map<string, Interpreter>();
  private readonly results = new Map<string, ReadonlyMap<string, Float64Array>>();
  private closed = false;

  constructor(program: Program) {
    this.program = program;
    this.tensors = new Map(program.tensors.map((t) => [t.path, new Float64Array(elements(t.shape))]));
  }

  async reserve(name: string, dims: Dims): Promise<void> {
    this.bind(planOf(this.program, name), dims);
  }

  run(
    name: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>> = {},
  ): void {
    this.checkOpen();
    const plan = planOf(this.program, name);
    checkDims(plan, dims);
    checkInputs(plan, dims, inputs);
    checkClocks(plan, clocks);
    const graph = graphOf(plan);
    const dtypeOf = new Map(plan.inputs.map((port) => [port.name, port.dtype]));
    const given = new Map(
      Object.entries(inputs).map(([port, data]) => [port, this.values(dtypeOf.get(port), data)]),
    );
    const values = this.bind(plan, dims).run((role, leaf) => {
      if (role === 'clock') return Float64Array.of(clocks[leaf] ?? 0);
      return (role === 'input' ? given : this.tensors).get(leaf) ?? this.missing(role, leaf);
    });
    this.results.set(name, new Map(graph.outputs.map((o) => [o.name, values(o.node).slice()])));
    // All updates take effect together: an update may be another tensor's old value.
    const updates = graph.updates.map((u) => [u.path, values(u.node).slice()] as const);
    for (const [path, value] of updates) this.tensors.set(path, value);
  }

  async output(name: string, port: string): Promise<Data> {
    this.checkOpen();
    const plan = planOf(this.program, name);
    const { dtype } = outputOf(plan, port);
    const value = this.results.get(name)?.get(port);
    if (!value)
      throw new RuntimeError('no-output-yet', `plan \`${name}\` has not run yet`, 'run it first', {
        plan: name,
        port,
      });
    return arrayOf(dtype).from(value);
  }

  async read(path: string): Promise<Data> {
    this.checkOpen();
    const { dtype } = tensorOf(this.program, path);
    return arrayOf(dtype).from(this.tensors.get(path) ?? []);
  }

  async write(path: string, data: Data): Promise<void> {
    this.checkOpen();
    const tensor = tensorOf(this.program, path);
    checkTensor(tensor, data);
    this.tensors.set(path, this.values(tensor.dtype, data));
  }

  allocated(): undefined {
    return undefined;
  }

  close(): void {
    this.closed = true;
    this.bound.clear();
    this.results.clear();
    this.tensors.clear();
  }

  /** The interpreter of a plan for these dims, made once. */
  private bind(plan: Plan, dims: Dims): Interpreter {
    this.checkOpen();
    checkDims(plan, dims);
    const key = `${plan.name} ${plan.dims.map((d) => dims[d]).join(' ')}`;
    const known = this.bound.get(key);
    if (known) return known;
    const made = interpreter(graphOf(plan), dims);
    this.bound.set(key, made);
    return made;
  }

  /** Data from outside; what is held in f16 is rounded on its way in. */
  private values(dtype: PlanDType | undefined, data: Data): Float64Array {
    return Float64Array.from(data, dtype === 'f16' ? roundToHalf : undefined);
  }

  private missing(role: string, leaf: string): never {
    throw new Error(`the program has no ${role} ${leaf}`);
  }

  private checkOpen(): void {
    if (this.closed) throw new RuntimeError('closed', 'the session is closed', 'open a new one');
  }
}

function graphOf(plan: Plan): GraphData {
  if (plan.code.kind === 'reference') return plan.code.graph;
  throw new RuntimeError(
    'wrong-target',
    `plan \`${plan.name}\` was compiled for ${plan.target}, not for reference`,
    'compile it with the target `reference`',
    { plan: plan.name, target: plan.target },
  );
}
