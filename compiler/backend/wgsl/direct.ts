/**
 * Contractions without workgroup memory: an invocation computes a patch of results in accumulators that are scalars with names,
 * and reads its operands, through any expression, where they stand. What several of its points read is read once: the round
 * of the loop is written out point by point, and equal texts are one value. For processors that pretend to be a GPU, where
 * barriers and workgroup memory are dear.
 */
import type { Axis, ContractKernel, Ex, Store } from '../../kernel/kernel.ts';
import {
  add,
  asConstant,
  constant,
  floorDivide,
  minimum,
  scale,
  subtract,
  symbol,
} from '../../shape/poly.ts';
import type { Condition, Poly, Ranges } from '../../shape/poly.ts';
import { bindFlat, ceilDivide, countOf, isMultiple, stridedLoop, workgroupsOf } from './axes.ts';
import type { Groups } from './axes.ts';
import { Emitter, countUses } from './emitter.ts';
import type { Patch } from './patch.ts';
import { valueType } from './print.ts';
import { writeStores } from './rows.ts';
import { GROUP, LOCAL } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';
import { range } from './tile.ts';
import { operationsIn } from './walk.ts';
import { coordinates, exAt, placesOf, storesAt } from './written-out.ts';
import type { Point } from './written-out.ts';

/** One side of the patches. */
interface Side {
  readonly axes: readonly Axis[];
  readonly points: readonly number[];
  /** The patches along each axis, by the axes' own names. */
  readonly patches: readonly Axis[];
}

export function emitDirect(kernel: ContractKernel, shader: Shader, patch: Patch): Emitted {
  const [m, n] = [sideOf(kernel.m, patch.m), sideOf(kernel.n, patch.n)];
  const emitter = new Emitter(shader, countUses([kernel.a, kernel.b]), { isUnrolled: true });
  const groups = bindPatch(kernel, emitter, patch, [m, n]);
  const dtype = kernel.a.dtype;
  const sums: Sums = {
    acc: pointsOf(m).map((_, i) => pointsOf(n).map((__, j) => `acc${i}_${j}`)),
    folded: kernel.sums ? pointsOf(n).map((_, j) => `sum${j}`) : [],
  };
  const all = [...sums.acc.flat(), ...sums.folded];
  const zero = emitter.constant(dtype, 0).code;
  for (const name of all) emitter.block.add(`var ${name}: ${valueType(dtype)} = ${zero};`);
  addProducts(kernel, emitter, patch, [m, n], sums);
  const operations = operationsIn([...kernel.stores, ...(kernel.sums ?? [])].map((s) => s.value));
  if (patch.threadsK > 1) storeTogether(kernel, emitter, patch, [m, n], all);
  else if (operations * all.length <= MOST_OPERATIONS) storeWrittenOut(kernel, emitter, [m, n], sums);
  else storeInLoop(kernel, emitter, [m, n], all);
  return { workgroupSize: patch.invocations, workgroups: groups.workgroups, large: groups.large };
}

/** An epilogue of more operations is a loop. */
const MOST_OPERATIONS = 256;

interface Sums {
  /** Names by row and column. */
  readonly acc: readonly (readonly string[])[];
  readonly folded: readonly string[];
}

const sideOf = (axes: readonly Axis[], points: readonly number[]): Side => ({
  axes,
  points,
  patches: axes.map((a, i) => ({ ...a, extent: ceilDivide(a.extent, points[i]!) })),
});

const pointsIn = (points: readonly number[]): number => points.reduce((a, b) => a * b, 1);

/** The coordinates of every point of a patch. */
const pointsOf = ({ points }: Pick<Side, 'points'>): number[][] => coordinates(points);

/** The place of a point along an axis; where its patch may reach past the end: `isClamped`, the last one. */
function along(axis: Axis, points: number, at: Poly, isClamped: boolean): Poly {
  if (asConstant(axis.extent) === points) return at;
  const place = add(scale(symbol(axis.name), points), at);
  return isClamped && !isMultiple(axis.extent, points) && asConstant(at) !== 0
    ? minimum(place, subtract(axis.extent, 1))
    : place;
}

