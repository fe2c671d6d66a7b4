/**
 * A nest of loops under construction. Every value is computed at the outermost level that knows what it depends on, once.
 */
import type { BufferUse } from '../../kernel/kernel.ts';
import type { Ranges } from '../../shape/poly.ts';
import type { Code, Func, I32, Stmt } from './encoder.ts';
import type { Interner, Item } from './intern.ts';
import { localSymbol } from './intern.ts';
import type { ScalarContext } from './scalar-ops.ts';

interface Level {
  readonly body: Stmt[];
  readonly memo: Map<string, Code>;
  readonly axis: string;
}

/** What a kernel's code may refer to. */
export interface Environment extends ScalarContext {
  readonly f: Func;
  readonly buffers: readonly BufferUse[];
  /** Byte offset of each of them. */
  readonly bases: readonly I32[];
  readonly dims: ReadonlyMap<string, I32>;
  readonly ranges: Ranges;
  readonly interner: Interner;
}

export interface Named {
  readonly level: number;
  readonly vector: boolean;
  /** One code for each copy, or one for all. */
  readonly copies: readonly Code[];
}

/** The levels, what is named in them, and what was computed where. */
export class Levels {
  private readonly levels: Level[] = [{ body: [], memo: new Map(), axis: '' }];
  protected readonly names = new Map<string, Named>();
  /** The vector axis, while a vector loop is open. */
  protected lanes: string | undefined;
  protected stage = 0;
  /** The level whose code is being made, when it is not the innermost. */
  protected target: number | undefined;
  /** Values that read what the kernel writes stay at this level or deeper. */
  protected stageLevel = 0;
  /** Set where loops may run zero times: loads that move out of them read address 0 then. */
  nonEmpty: I32 | undefined;

  constructor(readonly env: Environment) {
    for (const [name, code] of env.dims) this.names.set(name, { level: 0, vector: false, copies: [code] });
    env.bases.forEach((base, i) => this.names.set(`$b${i}`, { level: 0, vector: false, copies: [base] }));
  }

  get depth(): number {
    return this.levels.length - 1;
  }

  /** Appends to the innermost open level. */
  push(...code: readonly Stmt[]): void {
    this.levels.at(-1)!.body.push(...code);
  }

  /** Opens a loop body over `axis`, whose index is `index`. */
  open(axis: string, index: I32, isVector = false): void {
    this.levels.push({ body: [], memo: new Map(), axis });
    this.names.set(axis, { level: this.depth, vector: false, copies: [index] });
    if (isVector) this.lanes = axis;
  }

  /** Names an index whose value is known from here on, at the innermost level. */
  bind(name: string, index: I32): void {
    this.names.set(name, { level: this.depth, vector: false, copies: [index] });
  }

  /** The code of an index by name. */
  index(name: string): I32 {
    return this.named(name).copies[0] as I32;
  }

  /** Closes the innermost level and gives its body. */
  close(): Stmt[] {
    const level = this.levels.pop();
    if (!level || this.levels.length === 0) throw new Error('no open loop');
    this.names.delete(level.axis);
    if (this.lanes === level.axis) this.lanes = undefined;
    for (const [name, { level: at }] of this.names) if (at > this.depth) this.names.delete(name);
    return level.body;
  }

  /** All code, once every loop is closed. */
  finish(): Stmt[] {
    return this.levels[0]!.body;
  }

  /** What earlier stages stored may be loaded from here on. */
  beginStage(): void {
    this.stage++;
    this.stageLevel = this.depth;
  }

  /** Names a value for `local` expressions. */
  define(name: string, vector: boolean, copies: readonly Code[], level = this.depth): void {
    this.names.set(localSymbol(name), { level, vector, copies });
  }

  protected named(name: string): Named {
    const found = this.names.get(name);
    if (found) return found;
    const item = this.env.interner.data.get(name);
    if (!item) throw new Error(`\`${name}\` is neither an axis in scope nor a dimension`);
    return { level: this.levelOf(item), vector: this.isVector(item), copies: [] };
  }

  protected levelOf(item: Item): number {
    let level = item.volatile ? this.stageLevel : 0;
    for (const d of item.depends) level = Math.max(level, this.named(d).level);
    return level;
  }

  isVector(item: Item): boolean {
    if (this.lanes === undefined) return false;
    for (const d of item.depends) if (d === this.lanes || this.names.get(d)?.vector) return true;
    return false;
  }

  /** Computes `make` once at a level; the result is cheap to repeat. */
  protected at(level: number, key: string, make: () => Code): Code {
    const { memo, body } = this.levels[level]!;
    const known = memo.get(key);
    if (known) return known;
    const outer = this.target;
    this.target = level;
    const code = make();
    this.target = outer;
    const kept = isCheap(code) ? code : this.keepIn(body, code);
    memo.set(key, kept);
    return kept;
  }

  protected keepIn(body: Stmt[], code: Code): Code {
    const local = this.env.f.local(code.type as Exclude<Code['type'], 'void'>);
    body.push(local.set(code as never));
    return local.get;
  }

  /** A local with this value, computed at the level that is being written. */
  keep<T extends Code>(code: T): T {
    return (isCheap(code) ? code : this.keepIn(this.levels[this.writing]!.body, code)) as T;
  }

  protected get writing(): number {
    return this.target ?? this.depth;
  }
}

/** local.get, i32.const and f32.const: as cheap to repeat as to keep. */
const isCheap = ({ args, bytes: [opcode] }: Code): boolean =>
  args.length === 0 && (opcode === 0x20 || opcode === 0x41 || opcode === 0x43);
