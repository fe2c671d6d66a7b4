import { describe, expect, it } from 'vitest';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { GradientRules, Partial } from '../../compiler/grad/rules.ts';
import { gradientRules } from '../../compiler/grad/rules.ts';
import type { Computation } from '../../compiler/ir/graph.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { simplify } from '../../compiler/rewrite/simplify.ts';
import { evaluate } from '../support/evaluate.ts';
import { finiteDifferences, isClose, lossFunction } from '../support/finite-differences.ts';
import type { GradientCase } from '../support/gradient-cases.ts';
import { flat, gradientCases } from '../support/gradient-cases.ts';

const cases = gradientCases();

function gradientOf({ graph, loss, floats }: GradientCase, rules?: GradientRules): Computation {
  const { gradients } = gradient(graph, loss, floats, rules);
  const outputs = gradients.map((node, i) => ({ name: `${i}`, node }));
  return { name: 'gradient', graph, outputs, updates: [] };
}

/** Elements where a computation of gradients differs from finite differences. */
function disagreements(found: Computation, { graph, loss, dims, values, floats }: GradientCase): string[] {
  const f = lossFunction(graph, loss, dims);
  const results = evaluate(found, dims, values);
  return floats.flatMap((leaf, k) =>
    finiteDifferences(f, values, leaf).flatMap((expected, i) => {
      const got = results.get(`${k}`)?.[i] ?? NaN;
      return expected !== undefined && !isClose(got, expected)
        ? [`d ${leaf.name}[${i}]: ${got}, not ${expected}`]
        : [];
    }),
  );
}

describe('the gradient of every operation', () => {
  it.each(cases.map((c) => [c.name, c] as const))('%s', (_name, c) => {
    const found = gradientOf(c);
    verify(found, 'gradient');
    expect(disagreements(found, c)).toEqual([]);
    const { computation } = simplify(found);
    verify(computation, 'rewrite');
    expect(disagreements(computation, c)).toEqual([]);
  });

  it('is differentiable again', () => {
    for (const c of cases) {
      const { graph, loss, floats, values } = c;
      const [x] = floats;
      if (!x || x.dtype === 'f16' || c.dims.n === 0) continue;
      const { gradients } = gradient(graph, loss, [x]);
      const [g] = gradients;
      if (!g) continue;
      const weights = graph.leaf('input', 'again', 'f32', g.shape);
      const size = (values.get(x.name) ?? []).length;
      values.set(
        'again',
        Float64Array.from({ length: size }, (_, i) => 0.7 + ((i * 37) % 11) / 10),
      );
      const second = graph.reduce('sum', graph.map('mul', [g, weights]), g.shape.length);
      const twice: GradientCase = { ...c, loss: second };
      expect(disagreements(gradientOf(twice), twice), c.name).toEqual([]);
    }
  });
});

/** Every partial of a table, by name, and the table with that one replaced. */
function variants(change: (p: Partial) => Partial): [string, GradientRules][] {
  const { scalar, reduce, other } = gradientRules;
  const changed = <R extends Readonly<Record<string, readonly (Partial | null)[]>>>(rows: R): [string, R][] =>
    Object.entries(rows).flatMap(([op, row]) =>
      row.flatMap((p, k): [string, R][] =>
        p ? [[`${op}, operand ${k}`, { ...rows, [op]: row.with(k, change(p)) }]] : [],
      ),
    );
  return [
    ...changed(scalar).map(([name, rows]): [string, GradientRules] => [
      name,
      { ...gradientRules, scalar: rows },
    ]),
    ...changed(reduce).map(([name, rows]): [string, GradientRules] => [
      `reduce ${name}`,
      { ...gradientRules, reduce: rows },
    ]),
    ...changed(other).map(([name, rows]): [string, GradientRules] => [
      name,
      { ...gradientRules, other: rows },
    ]),
  ];
}

describe('the cases above notice', () => {
  it.each(variants((p) => (c) => c.make.map('neg', p(c))))('a flipped sign: %s', (_row, rules) => {
    expect(cases.some((c) => disagreements(gradientOf(c, rules), c).length > 0)).toBe(true);
  });
});

describe('operations without a derivative', () => {
  it('have no row', () => {
    for (const fn of flat)
      expect(
        gradientRules.scalar[fn].every((p) => p === null),
        fn,
      ).toBe(true);
  });
});
