import { describe, expect, it } from 'vitest';
import {
  type Catalogue,
  type Palette,
  problemToJson,
  renderProblems,
} from '../../compiler/diagnostics/index.ts';
import type { Label, Problem } from '../../grammar/problem.ts';
import type { SourceFile } from '../../grammar/span.ts';

/** The rendering itself is under test here, so the problems carry their prose. */
const catalogue: Catalogue = {
  E9001: {
    title: 'for tests',
    message: (f: { message: string }) => f.message,
    help: (f: { help?: string }) => f.help,
  },
};

/**
 * Labels are written into the text: `«0:text»` … `«/0»` around what label 0 marks; `«!1:text»` is primary. The
 * marks are taken out before the text is used, so what is shown is what stands between them.
 */
function problem(
  files: Record<string, string>,
  {
    message = 'something is wrong',
    help,
    severity = 'error',
  }: { message?: string; help?: string; severity?: Problem['severity'] } = {},
): { problem: Problem; sources: Map<string, SourceFile> } {
  const sources = new Map<string, SourceFile>();
  const labels = new Map<number, Label>();
  for (const [file, marked] of Object.entries(files)) {
    let text = '';
    let at = 0;
    for (const m of marked.matchAll(/«(\/)?(!)?(\d+)(?::([^»]*))?»/g)) {
      text += marked.slice(at, m.index);
      at = m.index + m[0].length;
      const id = Number(m[3]);
      const open = labels.get(id);
      if (!m[1])
        labels.set(id, {
          span: { file, start: text.length, end: text.length },
          text: m[4] ?? '',
          primary: m[2] === '!',
        });
      else if (open) labels.set(id, { ...open, span: { ...open.span, end: text.length } });
    }
    sources.set(file, { path: file, text: text + marked.slice(at) });
  }
  const inOrder = [...labels].sort(([a], [b]) => a - b).map(([, label]) => label);
  return { problem: { code: 'E9001', severity, fields: { message, help }, labels: inOrder }, sources };
}

function render(
  files: Record<string, string>,
  options?: Parameters<typeof problem>[1],
  width?: number,
): string {
  const p = problem(files, options);
  return renderProblems([p.problem], p.sources, {
    color: false,
    catalogue,
    ...(width === undefined ? {} : { width }),
  });
}

const golden = (name: string) => `../golden/errors/${name}.txt`;

