/**
 * Regions: where a tensor is known to be one number, and where nobody looks at it. Causal attention is made of such tensors:
 * the weight of every later position is 0, so the products with it can be left out, and nobody needs its gradient.
 */
import type { Condition, Poly } from '../shape/poly.ts';
import { common, conditionKey, constant, distinct, mapGuard, subtract, symbolsOf } from '../shape/poly.ts';
import { foldScalar } from './fold.ts';
import type { Computation, MapNode, Node, View } from './graph.ts';
import { topological, usersOf } from './walk.ts';
import { atIndices } from './indices.ts';
import { constantValue } from './make.ts';
import type { ScalarOp } from './ops.ts';

/** The tensor is `value` wherever one of the conditions, over its indices, fails. */
export interface Region {
  readonly conditions: readonly Condition[];
  readonly value: number;
}

/** An index or a whole constant as an expression over the result's indices. */
function polyOf(x: Node | undefined): Poly | undefined {
  if (x?.op === 'index') return x.value;
  const value = x?.dtype === 'i32' ? constantValue(x) : undefined;
  return value === undefined ? undefined : constant(value);
}

/** What must hold for a comparison of indices to come out as `wanted`; undefined when no guard says that. */
export function conditionsOf(test: Node | undefined, wanted: boolean): readonly Condition[] | undefined {
  if (test?.op !== 'map') return undefined;
  const [left, right] = test.inputs;
  if (test.fn === 'not') return conditionsOf(left, !wanted);
  if (test.fn === (wanted ? 'and' : 'or')) {
    const [a, b] = [conditionsOf(left, wanted), conditionsOf(right, wanted)];
    return a && b && [...a, ...b];
  }
  const [i, j] = [polyOf(left), polyOf(right)];
  if (!i || !j) return undefined;
  if (test.fn === 'eq') return wanted ? [{ kind: 'eq', value: subtract(i, j) }] : undefined;
  if (test.fn !== 'lt' && test.fn !== 'le') return undefined;
  // i < j; not i < j is j <= i.
  const [small, large] = wanted ? [i, j] : [j, i];
  const strict = (test.fn === 'lt') === wanted;
  return [{ kind: 'ge', value: subtract(subtract(large, small), strict ? 1 : 0) }];
}

// ---------------------------------------------------------------- what it is outside

/** Where tensors are one number. Takes every other number to be finite, as `0 * x` is 0 then. Memoised per graph. */
export class Outside {
  private readonly known = new Map<Node, Region | undefined>();

  of(node: Node): Region | undefined {
    if (this.known.has(node)) return this.known.get(node);
    const region = this.compute(node);
    this.known.set(node, region);
    return region;
  }

  private compute(node: Node): Region | undefined {
    const [x] = node.inputs;
    if (node.op === 'stop' && x) return this.of(x);
    if (node.op === 'view' && x) return this.ofView(node, x);
    if (node.op !== 'map') return undefined;
    return node.fn === 'where' ? this.ofChoice(node) : this.ofMap(node);
  }

  private ofView({ index, guard, fill, inputs }: View, x: Node): Region | undefined {
    const inner = this.of(x);
    const read = mapGuard(inner?.conditions ?? [], (p) => atIndices(p, index));
    const reads = inputs.length > 1 || guard.length > 0;
    const both = !reads || inner?.value === fill ? read : [];
    const value = reads ? fill : (inner?.value ?? 0);
    return regionOf(
      [...guard, ...both].filter(({ value: p }) => !namesData(p)),
      value,
    );
  }

  private ofChoice(node: MapNode): Region | undefined {
    const [test, a, b] = node.inputs as [Node, Node, Node];
    for (const [chosen, other, wanted] of [
      [a, b, true],
      [b, a, false],
    ] as const) {
      const value = constantValue(other);
      if (value === undefined) continue;
      const inner = this.of(chosen);
      const beyond = inner?.value === value ? inner.conditions : [];
      const region = regionOf([...(conditionsOf(test, wanted) ?? []), ...beyond], value);
      if (region) return region;
    }
    return undefined;
  }

