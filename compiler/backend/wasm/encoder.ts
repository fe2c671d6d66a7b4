/**
 * A small WebAssembly assembler. Code is a tree of typed instructions (operands are children, as in folded text
 * format), so that it can be encoded and printed from one description. A module imports one memory and i32 globals, and
 * has functions; nothing else is needed here.
 */

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export type CodeType = ValueType | 'void';

/** One instruction with its operands; structured ones hold `blocks`. */
export interface Code<T extends CodeType = CodeType> {
  readonly type: T;
  /** As in the text format, immediates included: `i32.const 4`, `v128.load offset=16`. */
  readonly text: string;
  /** Opcode and immediates. */
  readonly bytes: readonly number[];
  readonly args: readonly Code[];
  /** Bodies of block, loop and if (then, else). */
  readonly blocks?: readonly (readonly Code[])[];
  /** Value of an integer constant, so that callers can fold it. */
  readonly constant?: number;
}

export type Stmt = Code<'void'>;
export type I32 = Code<'i32'>;
export type F32 = Code<'f32'>;
export type F64 = Code<'f64'>;
export type V128 = Code<'v128'>;

export function instruction<T extends CodeType>(
  type: T,
  text: string,
  bytes: readonly number[],
  args: readonly Code[] = [],
  blocks?: readonly (readonly Code[])[],
): Code<T> {
  return blocks ? { type, text, bytes, args, blocks } : { type, text, bytes, args };
}

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const out: number[] = [];
  let rest = value >>> 0;
  do {
    const byte = rest & 0x7f;
    rest >>>= 7;
    out.push(rest === 0 ? byte : byte | 0x80);
  } while (rest !== 0);
  return out;
}

/** Signed LEB128 of a 32-bit value. */
export function signed(value: number): number[] {
  const out: number[] = [];
  for (let rest = value | 0; ; rest >>= 7) {
    const byte = rest & 0x7f;
    const done = (rest >> 7 === 0 && !(byte & 0x40)) || (rest >> 7 === -1 && (byte & 0x40) !== 0);
    out.push(done ? byte : byte | 0x80);
    if (done) return out;
  }
}

const typeByte: { readonly [T in CodeType]: number } = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
  void: 0x40,
};

/** A function's parameter or variable. */
export class Local<T extends ValueType = ValueType> {
  readonly get: Code<T>;
  constructor(
    readonly type: T,
    readonly index: number,
    readonly name: string,
  ) {
    this.get = instruction(type, `local.get $${name}`, [0x20, ...unsigned(index)]);
  }
  set(value: Code<T>): Stmt {
    return instruction('void', `local.set $${this.name}`, [0x21, ...unsigned(this.index)], [value]);
  }
  tee(value: Code<T>): Code<T> {
    return instruction(this.type, `local.tee $${this.name}`, [0x22, ...unsigned(this.index)], [value]);
  }
}

/** A function under construction; append statements to `body`, the last may be the result. */
export class Func {
  readonly body: Code[] = [];
  readonly locals: Local[] = [];
  readonly params: readonly Local[];

  constructor(
    readonly index: number,
    readonly name: string,
    params: readonly (readonly [string, ValueType])[],
    readonly result: CodeType,
    readonly exported: boolean,
  ) {
    this.params = params.map(([label, type], i) => new Local(type, i, label));
  }

  local<T extends ValueType>(type: T, name = 't'): Local<T> {
    const index = this.params.length + this.locals.length;
    const made = new Local(type, index, `${name}.${index}`);
    this.locals.push(made);
    return made;
  }

  param(index: number): Local<'i32'> {
    return this.params[index] as Local<'i32'>;
  }

  call<T extends CodeType>(type: T, ...args: readonly Code[]): Code<T> {
    if (type !== this.result) throw new TypeError(`${this.name} returns ${this.result}, not ${type}`);
    return instruction(type, `call $${this.name}`, [0x10, ...unsigned(this.index)], args);
  }
}

export interface GlobalImport {
  readonly name: string;
  readonly mutable: boolean;
  readonly get: I32;
}

/** A mutable i32 of the module's own, 0 at first. */
export interface OwnGlobal {
  readonly get: I32;
  set(value: I32): Stmt;
}