function placeOf({ axes, points }: Side, at: readonly number[], isClamped: boolean): Point {
  const places = new Map(
    axes.flatMap((a, i): [string, Poly][] =>
      points[i] === 1 ? [] : [[a.name, along(a, points[i]!, constant(at[i]!), isClamped)]],
    ),
  );
  return (name) => places.get(name);
}

/** What must hold for a point of a patch to be one of the result. */
const existsAt = ({ axes, points }: Side, at: readonly Poly[]): Condition[] =>
  axes.flatMap((a, i): Condition[] => {
    const isSure = isMultiple(a.extent, points[i]!) || asConstant(at[i]!) === 0;
    const last = subtract(a.extent, 1);
    return isSure ? [] : [{ kind: 'ge', value: subtract(last, along(a, points[i]!, at[i]!, false)) }];
  });

/** Finds the invocation's patch: those of n vary fastest, then those of m, then batch. */
function bindPatch(
  kernel: ContractKernel,
  emitter: Emitter,
  { threadsK, invocations }: Patch,
  [m, n]: readonly [Side, Side],
): Groups {
  const axes = [...kernel.batch, ...m.patches, ...n.patches];
  const count = countOf(axes);
  const together = invocations / threadsK;
  const groups = workgroupsOf(ceilDivide(count, together));
  const { block } = emitter;
  const number = together === 1 ? GROUP : block.name(`(${GROUP} * ${together}i + ${LOCAL})`, 'patch');
  if (groups.surplus || !isMultiple(count, together))
    block.add(`if (${number} >= ${emitter.named(emitter.poly(count)).code}) {`, '  return;', '}');
  bindFlat(emitter, axes, emitter.here(number, true));
  return groups;
}

/** The loops over k. The last of its axes goes in rounds of several steps, and what is left over one by one. */
function addProducts(
  kernel: ContractKernel,
  emitter: Emitter,
  { k: steps, threadsK }: Patch,
  sides: readonly [Side, Side],
  sums: Sums,
): void {
  const at = steps.findLastIndex((p) => p > 1);
  const axis = kernel.k[at];
  // Those whose steps are all in every round.
  const whole = kernel.k.filter((_, i) => i !== at && steps[i]! > 1);
  const outer = kernel.k.filter((a) => a !== axis && !whole.includes(a) && asConstant(a.extent) !== 1);
  const besides = placesOf(whole);
  for (const a of kernel.k)
    if (asConstant(a.extent) === 1) emitter.bindAxis(a.name, a.extent, emitter.constant('i32', 0));
  const loop = (scope: Emitter, axes: readonly Axis[], isShared: boolean, body: () => void): void => {
    if (isShared && axes.length > 0) stridedLoop(scope, axes, LOCAL, threadsK, body);
    else scope.serially(axes, body);
  };
  const rounds = (isShared: boolean): void => {
    const round = (place: readonly Point[], ranges: readonly Axis[]): void =>
      multiplyPoints(kernel, emitter.fork(), sides, sums, place, ranges);
    if (!axis) return round([() => undefined], []);
    const p = steps[at]!;
    const axes = [{ ...axis, extent: floorDivide(axis.extent, constant(p)) }];
    const places = besides.flatMap((beside) =>
      range(p).map(
        (i): Point =>
          (name) =>
            name === axis.name ? along(axis, p, constant(i), false) : beside(name),
      ),
    );
    if (asConstant(axis.extent) === p) return round(places, []);
    loop(emitter, axes, isShared, () => round(places, axes));
    if (isMultiple(axis.extent, p)) return;
    leftOver(emitter, axis, p, isShared ? threadsK : 1, () => round(besides, [axis]));
  };
  const isShared = threadsK > 1;
  if (outer.length === 0) emitter.within('', () => rounds(isShared));
  else emitter.within('', () => loop(emitter, outer, isShared, () => rounds(false)));
}

