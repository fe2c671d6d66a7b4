/**
 * The shape of a contraction without workgroup memory (`direct.ts`): which points of the result, and how many steps of k
 * at a time, one invocation takes.
 */
import type { Axis, ContractKernel, Ex } from '../../kernel/kernel.ts';
import { loadsIn } from '../../kernel/walk.ts';
import { asConstant, evaluate, stepOf } from '../../shape/poly.ts';
import type { Poly } from '../../shape/poly.ts';
import { countOf } from './axes.ts';
import type { WgslLimits } from './shader.ts';
import { range } from './tile.ts';
import { operationsIn } from './walk.ts';

export interface Patch {
  /** Points along each axis of m and n, in the order of the axes. */
  readonly m: readonly number[];
  readonly n: readonly number[];
  /** Steps along each axis of k that one round of the loop takes: one, or all; of the last axis any number. */
  readonly k: readonly number[];
  /** Invocations that share a patch, each taking its part of the rounds; then they are a workgroup. A power of two. */
  readonly threadsK: number;
  /** Invocations of a workgroup. */
  readonly invocations: number;
}

/**
 * What a processor that pretends to be a GPU spends, in multiplications, as measured on SwiftShader: a load is one of a
 * scalar for each lane, tested against the buffer's end; an accumulator is copied in every round of a loop.
 */
const LOAD = 50;
const SELECT = 5;
const CARRIED = 14;
const ROUND = 40;
const STORE = 150;
/**
 * What compiling an access to memory takes, spread over the runs that a kernel may be expected to have; it grows with the values
 * that are alive meanwhile.
 */
const TEXT = 3000;
const WORKGROUP = 1000;
/** Threads among which workgroups should be divisible, and invocations that a thread runs at once. */
const THREADS = 2;
const LANES = 4;
/** Text of more multiplications takes long to compile. */
const MOST_PRODUCTS = 1200;
const MOST_ACCUMULATORS = 128;
const MOST_THREADS_K = 32;
/** A dimension that is not known is taken to be so large. */
const TYPICAL = 64;

const extent = (p: Poly): number => asConstant(p) ?? evaluate(p, () => TYPICAL);
const product = (ns: readonly number[]): number => ns.reduce((a, b) => a * b, 1);

/** Not in parts, which are for devices that many invocations keep busy, and without contractions inside. */
export const canBeDirect = ({ a, b, parts }: ContractKernel): boolean =>
  !parts && operationsIn([a, b]) < Infinity;

/** One for a GPU: what fits its registers, in larger workgroups. */
export function smallPatch(kernel: ContractKernel, limits: WgslLimits): Patch {
  const patch = choosePatch(kernel, limits, 32);
  return patch.threadsK > 1 ? patch : { ...patch, invocations: 64 };
}

/** The patch of the least estimated time. */
export function choosePatch(
  kernel: ContractKernel,
  limits: WgslLimits,
  mostAccumulators = MOST_ACCUMULATORS,
): Patch {
  const [ms, ns, ks] = [sidePatches(kernel.m), sidePatches(kernel.n), stepPatches(kernel.k)];
  const [a, b] = [operandCost(kernel.a, kernel.k), operandCost(kernel.b, kernel.k)];
  let best: { readonly patch: Patch; readonly time: number } | undefined;
  for (const k of ks) {
    const [as, bs] = [ms.map((m) => a(kernel.m, m, k)), ns.map((n) => b(kernel.n, n, k))];
    ms.forEach((m, i) =>
      ns.forEach((n, j) => {
        const accumulators = product(m) * product(n) + (kernel.sums ? product(n) : 0);
        const products = accumulators * product(k);
        const isSmall = products <= MOST_PRODUCTS && accumulators <= mostAccumulators;
        if (!isSmall && accumulators > 1) return;
        const [x, y] = [as[i]!, bs[j]!];
        const round = x.time + y.time + products + CARRIED * accumulators + ROUND;
        const text = (x.loads + y.loads + accumulators) * (1 + accumulators / 32) * TEXT;
        for (const patch of sharings(kernel, { m, n, k }, accumulators, limits)) {
          const time = timeOf(kernel, patch, round, accumulators) + text;
          if (!best || time < best.time) best = { patch, time };
        }
      }),
    );
  }
  if (!best) throw new Error(`kernel \`${kernel.name}\` has no patch`);
  return best.patch;
}

/** One invocation a patch, and as many as there is memory for to add up what they have. */
function sharings(
  kernel: ContractKernel,
  points: Pick<Patch, 'm' | 'n' | 'k'>,
  accumulators: number,
  limits: WgslLimits,
): Patch[] {
  const alone = [LANES, 4 * LANES].map((invocations) => ({ ...points, threadsK: 1, invocations }));
  let threadsK = MOST_THREADS_K;
  while (4 * accumulators * threadsK > limits.workgroupMemory) threadsK /= 2;
  const isShort = extent(countOf(kernel.k)) < 4 * threadsK * product(points.k);
  return isShort || threadsK < LANES ? alone : [...alone, { ...points, threadsK, invocations: threadsK }];
}

