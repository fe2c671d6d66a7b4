/** Element-wise kernels: one invocation a point, or four in line. Independent maps over different points stand side by side in one dispatch. */
import type { Axis, MapStage, RowsKernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  isNonNegative,
  lowerBound,
  subtract,
  upperBound,
} from '../../shape/poly.ts';
import { bindFlat, ceilDivide, countOf, lastOf, workgroupsOf } from './axes.ts';
import type { Points } from './collapse.ts';
import { collapse } from './collapse.ts';
import { Emitter, countUses } from './emitter.ts';
import { writeStores } from './rows.ts';
import { GROUP, LOCAL } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';
import { areVectorStores, LANES, vectorLoadsOf, writeVectorStores } from './vector.ts';
import { loadsIn, rootsOf } from '../../kernel/walk.ts';
import { conflict, operationsIn } from './walk.ts';
import { grouped, neighboursOf, storesAt } from './written-out.ts';

const SIZE = 64;

/** The stages when all are maps, none of which depends on another. */
export function independentMaps(kernel: RowsKernel): readonly MapStage[] | undefined {
  const maps = kernel.stages.filter((s) => s.kind === 'map');
  if (maps.length < kernel.stages.length) return undefined;
  const clash = maps.some((a, i) =>
    maps.slice(i + 1).some((b) => conflict(a, b) && !apart(kernel.grid, a, b)),
  );
  return clash ? undefined : maps;
}

/** Every buffer that both stages touch is touched in ranges proved not to meet. */
function apart(grid: readonly Axis[], a: MapStage, b: MapStage): boolean {
  const [x, y] = [spans(grid, a), spans(grid, b)];
  for (const [buffer, p] of x) {
    const q = y.get(buffer);
    if (!q || !(p.written || q.written)) continue;
    const before = (s: Span, t: Span): boolean =>
      s.high !== undefined &&
      t.low !== undefined &&
      isNonNegative(subtract(t.low, add(s.high, 1)), new Map());
    if (!before(p, q) && !before(q, p)) return false;
  }
  return true;
}

/** First and last element of a buffer that a stage touches, and whether it writes there; undefined: not known. */
interface Span {
  readonly low: Poly | undefined;
  readonly high: Poly | undefined;
  readonly written: boolean;
}

function spans(grid: readonly Axis[], stage: MapStage): Map<number, Span> {
  const ranges = new Map([...grid, ...stage.axes].map((a) => [a.name, a.extent]));
  const found = new Map<number, Span>();
  const include = (buffer: number, offset: Poly, written: boolean): void => {
    const [low, high] = [lowerBound(offset, ranges), upperBound(offset, ranges)];
    const old = found.get(buffer);
    found.set(buffer, {
      low: old ? outermost(old.low, low, -1) : low,
      high: old ? outermost(old.high, high, 1) : high,
      written: written || old?.written === true,
    });
  };
  for (const { buffer, offset } of stage.stores) include(buffer, offset, true);
  for (const load of rootsOf(stage).flatMap(loadsIn)) include(load.buffer, load.offset, false);
  return found;
}

/** The one that lies further out, where that can be told. */
function outermost(a: Poly | undefined, b: Poly | undefined, sign: 1 | -1): Poly | undefined {
  if (!a || !b) return undefined;
  const distance = asConstant(subtract(a, b));
  return distance === undefined ? undefined : distance * sign >= 0 ? a : b;
}

/** Points of a stage, and whether an invocation takes four of them in line. */
interface Segment extends Points {
  readonly fours: boolean;
}

/** Below so many points a GPU is better off with an invocation for each; unknown numbers may be as large. */
const FEW_POINTS = 4096;
/** Text of four times so many operations takes long to compile. */
const MOST_OPERATIONS = 80;

/** Several points along the last axis as one, one after the other. */
function inLine(points: Points): Points {
  const last = lastOf(points.axes);
  const values = points.stores.map((s) => s.value);
  const neighbours = last ? neighboursOf(last.extent, values) : 1;
  if (!last || neighbours === 1) return points;
  const { axis, places } = grouped(last, neighbours);
  const axes = points.axes.map((a) => (a === last ? axis : a));
  const ranges = new Map(axes.map((a) => [a.name, a.extent]));
  return { axes, stores: places.flatMap((place) => storesAt(points.stores, place, ranges)) };
}