/** The steps behind the last whole round. */
function leftOver(emitter: Emitter, axis: Axis, points: number, threads: number, body: () => void): void {
  const i = emitter.block.names.fresh('i', axis.name);
  const from = emitter.named(emitter.poly(scale(floorDivide(axis.extent, constant(points)), points))).code;
  const end = emitter.named(emitter.poly(axis.extent)).code;
  const first = threads === 1 ? from : `${from} + ${LOCAL}`;
  emitter.within(`for (var ${i} = ${first}; ${i} < ${end}; ${i} += ${threads}i)`, () => {
    emitter.bindAxis(axis.name, axis.extent, emitter.here(i, true));
    body();
  });
}

/** Every accumulator adds the product of its row and its column, for every step of the round in turn. */
function multiplyPoints(
  kernel: ContractKernel,
  emitter: Emitter,
  [m, n]: readonly [Side, Side],
  { acc, folded }: Sums,
  steps: readonly Point[],
  stepAxes: readonly Axis[],
): void {
  const ranges = new Map(
    [...kernel.batch, ...m.patches, ...n.patches, ...kernel.k, ...stepAxes].map((a) => [a.name, a.extent]),
  );
  const operand = (ex: Ex, side: Side, step: Point): string[] => {
    const values = pointsOf(side).map((c) => {
      const place = placeOf(side, c, true);
      return emitter.value(exAt(ex, (name) => place(name) ?? step(name), ranges));
    });
    return values.map((v) => emitter.named(v).code);
  };
  for (const step of steps) {
    const [xs, ys] = [operand(kernel.a, m, step), operand(kernel.b, n, step)];
    acc.forEach((row, i) => row.forEach((name, j) => emitter.block.add(`${name} += ${xs[i]} * ${ys[j]};`)));
    folded.forEach((name, j) => emitter.block.add(`${name} += ${ys[j]};`));
  }
}

const rangesOf = (kernel: ContractKernel, [m, n]: readonly [Side, Side]): Ranges =>
  new Map([...kernel.batch, ...m.patches, ...n.patches].map((a) => [a.name, a.extent]));

/** The condition under which a scope's points exist, as the head of a block. */
function headOf(emitter: Emitter, conditions: readonly Condition[], isFirst: string): string {
  const test = emitter.conditions(conditions)?.code;
  const all = [isFirst, ...(test === undefined ? [] : [test])].filter((c) => c !== '');
  return all.length === 0 ? '' : `if (${all.join(' && ')})`;
}

/** Every patch of the first column has the folded sums; that of the first row stores them. */
const inFirstRow = (emitter: Emitter, m: Side): string =>
  m.patches
    .map((a) => emitter.poly(symbol(a.name)).code)
    .filter((c) => c !== '0i')
    .map((c) => `${c} == 0i`)
    .join(' && ');

/** One result after the other, each with its own text. */
function storeWrittenOut(
  kernel: ContractKernel,
  emitter: Emitter,
  [m, n]: readonly [Side, Side],
  { acc, folded }: Sums,
): void {
  const ranges = rangesOf(kernel, [m, n]);
  const places = (side: Side) =>
    pointsOf(side).map((c) => ({ place: placeOf(side, c, false), exists: existsAt(side, c.map(constant)) }));
  const [rows, columns] = [places(m), places(n)];
  const store = (stores: readonly Store[], place: Point, local: string, code: string): void => {
    const scope = emitter.fork();
    scope.bindLocal(local, code);
    writeStores(storesAt(stores, place, ranges), scope);
  };
  rows.forEach((row, i) =>
    emitter.within(headOf(emitter, row.exists, ''), () =>
      columns.forEach((column, j) =>
        emitter.within(headOf(emitter, column.exists, ''), () =>
          store(kernel.stores, (name) => row.place(name) ?? column.place(name), 'acc', acc[i]![j]!),
        ),
      ),
    ),
  );
  const { sums } = kernel;
  if (!sums) return;
  const isFirst = inFirstRow(emitter, m);
  columns.forEach((column, j) =>
    emitter.within(headOf(emitter, column.exists, isFirst), () =>
      store(sums, column.place, 'sum', folded[j]!),
    ),
  );
}

