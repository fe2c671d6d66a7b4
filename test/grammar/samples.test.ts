import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createGrammar, parse } from '../../grammar/index.ts';

describe('the grammar', () => {
  it('passes the validations of Chevrotain', () => {
    expect(() => createGrammar(true)).not.toThrow();
  });

  it('parses every sample of the design', () => {
    const path = new URL('samples/design.nnet', import.meta.url);
    const { syntax, problems } = parse({ path: 'design.nnet', text: readFileSync(path, 'utf8') });
    expect(problems).toEqual([]);
    expect(syntax.declarations.map((d) => d.kind)).toEqual([
      ...['model', 'layer', 'layer', 'fn', 'layer', 'layer', 'optimizer', 'task', 'task'],
    ]);
  });
});