  private ofMap(node: MapNode): Region | undefined {
    const regions = node.inputs.map((x) => this.of(x));
    if (node.fn === 'mul' && regions.some((r) => r?.value === 0))
      return regionOf(
        regions.flatMap((r) => (r?.value === 0 ? r.conditions : [])),
        0,
      );
    for (const region of regions) {
      if (!region) continue;
      const values = node.inputs.map((x, i) => constantValue(x) ?? valueOutside(regions[i], region));
      const value = resultOf(node, values);
      if (value !== undefined) return regionOf(region.conditions, value);
    }
    return undefined;
  }
}

const regionOf = (conditions: readonly Condition[], value: number): Region | undefined =>
  conditions.length === 0 ? undefined : { conditions: distinct(conditions), value };

const namesData = (p: Poly): boolean => [...symbolsOf(p)].some((s) => s.startsWith('@'));

/** What a tensor with the region `own` is wherever a condition of `region` fails. */
function valueOutside(own: Region | undefined, { conditions }: Region): number | undefined {
  const keys = new Set(own?.conditions.map(conditionKey));
  return conditions.every((c) => keys.has(conditionKey(c))) ? own?.value : undefined;
}

/** The element-wise operation on values of which some may be unknown, but finite. */
function resultOf(
  { fn, inputs, dtype }: MapNode,
  values: readonly (number | undefined)[],
): number | undefined {
  const [a, b] = values;
  const isKnown = (list: readonly (number | undefined)[]): list is readonly number[] =>
    !list.includes(undefined);
  if (isKnown(values)) {
    const result = foldScalar(fn, values, inputs[0]?.dtype ?? dtype, dtype);
    return result === undefined || Number.isNaN(result) ? undefined : result;
  }
  if ((fn === 'add' || fn === 'sub') && (a === -Infinity || a === Infinity)) return a;
  if (fn === 'add' && (b === -Infinity || b === Infinity)) return b;
  return fn === 'div' && a === 0 ? 0 : undefined;
}

// ---------------------------------------------------------------- where nobody looks

/**
 * Conditions of every value of a computation without which nobody looks at an element of it, or only to multiply it by 0: it
 * may be any finite number there.
 */
export function needsOf(
  { outputs, updates }: Pick<Computation, 'outputs' | 'updates'>,
  outside: Outside,
): (node: Node) => readonly Condition[] {
  const roots = [...outputs.map((o) => o.node), ...updates.map((u) => u.value)];
  const known = new Map<Node, readonly Condition[]>(roots.map((r) => [r, []]));
  // Few nodes are asked for, and most of these go into a view: no walk over all of them.
  let users: ReadonlyMap<Node, readonly Node[]> | undefined;
  const needs = (node: Node): readonly Condition[] => {
    const found = known.get(node);
    if (found) return found;
    users ??= usersOf(topological(roots));
    const own = ofUsers(node, users.get(node) ?? []);
    known.set(node, own);
    return own;
  };
  const ofUsers = (node: Node, list: readonly Node[]): readonly Condition[] => {
    let all: readonly Condition[] | undefined;
    for (const user of list)
      for (const [i, x] of user.inputs.entries()) {
        if (x !== node) continue;
        const need = needOfOperand(user, i, needs, outside);
        all = all ? common(all, need) : need;
        if (all.length === 0) return all;
      }
    return all ?? [];
  };
  return needs;
}

/** Operations that make finite numbers of finite ones. */
const finite: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  'add',
  'sub',
  'mul',
  'neg',
  'cast',
  'where',
  'max',
  'min',
  'abs',
  'tanh',
]);

/** Where the i-th operand of `node` is needed. */
function needOfOperand(
  node: Node,
  i: number,
  needs: (node: Node) => readonly Condition[],
  outside: Outside,
): readonly Condition[] {
  if (node.op === 'stop' || (node.op === 'reduce' && node.fn === 'sum')) return needs(node);
  if (node.op !== 'map') return [];
  if (node.fn === 'div') return i === 0 ? needs(node) : [];
  if (!finite.has(node.fn) || (node.fn === 'where' && i === 0)) return [];
  if (node.fn === 'where') return [...needs(node), ...(conditionsOf(node.inputs[0], i === 1) ?? [])];
  if (node.fn !== 'mul') return needs(node);
  const others = node.inputs.filter((_, j) => j !== i).map((x) => outside.of(x));
  return [...needs(node), ...others.flatMap((r) => (r?.value === 0 ? r.conditions : []))];
}
