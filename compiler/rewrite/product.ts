/** Products as lists of factors, for rules about sums of them. */
import type { Node } from '../ir/graph.ts';
import type { Maker } from '../ir/make.ts';

/** Factors of a product, through negations; divisors separately. */
export interface Product {
  readonly factors: Node[];
  readonly divisors: Node[];
  negative: boolean;
}

/** `isKept`: a value that is there anyway, and stays one factor. */
export const factorise = (node: Node, isKept: (node: Node) => boolean = () => false): Product =>
  gather(node, { factors: [], divisors: [], negative: false }, isKept);

function gather(node: Node, into: Product, isKept: (node: Node) => boolean): Product {
  const [a, b] = node.inputs;
  if (isKept(node)) {
    into.factors.push(node);
    return into;
  }
  if (node.op === 'map' && node.fn === 'mul' && a && b) return gather(b, gather(a, into, isKept), isKept);
  if (node.op === 'map' && node.fn === 'neg' && a) {
    into.negative = !into.negative;
    return gather(a, into, isKept);
  }
  if (node.op === 'map' && node.fn === 'div' && a && b && node.dtype !== 'i32' && node.dtype !== 'u32') {
    into.divisors.push(b);
    return gather(a, into, isKept);
  }
  into.factors.push(node);
  return into;
}

export const product = (make: Maker, factors: readonly Node[]): Node | undefined =>
  factors.length === 0 ? undefined : factors.reduce((a, b) => make.map('mul', a, b));
