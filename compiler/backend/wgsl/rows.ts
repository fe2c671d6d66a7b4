/**
 * Row kernels. A workgroup is `columns` neighbouring grid points by `lanes` invocations for each: 64 by 1 when the
 * inner loops are short, 1 by up to 256 when they are long, 16 by 16 when they are long and neighbouring grid points
 * read neighbouring elements. Lanes share the loops and add up in workgroup memory, in an order that never changes.
 */
import { identityOf } from '../../ir/ops.ts';
import type { Axis, Reduction, RowsKernel, Stage, Store } from '../../kernel/kernel.ts';
import { asConstant } from '../../shape/poly.ts';
import { bindFlat, ceilDivide, countOf, stridedLoop, workgroupsOf } from './axes.ts';
import { stripParentheses } from './block.ts';
import { Emitter, countUses } from './emitter.ts';
import { combinerOf } from './legalise.ts';
import { chooseMapping } from './mapping.ts';
import type { Mapping } from './mapping.ts';
import { printNative, valueType } from './print.ts';
import type { Native } from './print.ts';
import { GROUP, LOCAL, SUBGROUP_LANE, SUBGROUP_SIZE } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';
import { rootsOf } from '../../kernel/walk.ts';
import { conflict } from './walk.ts';
import { exAt, fewPlaces, inGroups, storesAt } from './written-out.ts';
import type { Point } from './written-out.ts';

export function emitRows(given: RowsKernel, shader: Shader): Emitted {
  const mapping = chooseMapping(given, shader.limits, shader.device.isSoftware === true);
  const isWrittenOut = shader.device.isSoftware === true && mapping.lanes === 1;
  const kernel = isWrittenOut ? inGroups(given) : given;
  const emitter = new Emitter(shader, countUses(kernel.stages.flatMap(rootsOf)), {
    isUnrolled: isWrittenOut,
  });
  const place = bindGrid(kernel, emitter, mapping);
  const arrays = new SharedArrays(shader, mapping.columns * mapping.lanes);
  let since: Stage[] = [];
  for (const stage of kernel.stages) {
    if (mapping.lanes > 1 && since.some((earlier) => conflict(earlier, stage))) {
      emitter.block.add('storageBarrier();');
      since = [];
    }
    since.push(stage);
    const places = isWrittenOut ? fewPlaces(stage) : undefined;
    if (places) writeOut(stage, places, emitter, kernel.grid);
    else if (stage.kind === 'map') mapStage(stage.axes, stage.stores, emitter, place);
    else if (mapping.lanes === 1) reduceSerially(stage.axes, stage.reductions, emitter);
    else reduceTogether(stage.axes, stage.reductions, emitter, place, arrays);
  }
  return { workgroupSize: mapping.columns * mapping.lanes, ...place.groups };
}

/** Where an invocation is in its workgroup. */
interface Place {
  readonly mapping: Mapping;
  /** Index of the lane, and of the column. */
  readonly lane: string;
  readonly column: string;
  /** Condition under which the grid point exists, when it may not. */
  readonly exists: string | undefined;
  readonly groups: ReturnType<typeof workgroupsOf>;
}

function bindGrid(kernel: RowsKernel, emitter: Emitter, mapping: Mapping): Place {
  const { columns, lanes } = mapping;
  const total = countOf(kernel.grid);
  const groups = workgroupsOf(ceilDivide(total, columns));
  const block = emitter.block;
  const inside = asConstant(total) !== undefined && asConstant(total)! % columns === 0 && !groups.surplus;
  if (columns === 1) {
    if (!inside) block.add(`if (${GROUP} >= ${emitter.named(emitter.poly(total)).code}) {`, '  return;', '}');
    bindFlat(emitter, kernel.grid, emitter.here(GROUP, true));
    return { mapping, lane: LOCAL, column: '0i', exists: undefined, groups };
  }
  const column = lanes === 1 ? LOCAL : block.name(`(${LOCAL} & ${columns - 1}i)`, 'column');
  const lane = lanes === 1 ? '0i' : block.name(`(${LOCAL} >> ${Math.log2(columns)}u)`, 'lane');
  let point = block.name(`(${GROUP} * ${columns}i + ${column})`, 'point');
  let exists: string | undefined;
  if (!inside) {
    const end = emitter.named(emitter.poly(total)).code;
    if (lanes === 1) block.add(`if (${point} >= ${end}) {`, '  return;', '}');
    else {
      // Barriers are for everyone: who has no point of its own goes along with the last one and stores nothing.
      exists = block.name(`(${point} < ${end})`, 'exists');
      point = block.name(`min(${point}, ${end} - 1i)`, 'point');
    }
  }
  bindFlat(emitter, kernel.grid, emitter.here(point, true));
  return { mapping, lane, column, exists, groups };
}

