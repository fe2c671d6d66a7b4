import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayWidth, visible } from '../../compiler/diagnostics/cells.ts';
import { type Catalogue, renderProblems } from '../../compiler/diagnostics/index.ts';
import type { Label } from '../../grammar/problem.ts';

const catalogue: Catalogue = { E9001: { title: 't', message: () => 'm', help: () => 'h' } };

const text = fc.string({
  unit: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('a', 'b', ' ', '(', '1') },
    { weight: 2, arbitrary: fc.constantFrom('\n', '\n', '\r\n', '\r') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('\t', '模', '👩‍👩‍👧', 'e\u0301', '\u001b', '\u202e', '\ud800', '\u0000'),
    },
  ),
  maxLength: 120,
});
const place = fc.record({
  start: fc.integer({ min: -5, max: 140 }),
  length: fc.integer({ min: -5, max: 60 }),
  primary: fc.boolean(),
});

const render = (source: string, labels: readonly Label[], width = 120): string =>
  renderProblems(
    [{ code: 'E9001', severity: 'error', fields: {}, labels }],
    new Map([['f', { path: 'f', text: source }]]),
    { color: false, catalogue, width },
  );

describe('any labels on any text', () => {
  it('render without throwing, without control characters, with every label and a bounded number of lines', () => {
    fc.assert(
      fc.property(
        text,
        fc.array(place, { maxLength: 6 }),
        fc.integer({ min: 20, max: 80 }),
        (source, places, width) => {
          const labels = places.map(({ start, length, primary }, i) => ({
            span: { file: 'f', start, end: start + length },
            text: `<label ${i}>`,
            primary,
          }));
          const out = render(source, labels, width);
          expect(out).toBe(out.split('\n').map(visible).join('\n'));
          for (const label of labels) expect(out).toContain(label.text);
          expect(out.split('\n').length).toBeLessThan(10 + source.length + 6 * labels.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('underline exactly the columns that the marked text takes', () => {
    const line = fc.string({
      unit: fc.constantFrom('a', '(', '模', '👩‍👩‍👧', 'e\u0301', '\t', '🇩🇪'),
      maxLength: 12,
    });
    const marked = fc.string({ unit: fc.constantFrom('a', '模', '👩‍👩‍👧'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(line, marked, line, (before, middle, after) => {
        const label = {
          span: { file: 'f', start: before.length, end: before.length + middle.length },
          text: 'here',
          primary: true,
        };
        const row = render(before + middle + after, [label]).split('\n')[3]!;
        // Combining marks at the start of `after` would join the last character of `middle`; none begin it here.
        expect(row.indexOf('^')).toBe(displayWidth(before) + ' 1 │ '.length);
        expect(row.lastIndexOf('^') - row.indexOf('^') + 1).toBe(displayWidth(middle));
      }),
    );
  });
});
