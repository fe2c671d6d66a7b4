/** Attention in several forms, with its gradients as outputs: what must never store a matrix of scores on WebGPU. */
import { elaborateModel, elaborateTask } from '../../compiler/check/index.ts';
import { load, optimise } from '../../compiler/compile.ts';
import type { Computation, Leaf } from '../../compiler/ir/graph.ts';
import { topological } from '../../compiler/ir/walk.ts';
import { evaluate } from '../../compiler/shape/poly.ts';
import { testHost } from './backends.ts';

export interface AttentionCase {
  /** Arguments of `attention` behind query, key and value; and further inputs that these need. */
  readonly args: string;
  readonly inputs?: string;
  /** Of a query and key, and of a value. */
  readonly size: number;
  readonly width: number;
}

export const attentionCases: Readonly<Record<string, AttentionCase>> = {
  plain: { args: '', size: 5, width: 6 },
  causal: { args: ', causal: true', size: 8, width: 8 },
  masked: { args: ', mask: mask', inputs: 'input mask: bool[batch, 1, 1, s]', size: 3, width: 20 },
  wide: { args: ', causal: true', size: 20, width: 70 },
};

/** A model whose outputs are the result `y`, and the gradients of `sum(y * cotangent)`. Lengths t and s are open. */
export function attentionModel({ args, inputs = '', size, width }: AttentionCase): string {
  return `model Case() {
    input q: f32[batch, 2, t, ${size}]
    input k: f32[batch, 2, s, ${size}]
    input v: f32[batch, 2, s, ${width}]
    input cotangent: f32[batch, 2, t, ${width}]
    ${inputs}
    output y: f32[batch, 2, t, ${width}]
    output dq: f32[batch, 2, t, ${size}]
    output dk: f32[batch, 2, s, ${size}]
    output dv: f32[batch, 2, s, ${width}]
    y = attention(q, k, v${args})
    loss = sum(y * cotangent)
    dq = grad(loss, q)
    dk = grad(loss, k)
    dv = grad(loss, v)
  }`;
}

/** What is scheduled of a model's `predict`, or of a plan of the task `train`. */
export function computationOf(text: string, plan = 'predict'): Computation {
  const file = 'examples/case.nnet';
  const model = load(file, testHost({ [file]: text }));
  const { graphs, problems } = /^task train/m.test(text)
    ? elaborateTask(model, 'train')
    : elaborateModel(model, 'Case');
  const computation = graphs && optimise(graphs.computations)[plan];
  if (!computation) throw new Error(JSON.stringify(problems));
  return computation;
}

/** The leaves of a computation, in the order of its graph. */
export const leavesOf = ({ outputs, updates }: Computation): readonly Leaf[] =>
  topological([...outputs.map((o) => o.node), ...updates.flatMap((u) => [u.leaf, u.value])]).filter(
    (n): n is Leaf => n.op === 'leaf',
  );

/** Values for every leaf: small numbers, the same in each run; second moments are not negative. */
export function valuesFor(
  computation: Computation,
  dims: Readonly<Record<string, number>>,
): Map<string, Float64Array> {
  let state = 12345;
  const next = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  return new Map(
    leavesOf(computation).map(({ name, dtype, role, shape }) => {
      const size = shape.reduce((n, d) => n * evaluate(d, (s) => dims[s] ?? NaN), 1);
      const value = (): number => {
        const x = next();
        if (dtype === 'f32') return Math.fround(role === 'slot' ? x : 2 * x - 1);
        return dtype === 'bool' ? Number(x < 0.7) : 1 + Math.floor(x * 5);
      };
      return [name, Float64Array.from({ length: size }, value)] as const;
    }),
  );
}