/** Time of the thread that has most to do. */
function timeOf(kernel: ContractKernel, patch: Patch, round: number, accumulators: number): number {
  const rounds = ([axes, points]: readonly [readonly Axis[], readonly number[]]): number =>
    product(axes.map((x, i) => Math.ceil(extent(x.extent) / points[i]!)));
  const patches = rounds([kernel.m, patch.m]) * rounds([kernel.n, patch.n]) * extent(countOf(kernel.batch));
  const shared = patch.threadsK > 1;
  const workgroups = Math.ceil((patches * patch.threadsK) / patch.invocations);
  const turns = Math.ceil(workgroups / THREADS) * Math.ceil(patch.invocations / LANES);
  const steps = Math.ceil(rounds([kernel.k, patch.k]) / patch.threadsK);
  return turns * (steps * round + accumulators * (STORE + (shared ? 2 * STORE : 0))) + workgroups * WORKGROUP;
}

/** Points along one axis: parts of it, or up to 8 of which the last patch may have fewer. */
function along({ extent: e }: Axis, most: number): number[] {
  const n = asConstant(e);
  if (n === undefined) return [1, 2, 4, 8];
  const divisors = range(Math.min(n, most)).flatMap((i) => (n % (i + 1) === 0 ? [i + 1] : []));
  return n > 8 && !divisors.some((d) => d >= 4) ? [...divisors, 4, 8] : divisors;
}

const isOne = (axis: Axis): boolean => asConstant(axis.extent) === 1;

/** Points along the last axis that has more than one, and along the one before. */
function sidePatches(axes: readonly Axis[]): number[][] {
  const last = axes.findLastIndex((a) => !isOne(a));
  const before = axes.findLastIndex((a, i) => i < last && !isOne(a));
  const with_ = (pairs: readonly (readonly [number, number])[]): number[] =>
    axes.map((_, i) => pairs.find(([at]) => at === i)?.[1] ?? 1);
  if (last < 0) return [with_([])];
  return along(axes[last]!, 16).flatMap((p) =>
    before < 0
      ? [with_([[last, p]])]
      : along(axes[before]!, 5).map((q) =>
          with_([
            [before, q],
            [last, p],
          ]),
        ),
  );
}

/** Steps along the last axis of k, and all of the one before where there are few. */
function stepPatches(axes: readonly Axis[]): number[][] {
  const last = axes.findLastIndex((a) => !isOne(a));
  if (last < 0) return [axes.map(() => 1)];
  const before = axes.findLastIndex((a, i) => i < last && !isOne(a));
  const whole = (at: number): number | undefined => {
    const n = at < 0 ? undefined : asConstant(axes[at]!.extent);
    return n !== undefined && n <= 8 ? n : undefined;
  };
  const of = (pairs: Readonly<Record<number, number>>): number[] => axes.map((_, i) => pairs[i] ?? 1);
  const single = along(axes[last]!, 8)
    .filter((p) => {
      const n = asConstant(axes[last]!.extent);
      return n === undefined || n % p === 0;
    })
    .map((p) => of({ [last]: p }));
  const [one, two] = [whole(last), whole(before)];
  return one !== undefined && two !== undefined ? [...single, of({ [last]: one, [before]: two })] : single;
}

/** What an operand costs in one round: its distinct loads, and what is computed of them. */
function operandCost(ex: Ex, k: readonly Axis[]) {
  const operations = operationsIn([ex]);
  const loads = loadsIn(ex);
  return (side: readonly Axis[], points: readonly number[], steps: readonly number[]) => {
    const box = [
      ...side.map((axis, i) => ({ axis, points: points[i]! })),
      ...k.map((axis, i) => ({ axis, points: steps[i]! })),
    ].filter((b) => b.points > 1);
    const all = product(box.map((b) => b.points));
    const read = loads.reduce((sum, load) => sum + distinct(load.offset, box), 0);
    const selected = loads.filter((load) => load.guard.length > 0).length * all;
    return { loads: read, time: LOAD * read + SELECT * selected + operations * all };
  };
}

/** How many values an offset takes over a box of points. */
function distinct(offset: Poly, box: readonly { readonly axis: Axis; readonly points: number }[]): number {
  let values = new Set([0]);
  let others = 1;
  for (const { axis, points } of box) {
    const stride = stepOf(offset, axis.name);
    if (stride === undefined) others *= points;
    else if (stride !== 0)
      values = new Set([...values].flatMap((v) => range(points).map((i) => v + i * stride)));
  }
  return values.size * others;
}
