/**
 * How much memory plans take on a device, before anything runs: transient buffers share an arena, what is kept stands
 * beside it. The runtime lays memory out by the same rules, so that what is predicted here is what is used. Imports only
 * the types of plans.
 */
import type { Plan, PlanBuffer, PlanDType, Program, Size } from './plan.ts';

type Dims = Readonly<Record<string, number>>;

const apply: { readonly [Op in Exclude<Size, number | string>[0]]: (a: number, b: number) => number } = {
  '+': (a, b) => a + b,
  '*': (a, b) => a * b,
  div: (a, b) => Math.floor(a / b),
  mod: (a, b) => a - b * Math.floor(a / b),
  min: Math.min,
  max: Math.max,
};

/** The number that `size` stands for; `valueOf` knows the dimensions. */
export function sizeAt(size: Size, valueOf: (dim: string) => number): number {
  if (typeof size === 'number') return size;
  if (typeof size === 'string') return valueOf(size);
  const [op, ...args] = size;
  const values = args.map((arg) => sizeAt(arg, valueOf));
  return values.length === 0 ? (op === '*' ? 1 : 0) : values.reduce((a, b) => apply[op](a, b));
}

// ---------------------------------------------------------------- arena

export interface ArenaPlan {
  /** Byte offset of every buffer from the start of the arena; -1 for those that live in a store. */
  readonly offsets: readonly number[];
  /** Bytes. */
  readonly total: number;
}

