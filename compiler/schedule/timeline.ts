/**
 * A schedule as steps that can be taken again: kernels, and loops with all their kernels, in order, and the values that
 * each reads and writes. The buffer of a value that is computed a second time is a new one, a *version* of the first.
 */
import { evaluate, zero, type Poly } from '../shape/poly.ts';
import { flopsOf } from '../kernel/flops.ts';
import { withoutStores } from '../kernel/partial.ts';
import { relocate } from './relocate.ts';
import type { Buffer, Scheduled, ScheduledKernel, ScheduledLoop } from './scheduled.ts';

/** What memory is on a device, its dimensions bound. */
export interface Room {
  readonly dims: Readonly<Record<string, number>>;
  /** Bytes that a buffer of so many elements takes in the arena. */
  readonly roomOf: (buffer: Pick<Buffer, 'dtype'>, elements: number) => number;
}

/** A kernel, or an outermost loop: what runs without anything else in between. */
export interface Block {
  readonly kernels: readonly ScheduledKernel[];
  /** Counted from its first kernel. */
  readonly loops: readonly ScheduledLoop[];
  /** Buffers from outside that it reads, and those that it writes; one that it updates is in both. */
  readonly reads: readonly number[];
  readonly writes: readonly number[];
  /** Buffers that nothing else touches, alive as the schedule says, counted from its first kernel. */
  readonly own: readonly { readonly buffer: number; readonly first: number; readonly last: number }[];
  /** Bytes of those at the most. */
  readonly ownRoom: number;
  readonly flops: number;
  /** What running it once more takes, in operations. */
  readonly cost: number;
}

/** A block at a place of the order; `reads` and `writes` are versions, in the order of the block's. */
export interface Step {
  readonly block: Block;
  readonly reads: readonly number[];
  readonly writes: readonly number[];
  /** It computes what was there before. */
  readonly isAgain: boolean;
}

/** The buffer of the schedule that each version is a version of. The schedule's own come first. */
export type Versions = readonly number[];

export interface Timeline {
  readonly steps: readonly Step[];
  readonly versions: Versions;
}

/** What never changes for a schedule while steps are added to its timeline. */
export class Ground {
  readonly blocks: readonly Block[];
  /** Bytes of every buffer in the arena; 0 of what is kept, and of outputs, which stand apart. */
  readonly rooms: readonly number[];
  readonly outputs: ReadonlySet<number>;
  /** The blocks that write a buffer. */
  readonly writers: readonly (readonly Block[])[];
  /** Written by the host before the first step. */
  readonly isGiven: (buffer: number) => boolean;
  readonly isKept: (buffer: number) => boolean;
  private readonly parts = new Map<Block, Block | undefined>();

  constructor(
    readonly scheduled: Scheduled,
    readonly room: Room,
  ) {
    const { buffers } = scheduled;
    this.isGiven = (b) => buffers[b]?.leaf !== undefined;
    this.isKept = (b) => {
      const role = buffers[b]?.leaf?.role;
      return role !== undefined && role !== 'input' && role !== 'clock';
    };
    this.outputs = new Set(scheduled.outputs.map((o) => o.buffer));
    this.rooms = buffers.map((b, i) =>
      this.isKept(i) || this.outputs.has(i) ? 0 : room.roomOf(b, this.valueOf(b.size)),
    );
    this.blocks = blocksOf(this);
    const writers: Block[][] = buffers.map(() => []);
    for (const block of this.blocks) for (const b of block.writes) writers[b]?.push(block);
    this.writers = writers;
  }

  /** The number of an iteration counts as 1: it changes which elements are touched, not how many. */
  valueOf(p: Poly): number {
    return evaluate(p, (name) => this.room.dims[name] ?? 1);
  }

  /** The kernel of a block without its stores to what is kept between runs, if that may run twice. */
  repeatable(block: Block): Block | undefined {
    if (!this.parts.has(block)) this.parts.set(block, partOf(this, block));
    return this.parts.get(block);
  }

  start(): Timeline {
    const steps = this.blocks.map((block) => ({
      block,
      reads: block.reads,
      writes: block.writes,
      isAgain: false,
    }));
    return { steps, versions: this.scheduled.buffers.map((_, i) => i) };
  }
}