function mapStage(axes: readonly Axis[], stores: readonly Store[], emitter: Emitter, place: Place): void {
  const { lanes } = place.mapping;
  const body = (): void => writeStores(stores, emitter);
  const loops = (): void => {
    if (lanes === 1) emitter.serially(axes, body);
    else if (axes.length > 0) stridedLoop(emitter, axes, place.lane, lanes, body);
    else emitter.within(`if (${place.lane} == 0i)`, body);
  };
  emitter.within(place.exists === undefined ? '' : `if (${place.exists})`, loops);
}

/** A stage of few points, one after the other. */
function writeOut(stage: Stage, places: readonly Point[], emitter: Emitter, grid: readonly Axis[]): void {
  const ranges = new Map(grid.map((a) => [a.name, a.extent]));
  if (stage.kind === 'map') {
    for (const place of places)
      emitter.within('', () => writeStores(storesAt(stage.stores, place, ranges), emitter));
    return;
  }
  const names = accumulators(stage.reductions, emitter);
  emitter.within('', () => {
    for (const place of places) {
      const here = stage.reductions.map((r) => ({ ...r, value: exAt(r.value, place, ranges) }));
      accumulate(here, emitter, names);
    }
  });
  stage.reductions.forEach((r, i) => emitter.bindLocal(r.name, names[i]!));
}

/** All values of one point are computed before the first is stored. */
export function writeStores(stores: readonly Store[], emitter: Emitter): void {
  const { kernel } = emitter.shader;
  const dtypeOf = (store: Store) => kernel.buffers[store.buffer]?.dtype;
  const values = stores.map((store) => {
    const v = emitter.value(store.value);
    return stores.length > 1 ? emitter.named(v) : v;
  });
  stores.forEach((store, i) => {
    const at = stripParentheses(emitter.poly(store.offset).code);
    const value = dtypeOf(store) === 'bool' ? `select(0u, 1u, ${values[i]!.code})` : values[i]!.code;
    emitter.block.add(`b${store.buffer}[${at}] = ${value};`);
  });
}

function accumulate(reductions: readonly Reduction[], emitter: Emitter, names: readonly string[]): void {
  const values = reductions.map((r) => emitter.value(r.value).code);
  reductions.forEach((r, i) => {
    const next = printNative(combinerOf(r.fn, r.dtype), [names[i]!, values[i]!]);
    emitter.block.add(`${names[i]!} = ${next};`);
  });
}

/** Declares an accumulator for each reduction. */
function accumulators(reductions: readonly Reduction[], emitter: Emitter): string[] {
  return reductions.map((r) => {
    const name = emitter.block.names.fresh('r');
    const start = emitter.constant(r.dtype, startOf(r)).code;
    emitter.block.add(`var ${name}: ${valueType(r.dtype)} = ${start};`);
    return name;
  });
}

/** On bool, `max` starts from false and `min` from true. */
export const startOf = (r: Reduction): number =>
  r.dtype === 'bool' ? Number(r.fn === 'min' || r.fn === 'prod') : identityOf(r.fn, r.dtype);

function reduceSerially(axes: readonly Axis[], reductions: readonly Reduction[], emitter: Emitter): void {
  const names = accumulators(reductions, emitter);
  emitter.within('', () => emitter.serially(axes, () => accumulate(reductions, emitter, names)));
  reductions.forEach((r, i) => emitter.bindLocal(r.name, names[i]!));
}

/** Workgroup arrays with an element for each invocation, shared by the stages of a kernel. */
class SharedArrays {
  readonly #shader: Shader;
  /** Elements of each. */
  readonly size: number;
  readonly #arrays = new Map<string, string>();

  constructor(shader: Shader, size: number) {
    this.#shader = shader;
    this.size = size;
  }

  /** The `i`-th array of a dtype, and whether a stage before may still read it. */
  get(dtype: Reduction['dtype'], i: number): { readonly name: string; readonly used: boolean } {
    const key = `${dtype}${i}`;
    const known = this.#arrays.get(key);
    const name = known ?? this.#shader.workgroupArray(dtype, this.size, key);
    this.#arrays.set(key, name);
    return { name, used: known !== undefined };
  }

