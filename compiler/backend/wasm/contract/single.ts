/**
 * One row of m by the panels of B that were packed before the run: the product at batch 1. Several strips are multiplied at once,
 * each read as it lies in memory, so that sums enough are on their way to hide how long one addition takes.
 */
import type { ContractKernel } from '../../../kernel/kernel.ts';
import type { Poly } from '../../../shape/poly.ts';
import { constant } from '../../../shape/poly.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32, Module, Stmt } from '../encoder.ts';
import { block, brIf, forLoop, i32, loop, minI32, v128, when } from '../instr.ts';
import { Lowering } from '../lower.ts';
import { blockEnd, multiplyAdd } from './micro.ts';
import { type Operand, RowsInPlace } from './panels.ts';
import { type ContractPlan, known } from './plan.ts';
import { loadsAtOnce, type Mode } from './tiles.ts';

/** Vectors of results that are summed at once. */
const sumsAtOnce = 12;
/** Into how many units the columns are cut, for threads. */
const leastUnits = 16;

/** What to run where a dimension is 1. */
export interface Single {
  readonly dim: string;
  readonly f: Func;
  readonly units: Poly;
}

interface Parts {
  readonly dim: string;
  readonly a: Operand;
  readonly b: Operand;
  /** Stores along a row; see `buildRowEpilogue`. */
  readonly epilogue: Func;
}

/** For plans with a known k and n. */
export function emitSingle(
  k: ContractKernel,
  plan: ContractPlan,
  { dim, a: packedA, b, epilogue }: Parts,
  context: EmitContext,
): Single {
  const { tile } = plan;
  const lanes = 4 * tile.vectors;
  const [columns, depth] = [known(k.n)!, known(k.k)!];
  const strips = Math.ceil(columns / lanes);
  const group = Math.max(1, Math.floor(sumsAtOnce / tile.vectors));
  const perUnit = group * Math.max(1, Math.floor(strips / (leastUnits * group)));
  const f = context.variant('single');
  const [unit, strip, panel, to] = ['unit', 'strip', 'panel', 'to'].map((name) => f.local('i32', name));
  const [first, end] = [f.local('i32', 'first'), f.local('i32', 'end')];
  const lower = new Lowering(context.environment(k, new Map(), f));
  const a = plan.inPlace ? new RowsInPlace(plan.inPlace, tile.rows, plan, lower) : packedA;
  const packed = plan.inPlace ? 0 : 64 * Math.ceil((4 * tile.rows * depth + 64) / 64);
  const stripBytes = 4 * tile.rows * lanes;
  const area = f.local('i32', 'area');
  const results = i32.add(area.get, i32.const(packed));
  const none = i32.const(0);
  const all = { from: none, to: i32.const(depth / (plan.blockK / plan.chunk)) };
  const shape = { ...plan.tile, panelBytes: 4 * lanes * depth, step: a.steps.k };
  const x = a.at(none, all, area.get);
  const row = (strips: number): Stmt =>
    buildRow(context.module, { ...shape, strips }, context).call(
      'void',
      i32.const(depth),
      x,
      panel!.get,
      to!.get,
    );
  f.body.push(
    ...lower.finish(),
    area.set(context.scratch(f.param(2).get, packed + stripBytes * perUnit)),
    ...a.fill(none, [], all, area.get),
    ...forLoop(unit!, f.param(0).get, f.param(1).get, 1, [
      first.set(i32.mul(unit!.get, i32.const(perUnit))),
      end.set(minI32(i32.add(first.get, i32.const(perUnit)), i32.const(strips))),
      to!.set(results),
      ...forLoop(strip!, first.get, end.get, group, [
        panel!.set(b.at(i32.mul(strip!.get, i32.const(lanes)), all, none)),
        ...rows(i32.sub(end.get, strip!.get), group, strips % group, row),
        to!.set(i32.add(to!.get, i32.const(stripBytes * group))),
      ]),
      first.set(i32.mul(first.get, i32.const(lanes))),
      end.set(minI32(i32.mul(end.get, i32.const(lanes)), i32.const(columns))),
      epilogue.call('void', none, first.get, i32.const(1), i32.sub(end.get, first.get), results),
    ]),
  );
  return { dim, f, units: constant(Math.ceil(strips / perUnit)) };
}

/** The code for a whole group, and for what is left of the last. */
function rows(left: I32, group: number, rest: number, row: (count: number) => Stmt): Stmt[] {
  if (rest === 0) return [row(group)];
  return when(i32.geS(left, i32.const(group)), [row(group)], [row(rest)]);
}

interface RowShape {
  readonly rows: number;
  readonly vectors: number;
  readonly strips: number;
  readonly panelBytes: number;
  /** Bytes from one k of A to the next. */
  readonly step: number;
}

/** (count of k >= 1, row of A, panel of the first strip of B, results): those of a strip lie where the row of a tile does. */
function buildRow(module: Module, shape: RowShape, mode: Mode): Func {
  const { rows, vectors, strips, panelBytes, step } = shape;
  const params = ['count', 'a', 'b', 'to'].map((name) => [name, 'i32'] as const);
  const f = module.func(`row.${strips}x${4 * vectors}`, params, 'void');
  const [count, a, b, to] = [0, 1, 2, 3].map((i) => f.param(i));
  const places = Array.from({ length: strips * vectors }, (_, i) => ({
    sum: f.local('v128', 'sum'),
    value: f.local('v128', 'b'),
    from: panelBytes * Math.floor(i / vectors) + 16 * (i % vectors),
    into: 16 * rows * vectors * Math.floor(i / vectors) + 16 * (i % vectors),
  }));
  const splat = f.local('v128', 'a');
  const perBlock = loadsAtOnce(places.length, mode);
  f.body.push(
    block(
      loop(
        splat.set(v128.loadSplat(a!.get)),
        ...places.flatMap(({ sum, value, from }, i) => [
          ...blockEnd(i, perBlock, to!.get),
          value.set(v128.load(b!.get, from)),
          sum.set(multiplyAdd(splat.get, value.get, sum.get, mode)),
        ]),
        a!.set(i32.add(a!.get, i32.const(step))),
        b!.set(i32.add(b!.get, i32.const(16 * vectors))),
        brIf(0, count!.tee(i32.sub(count!.get, i32.const(1)))),
      ),
    ),
    ...places.map((p) => v128.store(to!.get, p.sum.get, p.into)),
  );
  return f;
}
