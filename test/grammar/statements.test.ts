import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/index.ts';
import type { Declaration } from '../../grammar/syntax.ts';
import { show, showBody, showType } from './show.ts';

function declarations(text: string): readonly Declaration[] {
  const { syntax, problems } = parse({ path: 'test.nnet', text });
  expect(problems).toEqual([]);
  return syntax.declarations;
}

function body(text: string, kind = 'layer'): readonly string[] {
  const [only] = declarations(`${kind} x() {\n${text}\n}`);
  return only && 'body' in only ? showBody(only.body) : [];
}

describe('declarations', () => {
  it('imports names, with other names', () => {
    const [found] = declarations('import { A, b as C, } from "./a.nnet"\nimport {} from "b"');
    expect(found).toMatchObject({ kind: 'import', from: { value: './a.nnet' } });
    expect(found?.kind === 'import' && found.names.map((n) => [n.name.name, n.alias.name])).toEqual([
      ['A', 'A'],
      ['b', 'C'],
    ]);
  });

  it('knows models, layers, optimizers, tasks and functions', () => {
    const all = declarations(
      'model A {} layer B() {} optimizer C(lr = 1) {} task d {} fn e(x: f32[n]) -> f32[n] { return x } fn g(y) = y fn h() -> int = 1',
    );
    expect(all.map((d) => d.kind)).toEqual(['model', 'layer', 'optimizer', 'task', 'fn', 'fn', 'fn']);
    const [e, g, h] = all.slice(4);
    expect(e).toMatchObject({ short: false, result: { kind: 'tensor' } });
    expect(g).toMatchObject({ short: true, result: undefined, body: [{ kind: 'return' }] });
    expect(h).toMatchObject({ short: true, result: { kind: 'named' } });
  });

  it('knows types', () => {
    const text =
      'layer A(a: int = 1, b: f32[...b, 2*d], c: [int], d: (int, int), e: int | (int,) | "same", f: (int | bool), g: fn, h: f32[], i = 3) {}';
    const [layer] = declarations(text);
    const params = layer && 'params' in layer ? layer.params : [];
    expect(params.map((p) => (p.type ? showType(p.type) : '-'))).toEqual([
      ...[
        'int',
        'f32[...b, (2 * d)]',
        '[int]',
        'tuple(int, int)',
        '(int | tuple(int) | "same")',
        '(int | bool)',
        'fn',
        'f32[]',
        '-',
      ],
    ]);
    expect(params.map((p) => p.default && show(p.default)).filter(Boolean)).toEqual(['1', '3']);
  });

  it('attaches documentation to what follows it', () => {
    const [layer] = declarations(
      '/// One\n///\n///   two\nlayer A(\n  /// how many\n  n: int,\n) {\n  /// the input\n  input x\n  /// nobody takes this\n  y = 1\n}',
    );
    expect(layer).toMatchObject({
      doc: 'One\n\n  two',
      params: [{ doc: 'how many' }],
      body: [{ doc: 'the input' }, { kind: 'equation' }],
    });
  });
});

describe('statements', () => {
  it("begin with a keyword, `name =`, `name' =` or `name[…] =`, whatever the lines are", () => {
    expect(
      body("a = 1 b' = 2 c[i] = x[i] d'[...b, :] = e state f = zeros; ; g = a\n(b)\n[c] h = max(a, b) i = 3"),
    ).toEqual([
      'a = 1',
      "b' = 2",
      'c[i] = x[i]',
      "d'[...b, <::>] = e",
      'state f = zeros',
      'g = a(b)[c]',
      'h = max(a, b)',
      'i = 3',
    ]);
  });

  it('declare ports', () => {
    const text = 'input a, b\ninput x: f32[n]\noutput y: f32[n]\nparam w: f32[n] = zeros when c\nstate s = 0';
    expect(body(text)).toEqual([
      ...[
        'input a',
        'input b',
        'input x: f32[n]',
        'output y: f32[n]',
        'param w: f32[n] = zeros when c',
        'state s = 0',
      ],
    ]);
  });

  it('are conditional, repeated and scanned', () => {
    const text = `
      if a { x = 1 } else if b { x = 2 } else { x = 3 }
      y = if a then b else c when d
      repeat 3 { x = 1 } repeat i in [1, 2] { x = i }
      scan t in time { h' = h } scan t in n + 1 reversed { }`;
    expect(body(text)).toEqual([
      ...['if a with else', '  x = 1', '  if b with else', '    x = 2', '    x = 3'],
      ...['y = (if a b c) when d', 'repeat 3', '  x = 1', 'repeat i in [1, 2]', '  x = i'],
      ...['scan t in time', "  h' = h", 'scan t in (n + 1) reversed'],
    ]);
  });

  it('train and evaluate', () => {
    const text = `
      fit(epochs: 10) on data {
        minimize max(a) over net.a, net.b with Adam(lr: 1) every 2
        minimize loss with Sgd()
        metric m = max(a, b)
        stop(valid.loss, patience: 3)
        x = max(a, b) save(net) log.write(x)
      }
      fit on data {}
      evaluate on test
      evaluate(batch: 256) on test { metric a = b }
      save(net, "x")`;
    expect(body(text, 'task')).toEqual([
      'fit(epochs: 10) on data',
      '  minimize max(a) over net.a, net.b with Adam(lr: 1) every 2',
      '  minimize loss with Sgd()',
      '  metric m = max(a, b)',
      '  stop(valid.loss, patience: 3)',
      '  x = {max a, b: save(net)}',
      '  log.write(x)',
      'fit() on data',
      'evaluate() on test',
      'evaluate(batch: 256) on test',
      '  metric a = b',
      'save(net, "x")',
    ]);
  });

  it('in a task, an action on the next line is not the body of a reduction', () => {
    expect(body('x = max(a, b)\nsave(net)', 'task')).toEqual(['x = max(a, b)', 'save(net)']);
    expect(body('x = max(a, b)\nsave(net)')).toEqual(['x = {max a, b: save(net)}']);
  });

  it('may use most keywords as names', () => {
    const text =
      'state = 1\ninput input: f32[n]\nmetric[i] = state[i]\nlayer = scan\nx = input\nscan model in task { task = model }';
    expect(body(text)).toEqual([
      ...['state = 1', 'input input: f32[n]', 'metric[i] = state[i]', 'layer = scan', 'x = input'],
      ...['scan model in task', '  task = model'],
    ]);
  });

  it('have spans', () => {
    const text = 'layer A {\n  y[i] = (a + b) * c when d\n}';
    const [layer] = declarations(text);
    const [y] = layer?.kind === 'layer' ? layer.body : [];
    const cut = (span: { start: number; end: number } | undefined): string =>
      text.slice(span?.start, span?.end);
    expect(cut(layer?.span)).toBe(text);
    expect(cut(y?.span)).toBe('y[i] = (a + b) * c when d');
    const product = y?.kind === 'equation' && y.value.kind === 'binary' ? y.value : undefined;
    expect(cut(product?.span)).toBe('(a + b) * c');
    expect(cut(product?.opSpan)).toBe('*');
    expect(cut(product?.left.span)).toBe('a + b');
  });
});
