/** Random contractions, large enough to be packed: axes in any order, windows, padding, prologues, late sizes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { mergeRoles, planContract } from '../../compiler/backend/wasm/contract/plan.ts';
import type { Axis, ContractKernel, Ex } from '../../compiler/kernel/kernel.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import { add, constant, multiply, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import { check, dim, float, floats, load, local, op, fused } from './harness.ts';

const runs = Number(process.env['NNET_RANDOM'] ?? 60);

interface Sized extends Axis {
  readonly size: number;
}

/** Numbers taken from a tape, so that fast-check can shrink a kernel. */
class Tape {
  private position = 0;
  constructor(private readonly values: readonly number[]) {}
  below(n: number): number {
    return (this.values[this.position++] ?? 0) % n;
  }
  shuffle<T>(items: readonly T[]): T[] {
    const left = [...items];
    return items.map(() => left.splice(this.below(left.length), 1)[0]!);
  }
}

interface Made {
  readonly kernel: ContractKernel;
  readonly sizes: readonly number[];
  readonly dims: Readonly<Record<string, number>>;
}

function make(values: readonly number[]): Made {
  const tape = new Tape(values);
  const dims: Record<string, number> = {};
  const role = (name: string, most: number, extents: readonly number[], least = 1): Sized[] =>
    Array.from({ length: least + tape.below(most) }, (_, i) => {
      const size = extents[tape.below(extents.length)]!;
      const late = tape.below(4) === 0;
      if (late) dims[`${name}${i}_`] = size;
      return { name: `${name}${i}`, size, extent: late ? symbol(`${name}${i}_`) : constant(size) };
    });
  const batch = role('b', 2, [2, 3, 1], 0);
  const m = role('m', 2, [5, 3, 8, 13, 6, 4]);
  const n = role('n', 3, [7, 4, 10, 3, 8, 12, 5]);
  const k = role('k', 3, [9, 16, 5, 3, 8, 30]);
  const a = operand(tape, 0, [...batch, ...m, ...k], undefined);
  const window =
    tape.below(3) === 0
      ? undefined
      : { over: n.at(-1)!, by: k.at(-1)!, stride: 1 + tape.below(3), pad: tape.below(3) };
  const b = operand(tape, 1, [...batch, ...n, ...k], window);
  const { offset, size } = layout(tape, [...batch, ...m, ...n]);
  const acc = local('acc');
  const value = [
    acc,
    op('add', 'f32', acc, load(3, symbol(n.at(-1)!.name))),
    op('max', 'f32', op('mul', 'f32', acc, load(4, symbol(m.at(-1)!.name))), float(0)),
    op('add', 'f32', load(2, offset), acc),
  ][tape.below(4)]!;
  const use = (buffer: number, mode: 'read' | 'update') => ({ buffer, dtype: 'f32', mode }) as const;
  const kernel: ContractKernel = {
    kind: 'contract',
    name: 'c',
    notes: [],
    buffers: [use(0, 'read'), use(1, 'read'), use(2, 'update'), use(3, 'read'), use(4, 'read')],
    batch,
    m,
    n,
    k,
    a: a.ex,
    b: b.ex,
    stores: [{ buffer: 2, offset, value }],
  };
  return { kernel, sizes: [a.size, b.size, size, 40, 40], dims };
}

/** Row-major over a random order of the axes. */
function layout(tape: Tape, axes: readonly Sized[]): { offset: Poly; size: number } {
  const ordered = tape.below(2) === 0 ? axes : tape.shuffle(axes);
  return {
    offset: ordered.reduce<Poly>((sum, x) => add(multiply(sum, x.extent), symbol(x.name)), dim(0)),
    size: ordered.reduce((p, x) => p * x.size, 1),
  };
}

interface Window {
  readonly over: Sized;
  readonly by: Sized;
  readonly stride: number;
  readonly pad: number;
}

/** A load over the axes, two of them joined to one dimension if there is a window. */
function operand(
  tape: Tape,
  buffer: number,
  axes: readonly Sized[],
  window: Window | undefined,
): { ex: Ex; size: number } {
  const { offset, size } = layout(
    tape,
    window ? axes.filter((x) => x !== window.over && x !== window.by) : axes,
  );
  let at = offset;
  let total = size;
  const guard: Condition[] = [];
  if (window) {
    const { over, by, stride, pad } = window;
    const width = (over.size - 1) * stride + by.size;
    const index = subtract(add(scale(symbol(over.name), stride), symbol(by.name)), pad);
    const inner = Math.max(1, width - 2 * pad);
    if (pad > 0) guard.push({ kind: 'ge', value: index }, { kind: 'ge', value: subtract(inner - 1, index) });
    at = add(scale(at, inner), index);
    total *= inner;
  }
  const x = load(buffer, at, 'f32', { guard, fill: guard.length > 0 ? tape.below(2) : 0 });
  const ex = [
    x,
    x,
    op('sub', 'f32', x, float(0.25)),
    op('mul', 'f32', x, op('cast', 'f32', op('lt', 'bool', float(0), x))),
  ][tape.below(4)]!;
  return { ex, size: total };
}

it('random contractions agree with the oracle', () => {
  const plans = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 50, maxLength: 50 }), (values) => {
      const { kernel, sizes, dims } = make(values);
      const products = [...kernel.batch, ...kernel.m, ...kernel.n, ...kernel.k].reduce(
        (p, x) => p * (x as Sized).size,
        1,
      );
      fc.pre(products < 60_000);
      const planned = planContract(mergeRoles(kernel), fused);
      if (planned)
        plans.add(
          `${planned.plan.tile.rows} ${planned.plan.packA} ${planned.plan.packB} ${planned.plan.single}`,
        );
      check(
        kernel,
        sizes.map((size, i) => floats(size, i + 1)),
        dims,
        { relative: 1e-4, absolute: 2e-4 },
      );
    }),
    { numRuns: runs, seed: 5 },
  );
  // Every way of packing is among them.
  for (const part of ['3 ', '4 ', '6 ', 'lanes lanes', 'k k', 'k lanes', 'lanes k', 'true', 'false'])
    expect(
      [...plans].some((p) => p.includes(part)),
      `${part} in ${[...plans].join('; ')}`,
    ).toBe(true);
}, 240_000);
