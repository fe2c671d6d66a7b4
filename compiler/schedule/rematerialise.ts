/**
 * Rematerialisation: makes a schedule fit into less memory by computing values again rather than keeping them until they
 * are read (Griewank & Walther 2000; Chen et al. 2016; the greedy choice by what a byte costs: Jain et al. 2020).
 * The same kernels run on the same operands, so every result stays as it is.
 */
import { planArena } from '../memory.ts';
import { Repeats, type Operands } from './again.ts';
import type { Buffer, Scheduled } from './scheduled.ts';
import { Ground, livesOf, scheduledOf, type Lives, type Room, type Timeline } from './timeline.ts';

export interface Memory extends Room {
  /** Where buffers of the arena begin: multiples of it. */
  readonly alignment: number;
}

export interface Rematerialised {
  readonly scheduled: Scheduled;
  /** Bytes of the arena. */
  readonly arena: number;
  /** Kernels that run again, and their arithmetic. */
  readonly kernelsAgain: number;
  readonly flopsAgain: number;
  /** Arithmetic of the schedule as it was. */
  readonly flops: number;
}

export type Outcome =
  | { readonly fits: true; readonly result: Rematerialised }
  /** The least that was reached, and the largest buffers that are alive where it is most. */
  | { readonly fits: false; readonly result: Rematerialised; readonly largest: readonly Held[] };

/** A buffer and the bytes it takes. */
export interface Held {
  readonly buffer: Buffer;
  readonly bytes: number;
}

/** Of the values alive where memory is most, so many are tried, the largest first. */
const mostCandidates = 16;
/** How far below what there is the descent aims. */
const descents = [0.97, 0.9, 0.75];
/** The arena is a little larger than what is alive at once: so often the aim is lowered by the difference. */
const mostAims = 6;

/** The schedule within `limit` bytes of arena, with as little extra work as is found. */
export function rematerialise(scheduled: Scheduled, memory: Memory, limit: number): Outcome {
  const search = new Search(new Ground(scheduled, memory), memory);
  const start = search.start();
  if (start.arena <= limit) return { fits: true, result: search.result(start) };
  const found = search.aimed(start, limit) ?? search.descend(start, limit);
  const result = search.result(found);
  return found.arena <= limit
    ? { fits: true, result }
    : { fits: false, result, largest: search.largest(found, 3) };
}

/** A timeline with what follows from it. */
interface State {
  readonly timeline: Timeline;
  readonly lives: Lives;
  readonly peak: number;
  readonly arena: number;
}

class Search {
  constructor(
    private readonly ground: Ground,
    private readonly memory: Memory,
  ) {}

  start(): State {
    return this.state(this.ground.start());
  }

  private state(timeline: Timeline): State {
    const lives = livesOf(this.ground, timeline);
    return { timeline, lives, peak: Math.max(0, ...lives.profile), arena: this.arenaOf(timeline) };
  }

  private arenaOf(timeline: Timeline): number {
    const { buffers } = scheduledOf(this.ground, timeline);
    const { ground } = this;
    const places = buffers.map(({ first, last }, b) =>
      ground.isKept(b) || ground.outputs.has(b)
        ? { place: { kind: 'store', store: 0 } as const }
        : { place: { kind: 'arena', first, last } as const },
    );
    const sizes = timeline.versions.map((b) => ground.rooms[b] ?? 0);
    return planArena(places, sizes, this.memory.alignment).total;
  }

  /** Aims straight at the limit; nothing when it is not reached. */
  aimed(start: State, limit: number): State | undefined {
    let state = start;
    let aim = limit;
    for (let i = 0; i < mostAims && state.arena > limit; i++) {
      const lower = this.lower(state, aim);
      if (lower.peak > aim) return undefined;
      state = lower;
      aim -= Math.max(this.memory.alignment, state.arena - limit);
    }
    return state.arena <= limit ? state : undefined;
  }

  /** Goes down by small steps, the same for every limit, until it is reached or nothing more is found: then the least. */
  descend(start: State, limit: number): State {
    let state = start;
    let least = start;
    while (least.arena > limit) {
      const { peak } = state;
      const lower = descents.reduce<State | undefined>((found, part) => {
        if (found) return found;
        const made = this.lower(state, part * peak);
        return made.peak < peak ? made : undefined;
      }, undefined);
      if (!lower) break;
      state = lower;
      if (state.arena < least.arena) least = state;
    }
    return least;
  }