/** Arithmetic that takes as long as moving an element to or from memory. */
const operationsPerElement = 32;

const unique = (list: readonly number[]): number[] => [...new Set(list)];

function blocksOf(ground: Ground): Block[] {
  const { kernels, loops } = ground.scheduled;
  const users = new Map<number, Set<number>>();
  const starts: number[] = [];
  for (let at = 0; at < kernels.length;) {
    const end = Math.max(at + 1, ...loops.flatMap((l) => (l.begin === at ? [l.end] : [])));
    for (const { kernel } of kernels.slice(at, end))
      for (const { buffer } of kernel.buffers)
        users.set(buffer, (users.get(buffer) ?? new Set()).add(starts.length));
    starts.push(at);
    at = end;
  }
  return starts.map((begin, i) => {
    const end = starts[i + 1] ?? kernels.length;
    const inside = loops.flatMap((l) =>
      l.begin >= begin && l.end <= end ? [{ ...l, begin: l.begin - begin, end: l.end - begin }] : [],
    );
    return blockOf(ground, kernels.slice(begin, end), inside, { begin, users });
  });
}

function partOf(ground: Ground, block: Block): Block | undefined {
  const [k, ...others] = block.kernels;
  if (!k || others.length > 0 || block.loops.length > 0) return undefined;
  const dropped = new Set(
    k.kernel.buffers.flatMap((u, i) => (u.mode !== 'read' && ground.isGiven(u.buffer) ? [i] : [])),
  );
  if (dropped.size === 0) return block;
  const kernel = withoutStores(k.kernel, dropped);
  return kernel && blockOf(ground, [{ kernel, flops: flopsOf(kernel) }], []);
}

/** `users`: the blocks that touch a buffer; `begin`: the number of the first kernel. Both only of a loop. */
function blockOf(
  ground: Ground,
  kernels: readonly ScheduledKernel[],
  loops: readonly ScheduledLoop[],
  from?: { readonly begin: number; readonly users: ReadonlyMap<number, ReadonlySet<number>> },
): Block {
  const { scheduled } = ground;
  const uses = kernels.flatMap((k) => k.kernel.buffers);
  const isOwn = (b: number): boolean =>
    loops.length > 0 && from?.users.get(b)?.size === 1 && !ground.isGiven(b) && !ground.outputs.has(b);
  const outside = uses.filter((u) => !isOwn(u.buffer));
  const own = unique(uses.map((u) => u.buffer).filter(isOwn)).map((buffer) => {
    const { first, last } = scheduled.buffers[buffer] as Buffer;
    const begin = from?.begin ?? 0;
    return { buffer, first: first - begin, last: last - begin };
  });
  const alive = kernels.map((_, at) =>
    own.reduce((sum, o) => sum + (o.first <= at && at <= o.last ? (ground.rooms[o.buffer] ?? 0) : 0), 0),
  );
  const flops = kernels.reduce((sum, k, at) => sum + ground.valueOf(k.flops) * runsAt(ground, loops, at), 0);
  const elements = unique(outside.map((u) => u.buffer)).reduce(
    (sum, b) => sum + ground.valueOf((scheduled.buffers[b] as Buffer).size),
    0,
  );
  return {
    kernels,
    loops,
    own,
    flops,
    cost: flops + operationsPerElement * elements,
    reads: unique(outside.filter((u) => u.mode !== 'write').map((u) => u.buffer)),
    writes: unique(outside.filter((u) => u.mode !== 'read').map((u) => u.buffer)),
    ownRoom: Math.max(0, ...alive),
  };
}

const runsAt = (ground: Ground, loops: readonly ScheduledLoop[], at: number): number =>
  loops.reduce((n, l) => (l.begin <= at && at < l.end ? n * ground.valueOf(l.count) : n), 1);

// ---------------------------------------------------------------- lives