interface Placed {
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/** Bytes that a buffer takes of the arena: at least `align`, so that none is empty. */
export const roomOf = (bytes: number, align: number): number => Math.max(1, Math.ceil(bytes / align)) * align;

/**
 * Greedy best fit (Pisarchyk & Lee 2020): one buffer after the other into the smallest gap between the buffers alive at the
 * same time that holds it. The largest first; where that leaves holes, in other orders too, of which the best is taken.
 * Deterministic.
 */
export function planArena(
  buffers: readonly Pick<PlanBuffer, 'place'>[],
  sizesInBytes: readonly number[],
  align: number,
): ArenaPlan {
  const items = buffers.flatMap(({ place }, index): Item[] =>
    place.kind === 'arena'
      ? [{ index, size: roomOf(sizesInBytes[index]!, align), first: place.first, last: place.last }]
      : [],
  );
  const least = mostAlive(items);
  let best: ArenaPlan | undefined;
  for (const order of orders) {
    const made = placeAll(items, order, buffers.length);
    if (!best || made.total < best.total) best = made;
    if (best.total === least) break;
  }
  return best!;
}

interface Item {
  readonly index: number;
  readonly size: number;
  readonly first: number;
  readonly last: number;
}

const lengthOf = (i: Item): number => i.last - i.first + 1;

const orders: readonly ((a: Item, b: Item) => number)[] = [
  (a, b) => b.size - a.size,
  (a, b) => lengthOf(b) - lengthOf(a) || b.size - a.size,
  (a, b) => b.size * lengthOf(b) - a.size * lengthOf(a),
  (a, b) => a.first - b.first || b.last - a.last,
  (a, b) => b.last - a.last || a.first - b.first,
];

/** Bytes of what is alive at once: no arena is smaller. */
function mostAlive(items: readonly Item[]): number {
  const changes = items.flatMap((i) => [
    { at: i.first, by: i.size },
    { at: i.last + 1, by: -i.size },
  ]);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  return changes.reduce((most, c) => Math.max(most, (now += c.by)), 0);
}

function placeAll(items: readonly Item[], order: (a: Item, b: Item) => number, count: number): ArenaPlan {
  const offsets = Array.from({ length: count }, () => -1);
  const placed: Placed[] = [];
  for (const { index, size, first, last } of [...items].sort((a, b) => order(a, b) || a.index - b.index)) {
    const meets = placed.filter((p) => p.first <= last && first <= p.last);
    const start = bestGap(meets, size);
    offsets[index] = start;
    placed.push({ start, end: start + size, first, last });
  }
  return { offsets, total: placed.reduce((most, p) => Math.max(most, p.end), 0) };
}

/** Start of the smallest gap between `taken` of at least `size`, or the end of them all. */
function bestGap(taken: readonly Placed[], size: number): number {
  let free = 0;
  let best = -1;
  let slack = Infinity;
  for (const p of [...taken].sort((a, b) => a.start - b.start)) {
    const gap = p.start - free;
    if (gap >= size && gap - size < slack) [best, slack] = [free, gap - size];
    free = Math.max(free, p.end);
  }
  return best >= 0 ? best : free;
}

// ---------------------------------------------------------------- devices

/** How a device lays memory out. */
export interface DeviceMemory {
  /** Every tensor begins at a multiple of it. */
  readonly alignment: number;
  readonly bytesOf: (dtype: PlanDType, elements: number) => number;
  /** Bytes at both ends together that nothing is put into. */
  readonly margin: number;
  /** Memory is had in multiples of it. */
  readonly page: number;
}

const wordsOf = (bytes: number): number => Math.ceil(bytes / 4) * 4;

export const deviceMemory: { readonly [T in 'wasm' | 'webgpu']: DeviceMemory } = {
  /** Generated code may read a few elements around what it uses. */
  wasm: { alignment: 64, bytesOf: (_, n) => 4 * n, margin: 256, page: 65536 },
  webgpu: {
    alignment: 256,
    bytesOf: (dtype, n) => (dtype === 'f16' ? wordsOf(2 * n) : 4 * n),
    margin: 0,
    page: 1,
  },
};

type Buffers = Pick<Plan, 'buffers' | 'outputs'>;

/** Buffers of outputs, which have memory of their own: they are read after other plans have run. */
export const outputBuffers = ({ buffers, outputs }: Buffers): ReadonlySet<number> =>
  new Set(outputs.flatMap((o) => (buffers[o.buffer]!.place.kind === 'arena' ? [o.buffer] : [])));

/** Places of a plan's buffers for `planArena`: of those that share it. */
export function transients(plan: Buffers): Pick<PlanBuffer, 'place'>[] {
  const apart = outputBuffers(plan);
  return plan.buffers.map((b, i) => (apart.has(i) ? { place: { kind: 'store', store: -1 } } : b));
}

/** A plan and the largest dimensions that it runs with. */
export interface PlanUse {
  readonly plan: Plan;
  readonly dims: Dims;
}

/** What a session that runs some plans takes of a device, in bytes. */
export interface Footprint {
  /** Parameters, states, states of optimizers, metrics. */
  readonly kept: number;
  /** The arena of the plan that takes most, with the scratch area of that plan. */
  readonly transient: number;
  readonly scratch: number;
  /** Outputs of all plans; what they prepare from parameters; on a GPU what tells kernels their dimensions, too. */
  readonly outputs: number;
  /** All of it, with what gets lost between; and that in whole pages, which is what is allocated. */
  readonly bytes: number;
  readonly total: number;
}

/** Prediction of what a session allocates that runs these plans on so many threads. */
export function footprint(
  { stores }: Pick<Program, 'stores'>,
  uses: readonly PlanUse[],
  target: 'wasm' | 'webgpu',
  threads: number,
): Footprint {
  const { margin, page } = deviceMemory[target];
  const kept = stores.reduce((sum, s) => sum + apartRoom(target, s.dtype, s.size), 0);
  const parts = uses.map((use) => partsOf(use, target, threads));
  const largest = parts.reduce((a, b) => (b.transient + b.scratch > a.transient + a.scratch ? b : a), {
    transient: 0,
    scratch: 0,
    outputs: 0,
  });
  const outputs = parts.reduce((sum, p) => sum + p.outputs, 0);
  const bytes = margin + kept + largest.transient + largest.scratch + outputs;
  return { ...largest, kept, outputs, bytes, total: Math.ceil(bytes / page) * page };
}

/** Bytes that something takes which stands apart from the arena. */
export function apartRoom(target: 'wasm' | 'webgpu', dtype: PlanDType, elements: number): number {
  const { alignment, bytesOf } = deviceMemory[target];
  return roomOf(bytesOf(dtype, elements), alignment);
}

function partsOf(
  { plan, dims }: PlanUse,
  target: 'wasm' | 'webgpu',
  threads: number,
): Pick<Footprint, 'transient' | 'scratch' | 'outputs'> {
  const { alignment, bytesOf } = deviceMemory[target];
  const valueOf = (size: Size): number => sizeAt(size, (name) => dims[name] ?? 1);
  const sizes = plan.buffers.map((b) => bytesOf(b.dtype, valueOf(b.size)));
  const scratch = plan.code.kind === 'wasm' ? valueOf(plan.code.scratchBytes) : 0;
  const outputs = [...outputBuffers(plan)].reduce((sum, b) => sum + roomOf(sizes[b]!, alignment), 0);
  return {
    transient: planArena(transients(plan), sizes, alignment).total,
    scratch: scratch > 0 ? threads * roomOf(scratch, alignment) : 0,
    outputs: outputs + preparedRoom(plan) + (target === 'webgpu' ? uniformRoom(plan, valueOf) : 0),
  };
}

/** Bytes of what a plan prepares from parameters. */
export const preparedRoom = ({ code }: Pick<Plan, 'code'>): number =>
  code.kind === 'wasm' && code.prepared ? roomOf(code.prepared.bytes, deviceMemory.wasm.alignment) : 0;

/** A GPU's kernels read dimensions and clocks from a uniform buffer, once for each state of the loops. */
function uniformRoom({ dims, loops, clocks }: Plan, valueOf: (size: Size) => number): number {
  const each = Math.ceil((dims.length + loops.length + clocks.length) / 4) * 16;
  const iterations = loops.reduce((sum, l, i) => {
    const around = loops.filter((o, j) => j < i && o.begin <= l.begin && l.end <= o.end);
    return sum + around.reduce((n, o) => n * valueOf(o.count), valueOf(l.count));
  }, 0);
  return each === 0 ? 0 : iterations * deviceMemory.webgpu.alignment + each;
}