/** A module that imports `env.memory` and i32 globals of `env`. */
export class Module {
  readonly functions: Func[] = [];
  readonly globals: GlobalImport[] = [];
  private own = 0;

  constructor(private readonly options: { readonly shared: boolean }) {}

  importGlobal(name: string, mutable: boolean): GlobalImport {
    if (this.own > 0) throw new Error('imported globals come before those of the module');
    const get = instruction('i32', `global.get $${name}`, [0x23, ...unsigned(this.globals.length)]);
    const made = { name, mutable, get };
    this.globals.push(made);
    return made;
  }

  /** The imports must be complete before. */
  ownGlobal(name: string): OwnGlobal {
    const index = unsigned(this.globals.length + this.own++);
    return {
      get: instruction('i32', `global.get $${name}`, [0x23, ...index]),
      set: (value) => instruction('void', `global.set $${name}`, [0x24, ...index], [value]),
    };
  }

  func(
    name: string,
    params: Func['params'][number][] | readonly (readonly [string, ValueType])[],
    result: CodeType,
    exported = false,
  ): Func {
    const typed = params.map((p): readonly [string, ValueType] =>
      p instanceof Local ? [p.name, p.type] : p,
    );
    const made = new Func(this.functions.length, name, typed, result, exported);
    this.functions.push(made);
    return made;
  }

  encode(): Uint8Array {
    const types = this.functions.map((f) => [
      0x60,
      ...vector(f.params.map((p) => [typeByte[p.type]])),
      ...vector(f.result === 'void' ? [] : [[typeByte[f.result]]]),
    ]);
    const limits = this.options.shared ? [3, ...unsigned(1), ...unsigned(65536)] : [0, ...unsigned(1)];
    const imports = [
      [...name('env'), ...name('memory'), 2, ...limits],
      ...this.globals.map((g) => [...name('env'), ...name(g.name), 3, typeByte.i32, g.mutable ? 1 : 0]),
    ];
    const exports = this.functions
      .filter((f) => f.exported)
      .map((f) => [...name(f.name), 0, ...unsigned(f.index)]);
    const out = new Bytes();
    out.push([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    for (const [id, items] of [
      [1, types],
      [2, imports],
      [3, this.functions.map((_, i) => unsigned(i))],
      [6, Array.from({ length: this.own }, () => [typeByte.i32, 1, 0x41, 0, 0x0b])],
      [7, exports],
    ] as const)
      out.section(id, Uint8Array.from(vector(items)));
    const code = new Bytes();
    code.push(unsigned(this.functions.length));
    for (const f of this.functions) code.sized(encodeFunction(f));
    out.section(10, code.done());
    return out.done().slice();
  }
}

/** Bytes that are appended to. */
class Bytes {
  private bytes = new Uint8Array(4096);
  private length = 0;

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(2 * (this.length + more));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  push(bytes: ArrayLike<number>): void {
    this.reserve(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.bytes[this.length + i] = bytes[i]!;
    this.length += bytes.length;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** `content` after its length. */
  sized(content: Uint8Array): void {
    this.push(unsigned(content.length));
    this.reserve(content.length);
    this.bytes.set(content, this.length);
    this.length += content.length;
  }

  section(id: number, content: Uint8Array): void {
    this.byte(id);
    this.sized(content);
  }

  /** What was appended, as a view. */
  done(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

function vector(items: readonly (readonly number[])[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

const name = (text: string): number[] => {
  const bytes = [...new TextEncoder().encode(text)];
  return [...unsigned(bytes.length), ...bytes];
};

function encodeFunction(f: Func): Uint8Array {
  const runs: { type: ValueType; count: number }[] = [];
  for (const { type } of f.locals) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  const out = new Bytes();
  out.push(vector(runs.map((run) => [...unsigned(run.count), typeByte[run.type]])));
  for (const statement of f.body) encodeCode(out, statement);
  out.byte(0x0b);
  return out.done();
}

function encodeCode(out: Bytes, code: Code): void {
  for (const arg of code.args) encodeCode(out, arg);
  out.push(code.bytes);
  if (!code.blocks) return;
  out.byte(typeByte[code.type]);
  code.blocks.forEach((block, i) => {
    if (i > 0) out.byte(0x05);
    for (const statement of block) encodeCode(out, statement);
  });
  out.byte(0x0b);
}