  /** How many arrays fit. */
  get capacity(): number {
    return Math.max(1, Math.floor(this.#shader.limits.workgroupMemory / (4 * this.size)));
  }
}

function reduceTogether(
  axes: readonly Axis[],
  reductions: readonly Reduction[],
  emitter: Emitter,
  place: Place,
  arrays: SharedArrays,
): void {
  if (axes.length === 0) return reduceSerially(axes, reductions, emitter);
  const { columns, lanes } = place.mapping;
  const names = accumulators(reductions, emitter);
  stridedLoop(emitter, axes, place.lane, lanes, () => accumulate(reductions, emitter, names));
  if (columns === 1 && emitter.shader.device.subgroups && reductions.every(subgroupFunction))
    reduceBySubgroups(reductions, emitter, names, arrays);
  else reduceByTree(reductions, emitter, names, place, arrays);
  reductions.forEach((r, i) => emitter.bindLocal(r.name, names[i]!));
}

/** The built-in functions that combine the values of a subgroup. */
const subgroupFunctions: Partial<Record<Native, string>> = {
  add: 'subgroupAdd',
  mul: 'subgroupMul',
  max: 'subgroupMax',
  min: 'subgroupMin',
  orBool: 'subgroupAny',
  andBool: 'subgroupAll',
};

const subgroupFunction = ({ fn, dtype }: Reduction): string | undefined =>
  subgroupFunctions[combinerOf(fn, dtype)];

/**
 * First within each subgroup, then, by every subgroup for itself, what all of them have: one barrier. How many there are and which
 * invocations they hold is not assumed: the first of each leaves its result in its own place, the others leave nothing.
 */
function reduceBySubgroups(
  reductions: readonly Reduction[],
  emitter: Emitter,
  names: readonly string[],
  arrays: SharedArrays,
): void {
  const { shader, block } = emitter;
  shader.usesSubgroups = true;
  for (let from = 0; from < reductions.length; from += arrays.capacity) {
    const some = reductions.slice(from, from + arrays.capacity).map((r, i) => ({
      name: names[from + i]!,
      combine: subgroupFunction(r)!,
      native: combinerOf(r.fn, r.dtype),
      start: emitter.constant(r.dtype, startOf(r)).code,
      array: arrays.get(r.dtype, i),
    }));
    if (some.some((s) => s.array.used)) block.add('workgroupBarrier();');
    const isFirst = block.name(`(${SUBGROUP_LANE} == 0i)`, 'first');
    for (const { name, combine, array, start } of some)
      block.add(
        `${name} = ${combine}(${name});`,
        `${array.name}[${LOCAL}] = select(${start}, ${name}, ${isFirst});`,
      );
    block.add('workgroupBarrier();');
    for (const { name, start } of some) block.add(`${name} = ${start};`);
    const i = block.names.fresh('s');
    emitter.within(
      `for (var ${i} = ${SUBGROUP_LANE}; ${i} < ${arrays.size}i; ${i} += ${SUBGROUP_SIZE})`,
      () => {
        for (const { name, native, array } of some)
          emitter.block.add(`${name} = ${printNative(native, [name, `${array.name}[${i}]`])};`);
      },
    );
    for (const { name, combine } of some) block.add(`${name} = ${combine}(${name});`);
  }
}

/** By halves, in workgroup memory. */
function reduceByTree(
  reductions: readonly Reduction[],
  emitter: Emitter,
  names: readonly string[],
  place: Place,
  arrays: SharedArrays,
): void {
  const { columns, lanes } = place.mapping;
  for (let from = 0; from < reductions.length; from += arrays.capacity) {
    const some = reductions.slice(from, from + arrays.capacity);
    const shared = some.map((r, i) => arrays.get(r.dtype, i));
    const block = emitter.block;
    if (shared.some((s) => s.used)) block.add('workgroupBarrier();');
    shared.forEach((s, i) => block.add(`${s.name}[${LOCAL}] = ${names[from + i]!};`));
    block.add('workgroupBarrier();');
    emitter.within(`for (var s = ${(columns * lanes) / 2}i; s >= ${columns}i; s >>= 1u)`, () => {
      emitter.within(`if (${LOCAL} < s)`, () =>
        shared.forEach(({ name }, i) => {
          const halves = [`${name}[${LOCAL}]`, `${name}[${LOCAL} + s]`];
          const sum = printNative(combinerOf(some[i]!.fn, some[i]!.dtype), halves);
          emitter.block.add(`${name}[${LOCAL}] = ${sum};`);
        }),
      );
      emitter.block.add('workgroupBarrier();');
    });
    shared.forEach(({ name }, i) => block.add(`${names[from + i]!} = ${name}[${place.column}];`));
  }
}