describe('rendering', () => {
  it('shows every place with its own words', async () => {
    const text = [
      'model Classifier() {',
      '  input features: f32[batch, «1:256, declared here»256«/1»]',
      '  output y: f32[batch, 120]',
      '',
      '  param weight: f32[«2:400, declared here»400«/2», 120]',
      '',
      '',
      '  y = features «!0:256 is not 400»@«/0» weight',
      '}',
    ].join('\n');
    await expect(
      render(
        { 'classifier.nnet': text },
        {
          message: 'the operands of `@` disagree on the contracted dimension',
          help: 'let the weight follow its input: f32[n, 120]',
        },
      ),
    ).toMatchFileSnapshot(golden('several-lines'));
  });

  it('stacks labels of one line', async () => {
    await expect(
      render({
        'a.nnet': 'y = «1:f32[batch, 256]»features«/1» «!0:256 is not 400»@«/0» «2:f32[400, 120]»weight«/2»',
      }),
    ).toMatchFileSnapshot(golden('one-line-three-labels'));
  });

  it('hangs the texts of labels that overlap, and draws the mistake over its surroundings', async () => {
    await expect(
      render({ 'a.nnet': 'y = «1:in this product»features «!0:256 is not 400»@«/0» weight«/1»' }),
    ).toMatchFileSnapshot(golden('nested'));
  });

  it('shows labels of one place under each other', async () => {
    await expect(render({ 'a.nnet': '«!0:first»«1:second»y«/1»«/0» = x «2:»+«/2» 1' })).toMatchFileSnapshot(
      golden('same-place'),
    );
  });

  it('shows all lines of a short span and folds a long one', async () => {
    const short = ['«!0:this call»Conv2d(', '  6,', '  kernel: 5', ')«/0»'].join('\n');
    const long = [
      `y = «!0:this call»Conv2d(`,
      ...Array.from({ length: 20 }, (_, i) => `  ${i},`),
      ')«/0»',
      '|> relu',
    ].join('\n');
    await expect(render({ 'a.nnet': short })).toMatchFileSnapshot(golden('multiline-short'));
    await expect(render({ 'a.nnet': long })).toMatchFileSnapshot(golden('multiline-long'));
  });

  it('nests and crosses spans of several lines, with labels inside them', async () => {
    const text = [
      '«1:the model»model M() {',
      '  y = «2:the whole equation»x',
      '    |> «!0:not a layer»Desne«/0»(10)',
      '    |> relu«/2»',
      '}«/1»',
    ].join('\n');
    await expect(render({ 'a.nnet': text })).toMatchFileSnapshot(golden('multiline-nested'));
  });

  it('shows the file of the mistake first, then the others', async () => {
    await expect(
      render({
        'layers.nnet': 'layer Head(classes: int) {\n  «1:`classes` has no default»classes«/1»\n}\n',
        'main.nnet':
          'import { Head } from "./layers.nnet"\n\nmodel M() { y = x |> «!0:`classes` is missing»Head()«/0» }\n',
      }),
    ).toMatchFileSnapshot(golden('two-files'));
  });

  it('keeps marks under tabs, wide characters, combining characters and emoji', async () => {
    const text = [
      '\tx =\t«!0:a tab before»y«/0»',
      '"模型" + «1:after two wide ones»z«/1»',
      '"👩‍👩‍👧 🇩🇪" + «2:after two emoji»z«/2»',
      '"e\u0301a\u0308" + «3:after combining marks»z«/3»',
      '"«4:itself wide»層«/4»"',
    ].join('\n');
    await expect(render({ 'wide.nnet': text })).toMatchFileSnapshot(golden('wide'));
  });

  it('cuts long lines around what is marked', async () => {
    const many = (n: number, name: string) => Array.from({ length: n }, (_, i) => `${name}${i}`).join(' + ');
    const text = [
      `«1:the result»y«/1» = ${many(30, 'a')}`,
      `z = ${many(30, 'b')} + «!0:unknown»wrong«/0» + ${many(30, 'c')}`,
      `w = ${many(30, 'd')} + «2:at the end»last«/2»`,
    ].join('\n');
    await expect(render({ 'long.nnet': text }, {}, 60)).toMatchFileSnapshot(golden('long-lines'));
  });

  it('points at the end of a line, of a file and of nothing', async () => {
    await expect(
      render({ 'a.nnet': 'model M() {\n  y = «!0:an expression was expected»«/0»\n}' }),
    ).toMatchFileSnapshot(golden('end-of-line'));
    await expect(render({ 'a.nnet': 'model M() {\n«!0:the file ends here»«/0»' })).toMatchFileSnapshot(
      golden('end-of-file'),
    );
    await expect(render({ 'a.nnet': '«!0:the file is empty»«/0»' })).toMatchFileSnapshot(
      golden('empty-file'),
    );
  });

  it('sends nothing to the terminal that could steer it or reorder what is read', () => {
    const out = render(
      { 'a\u001b[2J.nnet': 'x = "\u001b[31m\u202e" «!0:\u001b[1mhere\u0007»+«/0»' },
      { message: 'bad \u001b]0;title\u0007', help: 'see \u009b2J' },
    );

    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(out).toContain('␛[31m');
  });

  it('shows `help` of several lines under each other', () => {
    expect(render({ 'a.nnet': '«!0:here»x«/0»' }, { help: 'one\ntwo' })).toContain(
      '\n   = help: one\n           two\n',
    );
  });

  it('ends lines at \\r\\n and \\r too', () => {
    const out = render({ 'a.nnet': 'a\r\nb\r«!0:here»c«/0»\n' });
    expect(out).toContain('a.nnet:3:1\n 3 │ c\n');
  });

  it('cites a file whose text is not known, and problems of no file at all', () => {
    const { problem: p } = problem({ 'a.nnet': '«!0:here»x«/0»' });
    expect(renderProblems([p], new Map(), { color: false, catalogue })).toBe(
      'error[E9001]: something is wrong\n   ┌─ a.nnet\n\n1 error in a.nnet\n',
    );
    expect(renderProblems([{ ...p, labels: [] }], new Map(), { color: false, catalogue })).toBe(
      'error[E9001]: something is wrong\n\n1 error\n',
    );
    expect(renderProblems([], new Map(), { color: false, catalogue })).toBe('');
  });

  it('counts errors, warnings and files', () => {
    const a = problem({ 'a.nnet': '«!0:here»x«/0»' }).problem;
    const b = problem({ 'b.nnet': '«!0:here»x«/0»' }, { severity: 'warning' }).problem;
    const last = (problems: Problem[]) =>
      renderProblems(problems, new Map(), { color: false, catalogue }).trimEnd().split('\n').at(-1);
    expect(last([a, a])).toBe('2 errors in a.nnet');
    expect(last([b])).toBe('1 warning in b.nnet');
    expect(last([a, b, b])).toBe('1 error and 2 warnings in 2 files');
  });

  it('colours by the role of a place, with the caller’s colours when given', () => {
    const { problem: p, sources } = problem(
      { 'a.nnet': '«!0:no»x«/0» «1:because»y«/1»' },
      { help: 'mend it' },
    );
    const tag = (name: string) => (text: string) => `<${name}>${text}</${name}>`;
    const palette: Palette = {
      error: tag('error'),
      warning: tag('warning'),
      headline: tag('b'),
      frame: tag('frame'),
      help: tag('help'),
    };
    const out = renderProblems([p], sources, { color: palette, catalogue });
    expect(out).toContain('<error>error[E9001]</error><b>: something is wrong</b>');
    expect(out).toContain('<frame>   │</frame> <error>^</error> <frame>-</frame> <frame>because</frame>');
    expect(out).toContain('<error>no</error>');
    expect(out).toContain('<frame>=</frame> <help>help:</help> mend it');

    const ansi = renderProblems([p], sources, { color: true, catalogue });

    const stripped = ansi.replace(/\u001b\[[\d;]*m/g, '');
    expect(ansi).not.toBe(stripped);
    expect(stripped).toBe(renderProblems([p], sources, { color: false, catalogue }));
  });
});

describe('json', () => {
  it('gives code, prose, fields and places with line, column and offset', () => {
    const { problem: p, sources } = problem({ 'a.nnet': 'x\n  «!0:no»yy«/0»' }, { help: 'mend it' });
    expect(problemToJson(p, sources, catalogue)).toEqual({
      code: 'E9001',
      severity: 'error',
      message: 'something is wrong',
      help: 'mend it',
      fields: { message: 'something is wrong', help: 'mend it' },
      labels: [
        {
          file: 'a.nnet',
          start: { line: 2, column: 3, offset: 4 },
          end: { line: 2, column: 5, offset: 6 },
          text: 'no',
          primary: true,
        },
      ],
    });
  });
});
