/** Kernels as text, for `nnetc explain --stage kernels`. */
import type { Condition } from '../shape/poly.ts';
import { format } from '../shape/poly.ts';
import type { Axis, Binding, Ex, Kernel, MapStage, Stage, Store } from './kernel.ts';
import { partsOf, rootsOf, usesIn } from './walk.ts';

const axes = (list: readonly Axis[]): string => list.map((a) => `${a.name} < ${format(a.extent)}`).join(', ');
const indent = (lines: readonly string[]): string[] => lines.map((l) => `  ${l}`);

/** Of operands on one line; longer ones are named. */
const longest = 100;
/** Of a line, where it can be broken. */
const width = 120;

/**
 * One kernel: its buffers, loops, values and the notes of the scheduler. Values that are used more than once have a line of
 * their own before their first use: `t0 = …`.
 */
export function printKernel(kernel: Kernel, bufferName: (buffer: number) => string): string {
  const names = kernel.buffers.map((b) => bufferName(b.buffer));
  const buffers = kernel.buffers.map((b, i) => `${b.mode} ${names[i] ?? ''}`).join(', ');
  const body = new Printer(names).body(kernel);
  return [
    `${kernel.kind} ${kernel.name} (${buffers})`,
    ...indent(kernel.notes.map((n) => `// ${n}`)),
    ...indent(body),
  ]
    .flatMap(wrapped)
    .join('\n');
}

/** A line that is too long, broken between the parts of lists, sums and conditions. */
function wrapped(line: string): string[] {
  if (line.length <= width) return [line];
  const margin = ' '.repeat(line.search(/\S/) + 4);
  const before = [...line.matchAll(/, | and | if | else | [*+-] /g)].map((m) =>
    m[0] === ', ' ? m.index + 1 : m.index,
  );
  const at = before.findLast((i) => i > margin.length && i <= width) ?? before.find((i) => i > width);
  if (at === undefined) return [line];
  return [line.slice(0, at), ...wrapped(margin + line.slice(at + 1))];
}

/** Lines in which the same names hold. */
class Block {
  readonly lines: string[] = [];
  private readonly names = new Map<Ex, string>();
  private readonly texts = new Map<string, string>();

  constructor(
    /** How often each value is used. */
    readonly uses: ReadonlyMap<Ex, number>,
    private readonly outer?: Block,
  ) {}

  nameOf(e: Ex): string | undefined {
    return this.names.get(e) ?? this.outer?.nameOf(e);
  }

  /** The name of a value with that text; `fresh` makes one, where none has. */
  define(e: Ex, text: string, fresh: () => string): string {
    const name = this.texts.get(text) ?? fresh();
    if (!this.texts.has(text)) this.lines.push(...`${name} = ${text}`.split('\n'));
    this.texts.set(text, name);
    this.names.set(e, name);
    return name;
  }
}

class Printer {
  private count = 0;

  constructor(private readonly names: readonly string[]) {}

  body(k: Kernel): string[] {
    switch (k.kind) {
      case 'rows':
        return [
          ...(k.grid.length > 0 ? [`grid ${axes(k.grid)}`] : []),
          ...k.stages.flatMap((s) => [
            s.axes.length > 0 ? `for ${axes(s.axes)}:` : 'here:',
            ...indent(this.stage(s)),
          ]),
        ];
      case 'contract':
        return [
          ...(['batch', 'm', 'n', 'k'] as const)
            .filter((r) => k[r].length > 0)
            .map((r) => `${r}: ${axes(k[r])}`),
          ...(k.parts ? [`parts: ${axes([k.parts.axis])}, of ${format(k.parts.length)} points of k`] : []),
          ...this.sum('acc = sum', [k.a, k.b]),
          ...(k.live ? [`a product counts${this.guard(k.live)}`] : []),
          ...this.stores(k.stores),
          ...(k.sums ? [...this.sum('sum = sum', [k.b]), ...this.stores(k.sums)] : []),
        ];
      case 'scatter': {
        const block = new Block(usesIn([...k.data.map((d) => d.value), k.value]));
        for (const d of k.data) block.lines.push(`${d.name} = ${this.ex(d.value, block)}`);
        block.lines.push(`[${format(k.offset)}] += ${this.ex(k.value, block)}${this.guard(k.guard)}`);
        return [
          ...(k.grid.length > 0 ? [`grid ${axes(k.grid)}`] : []),
          `clear ${this.names[k.target] ?? ''} for ${axes(k.clear.axes)} at ${format(k.clear.offset)}`,
          `for ${axes(k.axes)}:`,
          ...indent(block.lines),
        ];
      }
    }
  }

