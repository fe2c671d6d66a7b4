import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, print } from '../../grammar/index.ts';
import type { Syntax } from '../../grammar/syntax.ts';
import { anyExpr, anySyntax } from './arbitrary.ts';
import { strip } from './strip.ts';

const runs = Number(process.env['NNET_FUZZ'] ?? 300);
const path = 'random.nnet';

/** Parses what was printed and says which text it was if that fails. */
function reparse(text: string): Syntax {
  const { syntax, problems } = parse({ path, text });
  if (problems.length > 0) throw new Error(`${JSON.stringify(problems, null, 1)}\n${text}`);
  return syntax;
}

describe('print', () => {
  it('gives text that parses to the same tree, and the same text again', () => {
    fc.assert(
      fc.property(anySyntax, (syntax) => {
        const text = print(syntax);
        const again = reparse(text);
        expect(strip(again), text).toEqual(strip(syntax));
        expect(print(again)).toBe(text);
      }),
      { numRuns: runs, seed: 1 },
    );
  });

  it('puts parentheses around any expression where they are needed', () => {
    fc.assert(
      fc.property(anyExpr, (value) => {
        const span = value.span;
        const body = [{ kind: 'return', value, span } as const];
        const name = { name: 'f', span };
        const fn = {
          kind: 'fn',
          doc: undefined,
          name,
          params: [],
          result: undefined,
          body,
          short: true,
          span,
        } as const;
        const syntax: Syntax = { file: path, declarations: [fn], comments: [], lineStarts: [0], span };
        const text = print(syntax);
        expect(strip(reparse(text)), text).toEqual(strip(syntax));
      }),
      { numRuns: runs * 3, seed: 2 },
    );
  });
});