  /** Repeats one value after the other, each time what lowers memory above `aim` most for its cost, as far as that goes. */
  private lower(start: State, aim: number): State {
    let { timeline, lives } = start;
    for (;;) {
      const best = this.best(timeline, lives, aim);
      if (!best) break;
      ({ timeline, lives } = best);
    }
    return timeline === start.timeline ? start : this.state(timeline);
  }

  private best(
    timeline: Timeline,
    lives: Lives,
    aim: number,
  ): { readonly timeline: Timeline; readonly lives: Lives } | undefined {
    const before = above(lives.profile, aim);
    if (before === 0) return undefined;
    const repeats = new Repeats(this.ground, timeline, lives);
    let best: { timeline: Timeline; lives: Lives; gain: number } | undefined;
    for (const { version, next } of this.candidates(repeats))
      for (const operands of ['kept', 'again'] satisfies Operands[]) {
        const made = repeats.repeat(version, next, operands);
        if (!made) continue;
        const after = livesOf(this.ground, made.timeline);
        const gain = (before - above(after.profile, aim)) / made.cost;
        if (gain > (best?.gain ?? 0)) best = { timeline: made.timeline, lives: after, gain };
      }
    return best;
  }

  /** Values that nobody touches where memory is most, but later, and that can be made again by then. */
  private candidates(repeats: Repeats): { readonly version: number; readonly next: number }[] {
    const { lives, timeline } = repeats;
    const { profile, touches, first, last } = lives;
    const at = profile.indexOf(Math.max(...profile));
    const room = (v: number): number => this.ground.rooms[timeline.versions[v] ?? -1] ?? 0;
    const found = timeline.versions.flatMap((buffer, version) => {
      if ((first[version] ?? at) >= at || (last[version] ?? at) <= at || room(version) === 0) return [];
      const list = touches[version] ?? [];
      const next = list.find((t) => t > at);
      return next === undefined || list.includes(at) || !repeats.makerOf(buffer, next)
        ? []
        : [{ version, next }];
    });
    const longest = (c: { version: number; next: number }): number =>
      c.next - Math.max(...(touches[c.version] ?? []).filter((t) => t < at));
    return found
      .sort((a, b) => room(b.version) - room(a.version) || longest(b) - longest(a))
      .slice(0, mostCandidates);
  }

  // -------------------------------------------------------------- results

  result({ timeline, arena }: State): Rematerialised {
    const again = timeline.steps.filter((s) => s.isAgain).map((s) => s.block);
    return {
      scheduled: again.length === 0 ? this.ground.scheduled : scheduledOf(this.ground, timeline),
      arena,
      kernelsAgain: again.length,
      flopsAgain: again.reduce((sum, b) => sum + b.flops, 0),
      flops: this.ground.blocks.reduce((sum, b) => sum + b.flops, 0),
    };
  }

  /** The largest buffers alive where memory is most. */
  largest({ lives, timeline }: State, count: number): Held[] {
    const { profile, first, last } = lives;
    const at = profile.indexOf(Math.max(...profile));
    const alive = timeline.versions.flatMap((b, v) =>
      (first[v] ?? at + 1) <= at && (last[v] ?? -1) >= at && (this.ground.rooms[b] ?? 0) > 0 ? [b] : [],
    );
    const own = timeline.steps[at]?.block.own.map((o) => o.buffer) ?? [];
    return [...alive, ...own]
      .sort((a, b) => (this.ground.rooms[b] ?? 0) - (this.ground.rooms[a] ?? 0) || a - b)
      .slice(0, count)
      .map((b) => ({
        buffer: this.ground.scheduled.buffers[b] as Buffer,
        bytes: this.ground.rooms[b] ?? 0,
      }));
  }
}

/** Bytes above `aim`, over all steps. */
const above = (profile: readonly number[], aim: number): number =>
  profile.reduce((sum, n) => sum + Math.max(0, n - aim), 0);
