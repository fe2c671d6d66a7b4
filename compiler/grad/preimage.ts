/**
 * The preimages of a view: given the index expressions e(v) of a view, all result indices v with e(v) = j, as
 * expressions in j and in the indices that stay free. Solved by elimination over the integers: unit coefficients,
 * strides (with a divisibility condition), mixed-radix digits (reshapes, windows that do not overlap), windows (one
 * index solved, the others free), repeated indices (conditions).
 */
import { rangesOf, resultIndex } from '../ir/indices.ts';
import type { Atom, Condition, Poly } from '../shape/poly.ts';
import {
  add,
  asConstant,
  equal,
  floorDivide,
  floorMod,
  isBetween,
  isNonNegative,
  linearIn,
  lowerBound,
  mapGuard,
  multiply,
  negate,
  one,
  partition,
  replaceAtoms,
  substitute,
  subtract,
  symbol,
  symbolsOf,
  upperBound,
  zero,
} from '../shape/poly.ts';

export interface Question {
  /** Shape of the operand; its indices j are `$0…`. */
  readonly target: readonly Poly[];
  /** Shape of the view's result; its indices are `$0…` in `guard` and in the left sides of `equations`. */
  readonly source: readonly Poly[];
  /** index expression and operand index of each dimension */
  readonly equations: readonly Equation[];
  readonly guard: readonly Condition[];
}

/** `left` over the result's indices equals `right` over the operand's. */
export interface Equation {
  readonly left: Poly;
  readonly right: Poly;
}

export interface Preimage {
  /** Extents of the indices left free, which follow the operand's. */
  readonly free: readonly Poly[];
  /** Each result index over the operand's indices `$0…` and the free ones after them. */
  readonly index: readonly Poly[];
  /** When that is a result index at all, and inside the view's guard. */
  readonly guard: readonly Condition[];
}

/** Undefined when the expressions are beyond what can be solved. */
export function preimage(question: Question): Preimage | undefined {
  const solver = new Solver(question);
  return solver.solve() ? solver.answer() : undefined;
}

/** More rounds than any solvable system needs; each removes an unknown, an atom or an equation. */
const fuel = 200;

class Solver {
  private readonly target: readonly Poly[];
  /** Unknown (`?0`, `?1`, …) to extent; the first are the result's indices, the others digits. */
  private readonly unknowns = new Map<string, Poly>();
  private readonly solution = new Map<string, Poly>();
  /** Each is zero. */
  private equations: Poly[];
  private conditions: Condition[];
  /** Ranges of the operand's indices and of the unknowns. */
  private readonly ranges: Map<string, Poly>;
  private readonly rank: number;

  constructor({ target, source, equations, guard }: Question) {
    this.target = target;
    this.rank = source.length;
    this.ranges = rangesOf(target);
    for (const extent of source) this.unknown(extent);
    const rename = (p: Poly): Poly =>
      substitute(p, (s) => (s.startsWith('$') ? symbol(`?${s.slice(1)}`) : undefined));
    this.equations = equations.map(({ left, right }) => subtract(rename(left), right));
    this.conditions = mapGuard(guard, rename);
    // An equality of the guard helps to solve.
    this.equations.push(...this.conditions.filter((c) => c.kind === 'eq').map((c) => c.value));
    this.conditions = this.conditions.filter((c) => c.kind === 'ge');
    for (const [name, extent] of this.unknowns) if (asConstant(extent) === 1) this.assign(name, zero);
  }

  solve(): boolean {
    for (let round = 0; round < fuel; round++) {
      this.settle();
      if (this.equations.length === 0) return true;
      const progress = this.solveSingle() || this.splitDigit() || this.openAtom() || this.solveWindow();
      if (!progress) return false;
    }
    return false;
  }

