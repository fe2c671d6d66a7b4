/** Element-wise kernels: one invocation a point. Independent maps over different points stand side by side in one dispatch. */
import type { Axis, RowsKernel, Stage, Store } from '../../kernel/kernel.ts';
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
import { bindFlat, ceilDivide, countOf, workgroupsOf } from './axes.ts';
import { Emitter, countUses } from './emitter.ts';
import { writeStores } from './rows.ts';
import { GROUP, LOCAL } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';
import { conflict, loadsIn, rootsOf } from './walk.ts';

const SIZE = 64;

type MapStage = Extract<Stage, { kind: 'map' }>;

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

export function emitMaps(kernel: RowsKernel, stages: readonly MapStage[], shader: Shader): Emitted {
  const emitter = new Emitter(shader, countUses(stages.flatMap(rootsOf)));
  const segments = stages.map((stage) => ({ axes: [...kernel.grid, ...stage.axes], stores: stage.stores }));
  const counts = segments.map(({ axes }) => ceilDivide(countOf(axes), SIZE));
  const groups = workgroupsOf(add(...counts));
  let start: Poly = constant(0);
  segments.forEach(({ axes, stores }, i) => {
    const first = start;
    start = add(start, counts[i]!);
    emitSegment(
      emitter.fork(),
      axes,
      stores,
      first,
      i === segments.length - 1 ? undefined : start,
      groups.surplus,
    );
  });
  return { workgroupSize: SIZE, workgroups: groups.workgroups, large: groups.large };
}

/** The workgroups from `first` up to `end` compute the points of `axes`. */
function emitSegment(
  emitter: Emitter,
  axes: readonly Axis[],
  stores: readonly Store[],
  first: Poly,
  end: Poly | undefined,
  surplus: boolean,
): void {
  const from = emitter.poly(first).code;
  const body = (): void => {
    const group = from === '0i' ? GROUP : `(${GROUP} - ${from})`;
    const point = emitter.block.name(`(${group} * ${SIZE}i + ${LOCAL})`, 'point');
    const total = countOf(axes);
    const n = asConstant(total);
    const inside = n !== undefined && n % SIZE === 0 && !surplus;
    if (!inside) {
      const bound = emitter.named(emitter.poly(total)).code;
      emitter.block.add(`if (${point} >= ${bound}) {`, '  return;', '}');
    }
    bindFlat(emitter, axes, emitter.here(point, true));
    writeStores(stores, emitter);
    if (end) emitter.block.add('return;');
  };
  if (end) emitter.within(`if (${GROUP} < ${emitter.poly(end).code})`, body);
  else emitter.within('', body);
}
