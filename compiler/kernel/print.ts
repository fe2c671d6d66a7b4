/** Kernels as text, for `nnetc explain --stage kernels`. */
import { format } from '../shape/poly.ts';
import type { Axis, Condition, Ex, Kernel, Store } from './kernel.ts';

const axes = (list: readonly Axis[]): string => list.map((a) => `${a.name} < ${format(a.extent)}`).join(', ');

/** One kernel: its buffers, loops, values and the notes of the scheduler. */
export function printKernel(kernel: Kernel, bufferName: (buffer: number) => string): string {
  const names = kernel.buffers.map((b) => bufferName(b.buffer));
  const buffers = kernel.buffers.map((b, i) => `${b.mode} ${names[i] ?? ''}`).join(', ');
  const p = new Printer(names);
  const body = p.body(kernel);
  return [
    `${kernel.kind} ${kernel.name} (${buffers})`,
    ...kernel.notes.map((n) => `  // ${n}`),
    ...body.map((l) => `  ${l}`),
  ].join('\n');
}

class Printer {
  private readonly shared = new Map<Ex, string>();

  constructor(private readonly names: readonly string[]) {}

  body(k: Kernel): string[] {
    switch (k.kind) {
      case 'rows':
        return [
          ...(k.grid.length > 0 ? [`grid ${axes(k.grid)}`] : []),
          ...k.stages.flatMap((s) => {
            const head = s.axes.length > 0 ? `for ${axes(s.axes)}` : 'here';
            if (s.kind === 'map') return [`${head}:`, ...s.stores.map((x) => `  ${this.store(x)}`)];
            return [`${head}:`, ...s.reductions.map((r) => `  ${r.name} = ${r.fn} ${this.ex(r.value)}`)];
          }),
        ];
      case 'contract':
        return [
          ...(['batch', 'm', 'n', 'k'] as const)
            .filter((r) => k[r].length > 0)
            .map((r) => `${r}: ${axes(k[r])}`),
          ...(k.parts ? [`parts: ${axes([k.parts.axis])}, of ${format(k.parts.length)} points of k`] : []),
          `acc = sum ${this.ex(k.a)} * ${this.ex(k.b)}`,
          ...k.stores.map((s) => this.store(s)),
          ...(k.sums ? [`sum = sum ${this.ex(k.b)}`, ...k.sums.map((s) => this.store(s))] : []),
        ];
      case 'scatter':
        return [
          ...(k.grid.length > 0 ? [`grid ${axes(k.grid)}`] : []),
          `clear ${this.names[k.buffers[k.target]?.buffer ?? -1] ?? ''} for ${axes(k.clear.axes)} at ${format(k.clear.offset)}`,
          `for ${axes(k.axes)}: [${format(k.offset)}] += ${this.ex(k.value)}${this.guard(k.guard)}`,
          ...k.data.map((d) => `  with ${d.name} = ${this.ex(d.value)}`),
        ];
    }
  }

  private store(s: Store): string {
    return `${this.names[s.buffer] ?? ''}[${format(s.offset)}] = ${this.ex(s.value)}`;
  }

  private guard(guard: readonly Condition[]): string {
    if (guard.length === 0) return '';
    return ` if ${guard.map((c) => `${format(c.value)} ${c.kind === 'ge' ? '>= 0' : '== 0'}`).join(' and ')}`;
  }

  private ex(e: Ex): string {
    const known = this.shared.get(e);
    if (known) return known;
    const text = this.text(e);
    this.shared.set(e, text);
    return text;
  }

  private text(e: Ex): string {
    const data =
      'data' in e && e.data.length > 0
        ? ` with ${e.data.map((d) => `${d.name} = ${this.ex(d.value)}`).join(', ')}`
        : '';
    switch (e.kind) {
      case 'const':
        return `${e.value}`;
      case 'local':
        return e.name;
      case 'index':
        return `(${format(e.value)}${data})`;
      case 'load':
        return `${this.names[e.buffer] ?? ''}[${format(e.offset)}${this.guard(e.guard)}${e.guard.length > 0 ? ` else ${e.fill}` : ''}${data}]`;
      case 'dot':
        return `(sum for ${axes(e.axes)}: ${this.ex(e.a)} * ${this.ex(e.b)})`;
      case 'op':
        return `${e.fn}${e.fn === 'cast' ? `<${e.dtype}>` : ''}(${e.args.map((a) => this.ex(a)).join(', ')})`;
    }
  }
}