  private stage(s: Stage): string[] {
    if (s.kind === 'map') return [...this.stores(s.stores), ...(s.live ? [this.outside(s)] : [])];
    const block = new Block(usesIn(rootsOf(s)));
    for (const r of s.reductions) block.lines.push(`${r.name} = ${r.fn} ${this.ex(r.value, block)}`);
    return s.live ? [...block.lines, `an element counts${this.guard(s.live)}`] : block.lines;
  }

  private outside({ stores, live = [] }: MapStage): string {
    const values = stores.map((s) => `${this.names[s.buffer] ?? ''} = ${s.outside ?? '?'}`);
    return `else ${values.join(', ')}: computed${this.guard(live)}`;
  }

  private stores(stores: readonly Store[]): string[] {
    const block = new Block(usesIn(stores.map((s) => s.value)));
    for (const s of stores)
      block.lines.push(`${this.names[s.buffer] ?? ''}[${format(s.offset)}] = ${this.ex(s.value, block)}`);
    return block.lines;
  }

  /** The sum of a product: on one line, or with the lines of what its factors share below. */
  private sum(head: string, factors: readonly Ex[]): string[] {
    const { lines, product } = this.product(factors, new Block(usesIn(factors)));
    return lines.length === 0 ? [`${head} ${product}`] : [`${head}:`, ...indent([...lines, product])];
  }

  private product(
    factors: readonly Ex[],
    block: Block,
  ): { readonly lines: readonly string[]; product: string } {
    const product = factors.map((f) => this.ex(f, block)).join(' * ');
    return { lines: block.lines, product };
  }

  private guard(guard: readonly Condition[]): string {
    if (guard.length === 0) return '';
    return ` if ${guard.map((c) => `${format(c.value)} ${c.kind === 'ge' ? '>= 0' : '== 0'}`).join(' and ')}`;
  }

  /** A value as text, once the lines that it needs are written; its name, where it has one. */
  private ex(e: Ex, block: Block): string {
    const known = block.nameOf(e);
    if (known !== undefined) return known;
    const text = this.text(e, block);
    return (block.uses.get(e) ?? 0) > 1 && !isShort(e) ? this.named(e, text, block) : text;
  }

  private named(e: Ex, text: string, block: Block): string {
    return block.define(e, text, () => `t${this.count++}`);
  }

  private text(e: Ex, block: Block): string {
    switch (e.kind) {
      case 'const':
        return `${e.value}`;
      case 'local':
        return e.name;
      case 'index':
        return `(${format(e.value)}${this.bindings(e.data, block)})`;
      case 'load':
        return `${this.names[e.buffer] ?? ''}[${format(e.offset)}${this.guard(e.guard)}${e.guard.length > 0 ? ` else ${e.fill}` : ''}${this.bindings(e.data, block)}]`;
      case 'dot': {
        const head = `sum for ${axes(e.axes)}:`;
        const { lines, product } = this.product([e.a, e.b], new Block(block.uses, block));
        if (lines.length === 0) return `(${head} ${product})`;
        return this.named(e, [head, ...indent([...lines, product])].join('\n'), block);
      }
      case 'op':
        return `${e.fn}${e.fn === 'cast' ? `<${e.dtype}>` : ''}(${this.operands(e.args, block).join(', ')})`;
    }
  }

  private bindings(data: readonly Binding[], block: Block): string {
    return data.length === 0
      ? ''
      : ` with ${data.map((d) => `${d.name} = ${this.ex(d.value, block)}`).join(', ')}`;
  }

  /** The longest are named until all of them fit on a line. */
  private operands(args: readonly Ex[], block: Block): string[] {
    const texts = args.map((a) => this.ex(a, block));
    while (texts.join(', ').length > longest) {
      const at = texts.reduce((best, t, i) => (t.length > texts[best]!.length ? i : best), 0);
      const arg = args[at];
      if (!arg || block.nameOf(arg) !== undefined || arg.kind === 'const' || arg.kind === 'local') break;
      texts[at] = this.named(arg, texts[at]!, block);
    }
    return texts;
  }
}

/** What is as easily read twice as by a name. */
const isShort = (e: Ex): boolean =>
  e.kind === 'const' ||
  e.kind === 'local' ||
  (partsOf(e).length === 0 && !(e.kind === 'load' && e.guard.length > 0));