/** When each version is touched, and how much memory each step needs. */
export interface Lives {
  /** Of every version, the steps that touch it, in order. */
  readonly touches: readonly (readonly number[])[];
  /** Step from and to which it lives; -1: the host wrote it; the number of steps: the host reads it. */
  readonly first: readonly number[];
  readonly last: readonly number[];
  /** Bytes at every step. */
  readonly profile: readonly number[];
}

export function livesOf(ground: Ground, { steps, versions }: Timeline): Lives {
  const touches: number[][] = versions.map(() => []);
  const touch = (version: number, at: number): void => {
    const list = touches[version];
    if (list && list[list.length - 1] !== at) list.push(at);
  };
  steps.forEach(({ reads, writes }, at) => {
    for (const v of reads) touch(v, at);
    for (const v of writes) touch(v, at);
  });
  const first: number[] = [];
  const last: number[] = [];
  const change = new Float64Array(steps.length + 1);
  versions.forEach((buffer, v) => {
    const list = touches[v] ?? [];
    // Only the schedule's own buffers are given or taken by the host.
    const isOwn = v === buffer;
    const from = isOwn && ground.isGiven(buffer) ? -1 : (list[0] ?? steps.length);
    const to = isOwn && ground.outputs.has(buffer) ? steps.length : (list[list.length - 1] ?? -1);
    first.push(from);
    last.push(to);
    const room = ground.rooms[buffer] ?? 0;
    const begin = Math.max(0, from);
    const end = Math.min(to + 1, steps.length);
    if (room === 0 || end <= begin) return;
    change[begin] = (change[begin] ?? 0) + room;
    change[end] = (change[end] ?? 0) - room;
  });
  let now = 0;
  const profile = steps.map(({ block }, at) => {
    now += change[at] ?? 0;
    return now + block.ownRoom;
  });
  return { touches, first, last, profile };
}

// ---------------------------------------------------------------- back to a schedule

/** The schedule that takes these steps. */
export function scheduledOf(ground: Ground, timeline: Timeline): Scheduled {
  const { steps, versions } = timeline;
  const lives = livesOf(ground, timeline);
  const starts: number[] = [];
  let count = 0;
  for (const { block } of steps) {
    starts.push(count);
    count += block.kernels.length;
  }
  const startOf = (step: number): number => starts[step] ?? count;
  const buffers = versions.map((buffer, v): Buffer => {
    const before = ground.scheduled.buffers[buffer] as Buffer;
    const [first, last] = [lives.first[v] ?? 0, lives.last[v] ?? 0];
    return {
      ...before,
      first: first < 0 ? -1 : startOf(first),
      last: last >= steps.length ? count - 1 : startOf(last + 1) - 1,
    };
  });
  const kernels: ScheduledKernel[] = [];
  const loops: ScheduledLoop[] = [];
  const times = new Map<Block, number>();
  steps.forEach((step, at) => {
    const { block } = step;
    const time = (times.get(block) ?? 0) + 1;
    times.set(block, time);
    const begin = startOf(at);
    for (const { buffer, first, last } of block.own)
      buffers[buffer] = { ...(buffers[buffer] as Buffer), first: begin + first, last: begin + last };
    for (const l of block.loops) loops.push({ ...l, begin: begin + l.begin, end: begin + l.end });
    for (const k of block.kernels) kernels.push(moved(k, step, time));
  });
  return { ...ground.scheduled, kernels, loops, buffers };
}

function moved(k: ScheduledKernel, { block, reads, writes, isAgain }: Step, time: number): ScheduledKernel {
  const places = new Map<number, number>();
  block.reads.forEach((buffer, i) => places.set(buffer, reads[i] ?? buffer));
  block.writes.forEach((buffer, i) => places.set(buffer, writes[i] ?? buffer));
  const isMoved = [...places].some(([from, to]) => from !== to);
  const kernel = isMoved
    ? relocate(k.kernel, (b) => ({ buffer: places.get(b) ?? b, start: zero }))
    : k.kernel;
  if (!isAgain) return { ...k, kernel };
  const note = 'computed again: keeping the value would have taken more memory than the budget allows';
  const named = { name: `${kernel.name}_again_${time - 1}`, notes: [note, ...kernel.notes] };
  return { ...k, kernel: { ...kernel, ...named } };
}
