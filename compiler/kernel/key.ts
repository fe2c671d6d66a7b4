/** Which kernels are the same code: blocks of a deep network repeat theirs on other buffers. */
import type { Condition, Poly } from '../shape/poly.ts';
import { conditionKey } from '../shape/poly.ts';
import type { Axis, Binding, Ex, Kernel, Stage, Store } from './kernel.ts';

/**
 * Equal for kernels that do the same to their buffers, whichever buffers of the plan these are. Two uses of one buffer
 * count as one, so that kernels which read what they write differ from those that do not.
 */
export function kernelKey(kernel: Kernel): string {
  const w = new Writer();
  const first = kernel.buffers.map((use) => kernel.buffers.findIndex((u) => u.buffer === use.buffer));
  const uses = kernel.buffers.map((use, i) => `${use.dtype} ${use.mode} ${first[i]}`);
  return `${kernel.kind}(${uses.join(', ')})${w.body(kernel)}`;
}

/** Equal for expressions that say the same. */
export const exKey = (ex: Ex): string => new Writer().ex(ex);

/** Expressions are DAGs: each is written once and then named, so that the key is as long as the kernel. */
class Writer {
  private readonly known = new Map<Ex, number>();

  body(k: Kernel): string {
    switch (k.kind) {
      case 'rows':
        return `${axes(k.grid)}${k.stages.map((s) => this.stage(s)).join('')}`;
      case 'contract':
        return [
          ...[k.batch, k.m, k.n, k.k].map(axes),
          ...(k.parts ? [`parts ${axes([k.parts.axis])} ${k.parts.length.key}`] : []),
          this.ex(k.a),
          this.ex(k.b),
          ...k.stores.map((s) => this.store(s)),
          ...(k.live ? [`live${guard(k.live)}`] : []),
          ...(k.sums ? ['sums', ...k.sums.map((s) => this.store(s))] : []),
        ].join(';');
      case 'scatter':
        return [
          axes(k.grid),
          axes(k.clear.axes),
          k.clear.offset.key,
          axes(k.axes),
          k.target,
          k.offset.key,
          guard(k.guard),
          this.data(k.data),
          this.ex(k.value),
        ].join(';');
    }
  }

  private stage(s: Stage): string {
    const parts =
      s.kind === 'map'
        ? s.stores.map((x) => this.store(x))
        : s.reductions.map((r) => `${r.name}=${r.fn} ${r.dtype} ${this.ex(r.value)}`);
    const live = s.live ? `live${guard(s.live)}` : '';
    return `${s.kind}${axes(s.axes)}{${parts.join(';')}}${live}`;
  }

  private store(s: Store): string {
    const outside = s.outside === undefined ? '' : ` outside ${s.outside}`;
    return `${s.buffer}[${s.offset.key}]=${this.ex(s.value)}${outside}`;
  }

  private data(data: readonly Binding[]): string {
    return data.map((d) => `${d.name}=${this.ex(d.value)}`).join(',');
  }

  ex(ex: Ex): string {
    const known = this.known.get(ex);
    if (known !== undefined) return `#${known}`;
    const text = `${ex.dtype}:${this.definition(ex)}`;
    this.known.set(ex, this.known.size);
    return text;
  }

  private definition(ex: Ex): string {
    switch (ex.kind) {
      case 'const':
        return Object.is(ex.value, -0) ? '-0' : String(ex.value);
      case 'local':
        return ex.name;
      case 'index':
        return `i(${ex.value.key}|${this.data(ex.data)})`;
      case 'load':
        return `${ex.buffer}[${ex.offset.key}${guard(ex.guard)}else${ex.fill}|${this.data(ex.data)}]`;
      case 'dot':
        return `dot${axes(ex.axes)}(${this.ex(ex.a)},${this.ex(ex.b)})`;
      case 'op':
        return `${ex.fn}(${ex.args.map((a) => this.ex(a)).join(',')})`;
    }
  }
}

const axes = (list: readonly Axis[]): string =>
  `<${list.map((a) => `${a.name}:${keyOf(a.extent)}`).join(',')}>`;
const guard = (conditions: readonly Condition[]): string =>
  conditions.map((c) => ` ${conditionKey(c)}`).join('');
const keyOf = (p: Poly): string => p.key;
