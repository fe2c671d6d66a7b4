/**
 * Computes a value a second time: the step that made it is taken again just before the value is read the next time, into
 * a new buffer, so that the first can be given up in between.
 */
import type { Block, Ground, Lives, Step, Timeline } from './timeline.ts';

/** What to do where an operand of the repeated step is gone by then: let it live longer, or compute it again, too. */
export type Operands = 'kept' | 'again';

/** So many steps at once: a chain of operands that are all computed again. */
const longestChain = 24;

export interface Repeated {
  readonly timeline: Timeline;
  /** What it takes, in operations. */
  readonly cost: number;
}

/** A timeline with what is asked of it many times. */
export class Repeats {
  /** The step that first takes a block. */
  private readonly steps = new Map<Block, number>();
  /** Versions of every buffer. */
  private readonly versions: readonly (readonly number[])[];

  constructor(
    readonly ground: Ground,
    readonly timeline: Timeline,
    readonly lives: Lives,
  ) {
    timeline.steps.forEach(({ block }, at) => {
      if (!this.steps.has(block)) this.steps.set(block, at);
    });
    const versions: number[][] = ground.rooms.map(() => []);
    timeline.versions.forEach((buffer, v) => versions[buffer]?.push(v));
    this.versions = versions;
  }

  /** The step that makes the buffer's value, if it may be taken again just before step `at`. */
  makerOf(buffer: number, at: number): Block | undefined {
    const { ground } = this;
    const [block, ...others] = ground.writers[buffer] ?? [];
    if (!block || others.length > 0 || ground.isGiven(buffer)) return undefined;
    const from = this.steps.get(block);
    const part = ground.repeatable(block);
    if (!part || from === undefined || from >= at) return undefined;
    // What others write too would be written twice.
    if (!part.writes.every((b) => this.isSolely(block, b))) return undefined;
    return part.reads.every((b) => this.isSolely(block, b) || this.isUnchanged(b, from, at))
      ? part
      : undefined;
  }

  private isSolely(block: Block, buffer: number): boolean {
    const writers = this.ground.writers[buffer] ?? [];
    return writers.length === 1 && writers[0] === block && !this.ground.isGiven(buffer);
  }

  /** Whether nobody writes the buffer between a step and another. Versions all hold the same. */
  private isUnchanged(buffer: number, from: number, to: number): boolean {
    const writers = this.ground.writers[buffer] ?? [];
    if (writers.length === 0 || (writers.length === 1 && !this.ground.isGiven(buffer))) return true;
    for (let at = from + 1; at < to; at++)
      if (this.timeline.steps[at]?.block.writes.includes(buffer)) return false;
    return true;
  }

  /** The version of a buffer that was last made before a step. */
  private latest(buffer: number, at: number): number | undefined {
    const { first } = this.lives;
    let found: number | undefined;
    for (const v of this.versions[buffer] ?? [])
      if ((first[v] ?? at) < at && (found === undefined || (first[v] ?? 0) > (first[found] ?? 0))) found = v;
    return found;
  }

  /** The timeline in which `version` is computed again just before step `at`, which reads it. */
  repeat(version: number, at: number, operands: Operands): Repeated | undefined {
    const insertion = new Insertion(this, at, operands);
    const buffer = this.timeline.versions[version];
    return buffer !== undefined && insertion.make(buffer) ? insertion.done() : undefined;
  }

  alive(buffer: number, at: number): { readonly version: number; readonly isAlive: boolean } | undefined {
    const version = this.latest(buffer, at);
    return version === undefined ? undefined : { version, isAlive: (this.lives.last[version] ?? -1) >= at };
  }
}

/** Steps that are put in before one step of a timeline. */
class Insertion {
  private readonly steps: Step[] = [];
  private readonly versions: number[];
  /** Versions made here, by buffer. */
  private readonly made = new Map<number, number>();
  /** What takes the place of a version from here on. */
  private readonly instead = new Map<number, number>();
  private readonly pending = new Set<Block>();

  constructor(
    private readonly before: Repeats,
    private readonly at: number,
    private readonly operands: Operands,
  ) {
    this.versions = [...before.timeline.versions];
  }

  /** Takes the step that makes a buffer again. False where that cannot be. */
  make(buffer: number): boolean {
    const block = this.before.makerOf(buffer, this.at);
    if (!block || this.pending.has(block) || this.steps.length >= longestChain) return false;
    this.pending.add(block);
    const isOwn = (b: number): boolean => block.writes.includes(b);
    const found = block.reads.map((b) => (isOwn(b) ? -1 : this.operand(b)));
    if (found.includes(undefined))
      throw new Error(`${block.kernels[0]?.kernel.name} reads what is not made before`);
    const writes = block.writes.map((b) => this.version(b));
    const reads = block.reads.map((b, i) => (isOwn(b) ? writes[block.writes.indexOf(b)] : found[i]) ?? b);
    this.steps.push({ block, reads, writes, isAgain: true });
    return true;
  }

  private operand(buffer: number): number | undefined {
    const made = this.made.get(buffer);
    if (made !== undefined) return made;
    const { ground } = this.before;
    if (ground.isKept(buffer)) return buffer;
    const found = this.before.alive(buffer, this.at);
    if (!found) return undefined;
    if (!found.isAlive && this.operands === 'again' && this.make(buffer)) return this.made.get(buffer);
    return found.version;
  }

  /** A new version of a buffer, which later steps read instead of the one before. */
  private version(buffer: number): number {
    const { ground } = this.before;
    const made = this.versions.push(buffer) - 1;
    this.made.set(buffer, made);
    if (ground.outputs.has(buffer)) return made;
    const found = this.before.alive(buffer, this.at);
    if (found?.isAlive) this.instead.set(found.version, made);
    return made;
  }

  done(): Repeated {
    const { timeline } = this.before;
    const to = (v: number): number => this.instead.get(v) ?? v;
    const after = timeline.steps.slice(this.at).map((s): Step => {
      if (!s.reads.some((v) => this.instead.has(v))) return s;
      return { ...s, reads: s.reads.map(to) };
    });
    const steps = [...timeline.steps.slice(0, this.at), ...this.steps, ...after];
    return {
      timeline: { steps, versions: this.versions },
      cost: this.steps.reduce((sum, s) => sum + s.block.cost, 0),
    };
  }
}
