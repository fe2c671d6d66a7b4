/** Data sources as the command line's host describes them: tables work, and the argument that is to blame is pointed at. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { cli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-data-'));
afterAll(() => rmSync(folder, { recursive: true }));
const rows = Array.from({ length: 12 }, (_, i) => `${i},${12 - i},${i < 6 ? 'low' : 'high'}\n`);
writeFileSync(join(folder, 'points.csv'), `a,b,side\n${rows.join('')}`);

function program(source: string): string {
  const text = `model M {
  input x: f32[batch, 2]
  output logits: f32[batch, 2]
  logits = x |> Dense(2)
}
task train {
  net = M()
  points = ${source}
  fit(epochs: 2, batch: 4, valid: 0.25) on points {
    minimize cross_entropy(net(x), side) with Sgd(lr: 0.01)
  }
}
`;
  writeFileSync(join(folder, 'points.nnet'), text);
  return 'points.nnet';
}

describe('a text', () => {
  const book = 'to be, or not to be: that is the question.\n'.repeat(6);
  writeFileSync(join(folder, 'book.txt'), book);
  writeFileSync(join(folder, 'other.txt'), 'not that question, to be\n'.repeat(3));
  const text = (source: string): string => `model M(vocabulary: int) {
  input token: i32[batch, time]
  output logits: f32[batch, time, vocabulary]
  logits = token |> Embedding(vocabulary, 8) |> Dense(vocabulary)
}
task train {
  book = ${source}
  test = text("other.txt", length: 8, vocabulary: book)
  net = M(book.vocabulary)
  fit(epochs: 3, batch: 4, seed: 1) on book {
    minimize cross_entropy(net(token), next) with Adam(lr: 0.05)
  }
  evaluate on test
}
`;

  it('is trained on, and its vocabulary is told and saved', async () => {
    writeFileSync(join(folder, 'book.nnet'), text('text("book.txt", length: 8, stride: 4)'));
    expect(await cli(folder, 'check', 'book.nnet')).toMatchObject({ code: 0, err: '' });
    const argv = ['run', 'book.nnet', '--backend', 'wasm', '--threads', '1', '--out', 'runs/book'];
    const { code, out, err } = await cli(folder, ...argv, '--json');
    expect(err).toBe('');
    expect(code).toBe(0);
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const symbols = [...new Set(book)].sort();
    expect(events.find((e) => e['type'] === 'vocabulary' && e['data'] === 'book')).toMatchObject({ symbols });
    expect(events.find((e) => e['type'] === 'fit')).toMatchObject({
      train: Math.floor((book.length - 9) / 4) + 1,
    });
    const losses = events.flatMap((e) =>
      e['type'] === 'epoch' ? [(e['train'] as { loss: number }).loss] : [],
    );
    expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
    const saved = JSON.parse(readFileSync(join(folder, 'runs/book/vocabulary.json'), 'utf8')) as unknown;
    // The other text has fewer characters, and the numbers of the first.
    expect(saved).toMatchObject({ book: { size: symbols.length, symbols }, test: { symbols } });
    const human = await cli(folder, ...argv.slice(0, -1), 'runs/again');
    expect(human.out).toContain(
      `book: a vocabulary of ${symbols.length} characters, ${JSON.stringify(symbols.join(''))}`,
    );
  });

  it('in bytes has 256', async () => {
    writeFileSync(
      join(folder, 'bytes.nnet'),
      text('text("book.txt", length: 8, unit: "byte")').replace(', vocabulary: book', ', unit: "byte"'),
    );
    const { code, out } = await cli(folder, 'run', 'bytes.nnet', '--backend', 'wasm', '--epochs', '1');
    expect(code).toBe(0);
    expect(out).toContain('book: its tokens are bytes');
  });

  it('is what examples/gpt.nnet learns to write', async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const argv = [
      'run',
      'examples/gpt.nnet',
      'write',
      '--backend',
      'wasm',
      '--out',
      join(folder, 'gpt'),
      '--json',
    ];
    const { code, out } = await cli(root, ...argv);
    expect(code).toBe(0);
    const events = out
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l) as { type: string; valid?: { loss: number } });
    const size = JSON.parse(readFileSync(join(folder, 'gpt/vocabulary.json'), 'utf8')) as {
      book: { size: number };
    };
    // Better than a guess among all characters.
    expect(events.find((e) => e.type === 'epoch')!.valid!.loss).toBeLessThan(0.9 * Math.log(size.book.size));
  });

  it('shows what is wrong with it', async () => {
    writeFileSync(join(folder, 'short.nnet'), text('text("book.txt", length: 4000)'));
    const { code, err } = await cli(folder, 'check', 'short.nnet');
    expect(code).toBe(1);
    expect(err).toContain('error[E0717]');
    expect(err).toContain('length: 257');
  });
});

describe('a table', () => {
  it('is checked and trained on', async () => {
    const file = program('csv(file: "points.csv", x: ("a", "b"), side: "side: low|high")');
    expect(await cli(folder, 'check', file)).toMatchObject({ code: 0, err: '' });
    const { code, out } = await cli(folder, 'run', file, '--backend', 'reference', '--json');
    expect(code).toBe(0);
    expect(out).toMatch(/"type":"fit".*"train":9,"valid":3/);
    expect(out).toMatch(/"type":"end","status":"done"/);
  });

  it('is measured: a confusion matrix is printed, row by row', async () => {
    const file = program('csv("points.csv", x: ("a", "b"), side: "side: low|high")');
    const measured = readFileSync(join(folder, file), 'utf8').replace(
      '  fit(epochs: 2, batch: 4, valid: 0.25) on points {',
      '  evaluate(batch: 5) on points {\n    metric confusion = confusion_matrix(x, side)\n  }\n  fit(epochs: 1) on points {',
    );
    writeFileSync(join(folder, 'measured.nnet'), measured);
    const { code, out } = await cli(folder, 'run', 'measured.nnet', '--backend', 'wasm', '--threads', '1');
    expect(code).toBe(0);
    // `a` is the greater of the two from the seventh row on; at 6 they are equal, and the first is taken.
    expect(out).toContain('confusion\n        0  1\n     0  0  6\n     1  6  0\n');
  });

  it.each([
    ['csv(file: "points.csv", x: ("a", "c"), side: "side")', 'E0714', '("a", "c")'],
    ['csv(file: "points.csv", x: ("a", "side"), side: "side")', 'E0715', '("a", "side")'],
    ['csv(file: "nowhere.csv", x: ("a", "b"), side: "side")', 'E0701', '"nowhere.csv"'],
    ['csv(x: ("a", "b"), side: "side")', 'E0713', '("a", "b")'],
  ])('%s is %s', async (source, code, blamed) => {
    const { code: exit, err } = await cli(folder, 'check', program(source));
    expect(exit).toBe(1);
    expect(err).toContain(`error[${code}]`);
    const marked = /^ 8 │ (.*)\n.*│ (.*)$/m.exec(err);
    const start = marked?.[2]?.indexOf('^') ?? -1;
    expect(marked?.[1]?.slice(start, (marked[2]?.lastIndexOf('^') ?? 0) + 1)).toBe(blamed);
  });
});