  answer(): Preimage {
    const free = [...this.unknowns].filter(([name]) => !this.solution.has(name));
    const numbered = new Map(free.map(([name], i) => [name, resultIndex(this.target.length + i)]));
    const shape = [...this.target, ...free.map(([, extent]) => extent)];
    const ranges = rangesOf(shape);
    const rename = (p: Poly): Poly => substitute(p, (s) => numbered.get(s), ranges);
    const index = Array.from({ length: this.rank }, (_, i) =>
      rename(this.solution.get(`?${i}`) ?? symbol(`?${i}`)),
    );
    return {
      free: free.map(([, extent]) => extent),
      index,
      guard: mapGuard(this.conditions, rename),
    };
  }

  private unknown(extent: Poly): string {
    const name = `?${this.unknowns.size}`;
    this.unknowns.set(name, extent);
    this.ranges.set(name, extent);
    return name;
  }

  private readonly isUnknown = (name: string): boolean => this.unknowns.has(name) && !this.solution.has(name);
  private unknownsIn(p: Poly): string[] {
    return [...symbolsOf(p)].filter(this.isUnknown);
  }

  /** The unknown's value; it must lie in its range. */
  private assign(name: string, value: Poly): void {
    const extent = this.unknowns.get(name) ?? one;
    this.replace((p) => substitute(p, (s) => (s === name ? value : undefined), this.ranges));
    this.solution.set(name, value);
    this.ranges.delete(name);
    this.require(value);
    this.require(subtract(subtract(extent, one), value));
  }

  private require(value: Poly): void {
    if (!isNonNegative(value, this.ranges)) this.conditions.push({ kind: 'ge', value });
  }

  private replace(by: (p: Poly) => Poly): void {
    this.equations = this.equations.map(by);
    this.conditions = mapGuard(this.conditions, by);
    for (const [name, value] of this.solution) this.solution.set(name, by(value));
  }

  /** Equations without unknowns become conditions. */
  private settle(): void {
    const open: Poly[] = [];
    for (const e of this.equations) {
      if (this.unknownsIn(e).length > 0) open.push(e);
      else if (asConstant(e) !== 0) this.conditions.push({ kind: 'eq', value: e });
    }
    this.equations = open;
  }

  /** An equation in one unknown, c*v + rest = 0; those with c = 1 first, as they need no condition. */
  private solveSingle(): boolean {
    const single = this.equations.flatMap((e) => {
      const [name, another] = this.unknownsIn(e);
      return name !== undefined && another === undefined ? [{ e, name }] : [];
    });
    single.sort((a, b) => this.unit(b.e, b.name) - this.unit(a.e, a.name));
    return single.some(({ e, name }) => this.solveFor(e, name));
  }

  /** Solves `e` for a variable that stands in it linearly; a coefficient other than 1 has to divide the rest. */
  private solveFor(e: Poly, name: string): boolean {
    const linear = linearIn(e, name);
    if (!linear || linear.coefficient.terms.length === 0) return false;
    let { coefficient, rest } = linear;
    if (!isNonNegative(coefficient, new Map())) [coefficient, rest] = [negate(coefficient), negate(rest)];
    if (!isPositive(coefficient) || this.unknownsIn(coefficient).length > 0) return false;
    const right = negate(rest);
    this.equations = this.equations.filter((other) => other !== e);
    if (asConstant(coefficient) !== 1)
      this.conditions.push({ kind: 'eq', value: floorMod(right, coefficient, this.ranges) });
    this.assign(name, floorDivide(right, coefficient, this.ranges));
    return true;
  }

