/**
 * Packing: `width` neighbouring indices of one role (the lanes) times a block of k, evaluated from any expression and
 * written as a panel [k][width]. Made per operand, as a function (first lane, batch indices, k indices that are given, bounds
 * of the k axes that count as one, panel).
 */
import type { Axis, Ex, Kernel } from '../../../kernel/kernel.ts';
import { exMapper } from '../../../kernel/rebuild.ts';
import type { Poly } from '../../../shape/poly.ts';
import { asConstant, constant, multiply, one, substitute, symbol } from '../../../shape/poly.ts';
import type { ContractPlan, PackAlong } from './plan.ts';
import type { EmitContext } from '../context.ts';
import type { Code, Func, I32, Stmt, V128 } from '../encoder.ts';
import { f32, forLoop, i32, minI32, v128, when } from '../instr.ts';
import type { Bounds } from '../loops.ts';
import { Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';

export interface PackSpec {
  readonly name: string;
  readonly kernel: Pick<Kernel, 'buffers'>;
  readonly operand: Ex;
  readonly lanes: readonly Axis[];
  readonly batch: readonly Axis[];
  readonly k: readonly Axis[];
  /** k axes before this one are parameters. */
  readonly given?: number;
  /** The axes from there up to `cut` count as one, of which a block has a run; those after it are whole. */
  readonly plan: Pick<ContractPlan, 'cut'>;
  readonly along: PackAlong;
  /** Lanes of the panel. */
  readonly width: number;
}

/** Innermost k axes up to this extent are written out. */
const writeOutLimit = 8;

const givenAxes = ({ batch, k, given = 0 }: PackSpec): readonly Axis[] => [...batch, ...k.slice(0, given)];

/** The function, and the names of its parameters in order. */
export function buildPack(spec: PackSpec, context: EmitContext): Func {
  const outer = givenAxes(spec).map((a) => a.name);
  const f = context.helper(spec.name, ['first', ...outer, 'from', 'to', 'panel']);
  f.body.push(
    ...(spec.along === 'k'
      ? new Packing(spec, context, f).transposing()
      : new Packing(spec, context, f).straight()),
  );
  return f;
}

/** Indices of a flattened role index, named at the innermost level; the last axis gets what is left. */
export function decode(lower: Lowering, axes: readonly Axis[], flat: I32, suffix = ''): void {
  let rest = flat;
  for (let i = axes.length - 1; i > 0; i--) {
    const extent = lower.poly(axes[i]!.extent);
    const { integers } = lower.env;
    lower.bind(axes[i]!.name + suffix, lower.keep(integers.floorMod(rest, extent, true)));
    rest = lower.keep(integers.floorDiv(rest, extent, true));
  }
  if (axes[0]) lower.bind(axes[0].name + suffix, rest);
}

/** The number of indices of a role. */
export const count = (axes: readonly Axis[]): Poly => multiply(one, ...axes.map((a) => a.extent));

class Packing {
  private readonly groups: number;

  constructor(
    private readonly spec: PackSpec,
    private readonly context: EmitContext,
    private readonly f: Func,
  ) {
    this.groups = Math.ceil(spec.width / 4);
  }

  private param(fromEnd: number): I32 {
    return this.f.param(this.f.params.length - fromEnd).get;
  }

  /** A Lowering with the parameters named. */
  private lowering(suffixes: readonly string[] = ['']): Lowering {
    const { spec } = this;
    const ranges = new Map([...spec.batch, ...spec.k].map((a) => [a.name, a.extent]));
    for (const s of suffixes) for (const a of spec.lanes) ranges.set(a.name + s, a.extent);
    const lower = new Lowering(this.context.environment(spec.kernel, ranges, this.f));
    givenAxes(spec).forEach((a, i) => lower.bind(a.name, this.f.param(1 + i).get));
    return lower;
  }

  private get panel(): I32 {
    return this.param(1);
  }

  private lanePointer(lane: I32): I32 {
    return i32.add(this.panel, i32.mul(lane, i32.const(4)));
  }

  /** The loops over the block's k, in order, except the innermost axis, which `body` runs. */
  private overK(lower: Lowering, body: (axis: Axis, bounds: Bounds, loops: Loops) => void): void {
    const loops = new Loops(lower, this.f);
    const rest = this.spec.k.slice(this.spec.plan.cut + 1);
    const last = rest.at(-1);
    this.runs(lower, (cut, bounds) => {
      if (!last) body(cut, bounds, loops);
      else
        loops.scalar(cut, bounds, () =>
          loops.nest(rest.slice(0, -1), () => body(last, loops.whole(last), loops)),
        );
    });
  }

  /** The runs of the axis that is cut, of which the block holds several where axes before it count as one with it. */
  private runs(lower: Lowering, body: (cut: Axis, bounds: Bounds) => void): void {
    const { k, given = 0, plan } = this.spec;
    const axes = k.slice(given, plan.cut + 1);
    const cut = axes.at(-1)!;
    const [from, to] = [this.param(3), this.param(2)];
    if (axes.length === 1) return body(cut, { from, to });
    const [flat, end] = [this.f.local('i32', 'flat'), this.f.local('i32', 'end')];
    lower.open('run', flat.get);
    decode(lower, axes, flat.get);
    const first = lower.index(cut.name);
    lower.push(
      end.set(i32.add(first, i32.sub(to, flat.get))),
      end.set(minI32(end.get, lower.poly(cut.extent))),
    );
    body(cut, { from: first, to: end.get });
    lower.push(flat.set(i32.add(flat.get, i32.sub(end.get, first))));
    lower.push(...forLoop(flat, from, to, 0, lower.close()));
  }

  /**
   * One pass over k that writes from `lane` on with a moving pointer. `write(to, map, offset)` emits the stores for one k, at `offset` bytes from
   * the pointer, of expressions rewritten by `map`.
   */
  private pass(
    lower: Lowering,
    lane: I32,
    write: (at: I32, map: (ex: Ex) => Ex, offset: number) => void,
  ): void {
    const to = this.f.local('i32', 'to');
    const bytes = 4 * this.spec.width;
    const advance = (n: number): Stmt => to.set(i32.add(to.get, i32.const(n * bytes)));
    lower.push(to.set(this.lanePointer(lane)));
    this.overK(lower, (axis, bounds, loops) => {
      const extent = asConstant(axis.extent);
      const whole = bounds.from.constant === 0 && extent !== undefined && extent <= writeOutLimit;
      if (!whole) {
        loops.scalar(axis, bounds, () => {
          write(to.get, (ex) => ex, 0);
          lower.push(advance(1));
        });
        return;
      }
      for (let i = 0; i < extent; i++)
        write(
          to.get,
          exMapper((p) => substitute(p, (s) => (s === axis.name ? constant(i) : undefined))),
          i * bytes,
        );
      lower.push(advance(extent));
    });
  }

  // -------------------------------------------------------------- vectors along the lanes

  /** Whole strip in one run of the innermost axis; else each group of lanes that is; else lane by lane. */
  straight(): Stmt[] {
    const { width } = this.spec;
    const zero = i32.const(0);
    if (this.groups === 1) return this.group(zero, width);
    const group = this.f.local('i32', 'group');
    const head = this.lowering();
    const left = head.keep(i32.sub(head.poly(count(this.spec.lanes)), this.f.param(0).get));
    const whole = width - (width % 4);
    const end = head.keep(minI32(left, i32.const(whole)));
    const fours = forLoop(group, zero, end, 4, this.group(group.get, 4));
    const rest =
      whole < width ? when(i32.gtS(left, i32.const(whole)), this.group(i32.const(whole), width % 4)) : [];
    return this.inRun(width, zero, [...head.finish(), ...fours, ...rest]);
  }

  private group(lane: I32, lanes: number): Stmt[] {
    return this.inRun(lanes, lane, this.lanewise(lane, lanes));
  }

  /** So many lanes from `lane` on by vectors, if these lie in one run; else `otherwise`. */
  private inRun(lanes: number, lane: I32, otherwise: Stmt[]): Stmt[] {
    const { spec, f } = this;
    const inner = spec.lanes.at(-1)!;
    const vectors = Math.ceil(lanes / 4);
    const head = this.lowering();
    decode(head, spec.lanes, head.keep(i32.add(f.param(0).get, lane)));
    const index = (a: Axis): I32 => head.poly(symbol(a.name));
    const fits = i32.leS(i32.add(index(inner), i32.const(4 * vectors)), head.poly(inner.extent));
    const lower = this.lowering();
    for (const a of spec.lanes) lower.bind(a.name, index(a));
    lower.open(inner.name, index(inner), true);
    this.pass(lower, lane, (to, map, offset) => {
      const item = lower.env.interner.item(map(spec.operand));
      const values = Array.from({ length: vectors }, (_, u) => lower.vector(item, u));
      values.forEach((value, u) => lower.push(storeLanes(to, value, offset + 16 * u, lanes - 4 * u)));
    });
    const body = lower.close();
    return [...head.finish(), ...when(fits, [...lower.finish(), ...body], otherwise)];
  }

  /** `lanes` from `lane` on, each with its own indices; beyond the last index the last one again. */
  private lanewise(lane: I32, lanes: number): Stmt[] {
    const { lower, operands } = this.separate(lane, lanes);
    this.pass(lower, lane, (to, map, offset) => {
      const values = operands.map((ex) => lower.scalar(lower.env.interner.item(map(ex))));
      values.forEach((value, l) => lower.push(f32.store(to, value as Code<'f32'>, offset + 4 * l)));
    });
    return lower.finish();
  }

  /** The operand once for each lane, over lane indices of its own (`name#0` …). */
  private separate(lane: I32, lanes: number): { lower: Lowering; operands: readonly Ex[] } {
    const { spec, f } = this;
    const suffixes = Array.from({ length: lanes }, (_, l) => `#${l}`);
    const lower = this.lowering(suffixes);
    const last = lower.keep(i32.sub(lower.poly(count(spec.lanes)), i32.const(1)));
    const names = new Set(spec.lanes.map((a) => a.name));
    const operands = suffixes.map((suffix, l) => {
      const flat = lower.keep(i32.add(f.param(0).get, i32.add(lane, i32.const(l))));
      decode(lower, spec.lanes, lower.keep(minI32(flat, last)), suffix);
      return exMapper((p) => substitute(p, (s) => (names.has(s) ? symbol(s + suffix) : undefined)))(
        spec.operand,
      );
    });
    return { lower, operands };
  }

  // -------------------------------------------------------------- vectors along k

  /** Four lanes at a time, four k's of each by vectors, transposed; the rest of a run of k one by one. */
  transposing(): Stmt[] {
    const { lanes, width } = this.spec;
    const total = asConstant(count(lanes));
    const isFull = total !== undefined && total % width === 0;
    return Array.from({ length: this.groups }, (_, g) => {
      const group = this.transposingGroup(4 * g);
      if (g === 0 || isFull) return group;
      const head = this.lowering();
      const exists = i32.ltS(i32.add(this.f.param(0).get, i32.const(4 * g)), head.poly(count(lanes)));
      return [...head.finish(), ...when(exists, group)];
    }).flat();
  }

  private transposingGroup(firstLane: number): Stmt[] {
    const { spec, f } = this;
    const lanes = Math.min(4, spec.width - firstLane);
    const { lower, operands } = this.separate(i32.const(firstLane), lanes);
    const to = f.local('i32', 'to');
    const bytes = 4 * spec.width;
    lower.push(to.set(this.lanePointer(i32.const(firstLane))));
    this.overK(lower, (axis, bounds, loops) =>
      loops.vector(axis, bounds, 1, (vectors) => {
        const items = operands.map((ex) => lower.env.interner.item(ex));
        if (vectors === 0) {
          const values = items.map((item) => lower.scalar(item));
          values.forEach((value, l) => lower.push(f32.store(to.get, value as Code<'f32'>, 4 * l)));
          lower.push(to.set(i32.add(to.get, i32.const(bytes))));
          return;
        }
        const rows = items.map((item) => lower.keep(lower.vector(item, 0)));
        transpose(lower, rows).forEach((column, i) =>
          lower.push(storeLanes(to.get, column, i * bytes, lanes)),
        );
        lower.push(to.set(i32.add(to.get, i32.const(4 * bytes))));
      }),
    );
    return lower.finish();
  }
}

/** So many lanes of a vector, four at most: of three the fourth too, which what is written next overwrites. */
const storeLanes = (to: I32, value: V128, offset: number, lanes: number): Stmt =>
  lanes > 2 ? v128.store(to, value, offset) : v128.storePair(to, value, offset);

/** Columns of two to four rows of four; a missing fourth row repeats the third. */
function transpose(lower: Lowering, rows: readonly V128[]): V128[] {
  const [a, b, c, d = c] = rows as [V128, V128, V128?, V128?];
  const low = (x: V128, y: V128): V128 => lower.keep(v128.shuffle(x, y, [0, 4, 1, 5]));
  const high = (x: V128, y: V128): V128 => lower.keep(v128.shuffle(x, y, [2, 6, 3, 7]));
  const [ab0, ab1] = [low(a, b), high(a, b)];
  const second = (x: V128): V128 => v128.shuffle(x, x, [2, 3, 2, 3]);
  if (!c || !d) return [ab0, second(ab0), ab1, second(ab1)];
  const [cd0, cd1] = [low(c, d), high(c, d)];
  return [
    v128.shuffle(ab0, cd0, [0, 1, 4, 5]),
    v128.shuffle(ab0, cd0, [2, 3, 6, 7]),
    v128.shuffle(ab1, cd1, [0, 1, 4, 5]),
    v128.shuffle(ab1, cd1, [2, 3, 6, 7]),
  ];
}