/** The results of a patch in a loop, as the text of one is long. */
function storeInLoop(
  kernel: ContractKernel,
  emitter: Emitter,
  sides: readonly [Side, Side],
  all: readonly string[],
): void {
  emitter.block.add(`var sums = array<${valueType(kernel.a.dtype)}, ${all.length}>(${all.join(', ')});`);
  eachResult(kernel, emitter, sides, '0i', 1, (scope, at) => scope.block.name(`sums[${at}]`, 'total'));
}

/** The invocations that share a patch add up what they have, in their order, and store the results between them. */
function storeTogether(
  kernel: ContractKernel,
  emitter: Emitter,
  { threadsK }: Patch,
  sides: readonly [Side, Side],
  all: readonly string[],
): void {
  const dtype = kernel.a.dtype;
  const array = emitter.shader.workgroupArray(dtype, all.length * threadsK, 'parts');
  all.forEach((name, i) => emitter.block.add(`${array}[${i * threadsK}i + ${LOCAL}] = ${name};`));
  emitter.block.add('workgroupBarrier();');
  eachResult(kernel, emitter, sides, LOCAL, threadsK, (scope, at) => {
    const first = scope.block.name(`(${at} * ${threadsK}i)`, 'first');
    const total = scope.block.names.fresh('total');
    scope.block.add(`var ${total} = ${array}[${first}];`);
    scope.within(`for (var t = 1i; t < ${threadsK}i; t++)`, () =>
      scope.block.add(`${total} += ${array}[${first} + t];`),
    );
    return total;
  });
}

/** Stores the results `from`, `from + step`, … of a patch; `read` gives the name of one by its number. */
function eachResult(
  kernel: ContractKernel,
  emitter: Emitter,
  [m, n]: readonly [Side, Side],
  from: string,
  step: number,
  read: (scope: Emitter, at: string) => string,
): void {
  const inner = (name: string): string => `${name}+`;
  const localAxes = ({ axes, points }: Side): Axis[] =>
    axes.map((a, i) => ({ name: inner(a.name), extent: constant(points[i]!) }));
  const at = (axes: readonly Axis[]): Poly[] => axes.map((a) => symbol(inner(a.name)));
  const loop = (
    local: string,
    stores: readonly Store[],
    inside: readonly Side[],
    base: number,
    isFirst: string,
  ): void => {
    const axes = inside.flatMap(localAxes);
    const places = new Map(
      inside.flatMap((s) =>
        s.axes.map((a, i) => [a.name, along(a, s.points[i]!, at([a])[0]!, false)] as const),
      ),
    );
    const ranges = new Map([...rangesOf(kernel, [m, n]), ...axes.map((a) => [a.name, a.extent] as const)]);
    const e = emitter.block.names.fresh('e');
    const end = inside.reduce((product, s) => product * pointsIn(s.points), 1);
    emitter.within(isFirst === '' ? '' : `if (${isFirst})`, () =>
      emitter.within(`for (var ${e} = ${from}; ${e} < ${end}i; ${e} += ${step}i)`, () => {
        const scope = emitter.fork();
        const total = read(scope, base === 0 ? e : `(${e} + ${base}i)`);
        bindFlat(scope, axes, scope.here(e, true));
        const exists = inside.flatMap((s) => existsAt(s, at(s.axes)));
        scope.within(headOf(scope, exists, ''), () => {
          scope.bindLocal(local, total);
          writeStores(
            storesAt(stores, (name) => places.get(name), ranges),
            scope,
          );
        });
      }),
    );
  };
  loop('acc', kernel.stores, [m, n], 0, '');
  if (kernel.sums)
    loop('sum', kernel.sums, [n], pointsIn(m.points) * pointsIn(n.points), inFirstRow(emitter, m));
}
