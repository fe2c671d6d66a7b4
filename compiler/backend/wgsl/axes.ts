/** Flattened iteration: how many points axes have, which workgroups cover them, and finding the axes again. */
import type { Axis } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { add, asConstant, constant, floorDivide, minimum, multiply, one } from '../../shape/poly.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './scope.ts';
import { unsigned } from './block.ts';
import { MAX_GROUPS } from './shader.ts';

/** Number of points of `axes`. */
export const countOf = (axes: readonly Axis[]): Poly => multiply(one, ...axes.map((a) => a.extent));

/** `ceil(n / size)`. */
export const ceilDivide = (n: Poly, size: number): Poly =>
  floorDivide(add(n, constant(size - 1)), constant(size));

export interface Groups {
  readonly workgroups: readonly [Poly, Poly, Poly];
  /** More than one row of workgroups may be needed: the workgroup's index is `y * MAX_GROUPS + x`. */
  readonly large: boolean;
  /** The last row may hold workgroups past `count`. */
  readonly surplus: boolean;
}

/** A dispatch of at least `count` workgroups, in rows of MAX_GROUPS when there may be more. */
export function workgroupsOf(count: Poly): Groups {
  const n = asConstant(count);
  if (n !== undefined && n <= MAX_GROUPS)
    return { workgroups: [count, one, one], large: false, surplus: false };
  const rows = ceilDivide(count, MAX_GROUPS);
  return { workgroups: [minimum(count, MAX_GROUPS), rows, one], large: true, surplus: true };
}

/** Binds `axes`, which `flat` numbers in row-major order. */
export function bindFlat(emitter: Emitter, axes: readonly Axis[], flat: Value): void {
  let rest = flat;
  const varying = axes.filter((a) => asConstant(a.extent) !== 1);
  for (const axis of axes) if (!varying.includes(axis)) emitter.bindAxis(axis.name, axis.extent, flat);
  for (let i = varying.length - 1; i >= 0; i--) {
    const { name, extent } = varying[i]!;
    if (i === 0) {
      emitter.bindAxis(name, extent, emitter.named(rest, name));
      break;
    }
    const whole = emitter.named(rest);
    emitter.bindAxis(name, extent, emitter.named(divided(emitter, whole, extent, '%'), name));
    rest = divided(emitter, whole, extent, '/');
  }
}

/** `value / extent` or `value % extent` of something not negative. */
export function divided(emitter: Emitter, value: Value, extent: Poly, op: '/' | '%'): Value {
  const n = asConstant(extent);
  const shift = n !== undefined && n > 0 ? Math.log2(n) : NaN;
  if (n === 1) return op === '/' ? value : emitter.constant('i32', 0);
  if (Number.isInteger(shift)) {
    const code = op === '/' ? `(${value.code} >> ${shift}u)` : `(${value.code} & ${n! - 1}i)`;
    return { code, home: value.home, simple: false };
  }
  return { code: unsigned(op, value.code, emitter.poly(extent).code), home: value.home, simple: false };
}

/** Runs `body` over the points `lane`, `lane + lanes`, … of `axes`. */
export function stridedLoop(
  emitter: Emitter,
  axes: readonly Axis[],
  lane: string,
  lanes: number,
  body: () => void,
): void {
  const t = emitter.block.names.fresh('t');
  const bound = emitter.named(emitter.poly(countOf(axes))).code;
  emitter.within(`for (var ${t} = ${lane}; ${t} < ${bound}; ${t} += ${lanes}i)`, () => {
    bindFlat(emitter, axes, emitter.here(t, true));
    body();
  });
}

/** The innermost axis that has more than one point. */
export const lastOf = (axes: readonly Axis[]): Axis | undefined =>
  axes.findLast((a) => asConstant(a.extent) !== 1);

/** `p` is a constant that `n` divides. */
export const isMultiple = (p: Poly, n: number): boolean => {
  const c = asConstant(p);
  return c !== undefined && c % n === 0;
};

/** `a + b`, named where both exist. */
export function sumOf(emitter: Emitter, a: Value, b: Value): Value {
  if (a.code === '0i') return b;
  if (b.code === '0i') return a;
  const home = a.home.depth > b.home.depth ? a.home : b.home;
  return emitter.named({ code: `(${a.code} + ${b.code})`, home, simple: false });
}

/**
 * Visits `from`, `from + step`, … below `end`; from is below `step`, which divides `end`. The loop itself is the same for
 * all invocations, so that the shader compiler sees how often it runs.
 */
export function count(
  emitter: Emitter,
  end: number,
  step: number,
  from: Value,
  visit: (i: Value) => void,
): void {
  if (end === step) return visit(from);
  const i = emitter.block.names.fresh('e');
  emitter.within(`for (var ${i} = 0i; ${i} < ${end}i; ${i} += ${step}i)`, () =>
    visit(sumOf(emitter, emitter.here(i, true), from)),
  );
}