  /** c*v + low = right with 0 <= low < c: v is the high digit of `right`, and `low` what is left. */
  private splitDigit(): boolean {
    for (const e of this.equations)
      for (const name of this.unknownsIn(e)) {
        const linear = linearIn(e, name);
        if (!linear) continue;
        let { coefficient, rest } = linear;
        if (!isNonNegative(coefficient, new Map())) [coefficient, rest] = [negate(coefficient), negate(rest)];
        if (!isPositive(coefficient) || this.unknownsIn(coefficient).length > 0) continue;
        const { inside: low, outside } = partition(rest, this.isUnknown);
        if (low.terms.length === 0 || !isBetween(low, zero, coefficient, this.ranges)) continue;
        const right = negate(outside);
        this.equations = this.equations.map((other) =>
          other === e ? subtract(low, floorMod(right, coefficient, this.ranges)) : other,
        );
        this.assign(name, floorDivide(right, coefficient, this.ranges));
        return true;
      }
    return false;
  }

  /**
   * Writes u = c*high + low, with new unknowns, for the argument u of a division or remainder by c; the smallest c first,
   * as larger ones then divide `high`.
   */
  private openAtom(): boolean {
    const atoms = this.equations.flatMap((e) => atomsOf(e)).filter((f) => this.unknownsIn(f.a).length > 0);
    const usable = atoms.filter((f) => isPositive(f.b) && this.unknownsIn(f.b).length === 0);
    const [atom] = usable.sort((f, g) => compareExtents(f.b, g.b));
    if (!atom) return false;
    const { a: u, b: c } = atom;
    const [least, most] = [lowerBound(u, this.ranges), upperBound(u, this.ranges)];
    if (!least || !most) return false;
    const start = floorDivide(least, c, this.ranges);
    const digits = add(subtract(floorDivide(most, c, this.ranges), start), one);
    const [high, low] = [this.unknown(digits), this.unknown(c)];
    const whole = add(multiply(c, add(symbol(high), start)), symbol(low));
    const [name] = this.unknownsIn(u);
    if (name !== undefined && equal(u, symbol(name))) this.assign(name, whole);
    else {
      this.replaceDigits(u, c, add(symbol(high), start), symbol(low));
      this.equations.push(subtract(u, whole));
    }
    return true;
  }

  private replaceDigits(u: Poly, c: Poly, high: Poly, low: Poly): void {
    const keys = new Map([
      [floorDivide(u, c).key, high],
      [floorMod(u, c).key, low],
    ]);
    this.replace((p) => replaceAtoms(p, (f) => keys.get(`1*${f.key}`)));
  }

  /** Several unknowns overlap (a window): the one with the largest range is solved, the others stay free. */
  private solveWindow(): boolean {
    for (const e of this.equations) {
      const names = this.unknownsIn(e).sort(
        (a, b) => compareExtents(this.extent(b), this.extent(a)) || this.unit(e, b) - this.unit(e, a),
      );
      for (const name of names) if (this.solveFor(e, name)) return true;
    }
    return false;
  }

  private extent(name: string): Poly {
    return this.unknowns.get(name) ?? one;
  }

  /** 1 when the unknown has coefficient 1 or -1. */
  private unit(e: Poly, name: string): number {
    const c = linearIn(e, name);
    return c && Math.abs(asConstant(c.coefficient) ?? 0) === 1 ? 1 : 0;
  }
}

const isPositive = (p: Poly): boolean => isNonNegative(subtract(p, one), new Map());

/** Constants by size, symbolic extents after all constants. */
function compareExtents(a: Poly, b: Poly): number {
  const [m, n] = [asConstant(a) ?? Infinity, asConstant(b) ?? Infinity];
  if (m !== n) return m < n ? -1 : 1;
  const below = isNonNegative(subtract(b, a), new Map());
  return below ? (isNonNegative(subtract(a, b), new Map()) ? 0 : -1) : 1;
}

type Division = Exclude<Atom, { readonly kind: 'symbol' }>;

/** Divisions and remainders, inner ones first. */
function atomsOf(p: Poly): Division[] {
  return p.terms.flatMap((t) =>
    t.factors.flatMap((f): Division[] =>
      f.kind === 'symbol'
        ? []
        : [...atomsOf(f.a), ...atomsOf(f.b), ...(f.kind === 'div' || f.kind === 'mod' ? [f] : [])],
    ),
  );
}
