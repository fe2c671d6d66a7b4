/** On which of its own axes the value of a node depends. */
import type { Poly } from '../shape/poly.ts';
import { asConstant, symbolsOf } from '../shape/poly.ts';
import type { Node } from './graph.ts';

export const isUnit = (d: Poly | undefined): boolean => d === undefined || asConstant(d) === 1;

/** Axes of `node` on which its value depends (an axis of size 1 never counts). Memoised per graph. */
export class Dependence {
  private readonly known = new Map<Node, ReadonlySet<number>>();

  axesOf(node: Node): ReadonlySet<number> {
    const seen = this.known.get(node);
    if (seen) return seen;
    const axes = this.compute(node);
    this.known.set(node, axes);
    return axes;
  }

  private compute(node: Node): ReadonlySet<number> {
    switch (node.op) {
      case 'const':
        return new Set();
      case 'index':
        return axesIn([node.value]);
      case 'map':
        return new Set(node.inputs.flatMap((x) => [...this.axesOf(x)]));
      case 'stop':
        return this.axesOf(node.inputs[0] as Node);
      case 'view': {
        const [x, ...data] = node.inputs;
        const inner = this.axesOf(x as Node);
        const used = node.index.filter((_, i) => inner.has(i));
        const deciding = [...used, ...node.guard.map((c) => c.value)];
        const own = axesIn(deciding);
        // A guard may ask the data where the index does not: `if idx[i] == j then y[j] else 0`.
        const byData = deciding.some((e) => [...symbolsOf(e)].some((s) => s.startsWith('@')));
        return new Set([...own, ...(byData ? data.flatMap((d) => [...this.axesOf(d)]) : [])]);
      }
      default:
        return new Set(node.shape.flatMap((d, i) => (isUnit(d) ? [] : [i])));
    }
  }
}

function axesIn(ps: readonly Poly[]): Set<number> {
  const names = new Set<string>();
  for (const p of ps) symbolsOf(p, names);
  return new Set([...names].filter((s) => s.startsWith('$')).map((s) => Number(s.slice(1))));
}