/** Where four points are taken at once. A buffer that some stage stores by single elements is not seen as vectors. */
function segmentsOf(kernel: RowsKernel, stages: readonly MapStage[], isSoftware: boolean): Segment[] {
  if (isSoftware)
    return stages.map(({ axes, stores }) => ({
      ...inLine(collapse({ axes: [...kernel.grid, ...axes], stores })),
      fours: false,
    }));
  const segments = stages.map(({ axes, stores }): Segment => {
    const points = collapse({ axes: [...kernel.grid, ...axes], stores });
    const last = lastOf(points.axes);
    const isMany = (asConstant(countOf(points.axes)) ?? FEW_POINTS) >= FEW_POINTS;
    const fits = last !== undefined && areVectorStores(points.stores, last);
    return {
      ...points,
      fours: isMany && fits && operationsIn(points.stores.map((s) => s.value)) <= MOST_OPERATIONS,
    };
  });
  const alone = new Set(segments.flatMap((s) => (s.fours ? [] : s.stores.map((t) => t.buffer))));
  const clash = segments.find((s) => s.fours && s.stores.some((t) => alone.has(t.buffer)));
  return clash ? segments.map((s) => ({ ...s, fours: false })) : segments;
}

/** The buffers of vectors: what is stored so, and what is read so and not stored otherwise. */
function settleVectors(segments: readonly Segment[], shader: Shader): void {
  const alone = new Set(segments.flatMap((s) => (s.fours ? [] : s.stores.map((t) => t.buffer))));
  for (const { stores, axes, fours } of segments) {
    const axis = lastOf(axes);
    if (!fours || !axis) continue;
    for (const { buffer } of [...stores, ...vectorLoadsOf(stores, axis)])
      if (!alone.has(buffer)) shader.vectors.add(buffer);
  }
}

export function emitMaps(kernel: RowsKernel, stages: readonly MapStage[], shader: Shader): Emitted {
  const segments = segmentsOf(kernel, stages, shader.device.isSoftware === true);
  settleVectors(segments, shader);
  const emitter = new Emitter(shader, countUses(segments.flatMap((s) => s.stores.map((t) => t.value))), {
    isUnrolled: shader.device.isSoftware === true,
  });
  const counts = segments.map(({ axes, fours }) => ceilDivide(countOf(axes), fours ? SIZE * LANES : SIZE));
  const groups = workgroupsOf(add(...counts));
  let start: Poly = constant(0);
  segments.forEach((segment, i) => {
    const first = start;
    start = add(start, counts[i]!);
    const end = i === segments.length - 1 ? undefined : start;
    emitSegment(emitter.fork(), segment, first, end, groups.surplus);
  });
  return { workgroupSize: SIZE, workgroups: groups.workgroups, large: groups.large };
}

/** The workgroups from `first` up to `end` compute the points of `axes`. */
function emitSegment(
  emitter: Emitter,
  { axes, stores, fours }: Segment,
  first: Poly,
  end: Poly | undefined,
  surplus: boolean,
): void {
  const from = emitter.poly(first).code;
  const wide = fours ? LANES : 1;
  const body = (): void => {
    const group = from === '0i' ? GROUP : `(${GROUP} - ${from})`;
    const number = `(${group} * ${SIZE}i + ${LOCAL})`;
    const point = emitter.block.name(fours ? `(${number} * ${wide}i)` : number, 'point');
    const total = countOf(axes);
    const n = asConstant(total);
    const inside = n !== undefined && n % (SIZE * wide) === 0 && !surplus;
    if (!inside) {
      const bound = emitter.named(emitter.poly(total)).code;
      emitter.block.add(`if (${point} >= ${bound}) {`, '  return;', '}');
    }
    bindFlat(emitter, axes, emitter.here(point, true));
    if (fours) writeVectorStores(stores, emitter, lastOf(axes)!);
    else writeStores(stores, emitter);
    if (end) emitter.block.add('return;');
  };
  if (end) emitter.within(`if (${GROUP} < ${emitter.poly(end).code})`, body);
  else emitter.within('', body);
}
