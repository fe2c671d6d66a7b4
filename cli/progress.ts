/**
 * Renders a run's events for people: results as lines on `out`, and on a terminal one line on `err` that is drawn
 * over and over while an epoch goes on. Without a terminal there is now and then a plain line instead.
 */
import type {
  EpochEvent,
  LoadedEvent,
  ProgressEvent,
  RunEvent,
  StartEvent,
  Tables,
  TestEvent,
  VocabularyEvent,
} from '../runtime/events.ts';
import type { Scores } from '../runtime/state.ts';
import { count, duration, score } from './numbers.ts';
import type { Terminal } from './terminal.ts';
import { hasColor, shortPath } from './terminal.ts';

/** Seconds between plain progress lines. */
const plainEvery = 10;

type Paint = (text: string) => string;

export class ProgressRenderer {
  private readonly terminal: Terminal;
  private readonly live: boolean;
  private readonly now: () => number;
  private readonly dim: Paint;
  private readonly bold: Paint;
  private drawn = false;
  private lastPlain: number;

  constructor(terminal: Terminal, now: () => number = () => performance.now()) {
    this.terminal = terminal;
    this.live = terminal.err.isTTY === true && terminal.env['TERM'] !== 'dumb';
    this.now = now;
    const color = hasColor(terminal, terminal.out);
    this.dim = color ? (text) => `\x1b[2m${text}\x1b[22m` : (text) => text;
    this.bold = color ? (text) => `\x1b[1m${text}\x1b[22m` : (text) => text;
    this.lastPlain = now();
  }

  /** How often progress events are worth their cost: a GPU waits for each. */
  get progressMs(): number {
    return this.live ? 100 : 1000;
  }

  readonly onEvent = (event: RunEvent): void => {
    switch (event.type) {
      case 'start':
        return this.line(startLine(event));
      case 'fit':
        return this.line(
          this.dim(
            `${event.data}: ${count(event.train)} samples to train on` +
              `${event.valid > 0 ? `, ${count(event.valid)} to validate` : ''}, batches of ${event.batch}`,
          ),
        );
      case 'progress':
        return this.progress(event);
      case 'epoch':
        this.line(this.epochLine(event));
        if (event.epoch === event.epochs) this.tables(event);
        return;
      case 'stopped':
        return this.line(
          event.reached === undefined
            ? `stopped after epoch ${event.epoch}: ${event.monitor} did not improve for ${epochs(event.patience)}`
            : `stopped after epoch ${event.epoch}: ${event.monitor} reached ${event.reached}`,
        );
      case 'restored':
        return this.line(
          `the weights of epoch ${event.epoch} are the best (${event.monitor} ${score(event.value)})`,
        );
      case 'test':
        this.line(this.testLine(event));
        return this.tables(event);
      case 'saved':
        if (event.what === 'model') this.line(`saved ${shortPath(this.terminal, event.path)}`);
        return;
      case 'loaded':
        return this.line(loadedLine(event, shortPath(this.terminal, event.path)));
      case 'vocabulary':
        return this.line(this.dim(vocabularyLine(event)));
      case 'warning':
        return this.note(`warning[${event.code}]: ${event.message}`);
      case 'end':
        return this.clear();
    }
  };

  /** A line of the results. */
  line(text: string): void {
    this.clear();
    this.terminal.out.write(`${text}\n`);
  }

  /** A line beside the results. */
  note(text: string): void {
    this.clear();
    this.terminal.err.write(`${text}\n`);
  }

  /** Takes the progress line away. */
  clear(): void {
    if (!this.drawn) return;
    this.terminal.err.write('\r\x1b[K');
    this.drawn = false;
  }

  private progress(event: ProgressEvent): void {
    const done = Math.round((100 * event.samples) / Math.max(1, event.of));
    const text = [
      label(event),
      ...(this.live ? [bar(event.samples / Math.max(1, event.of), 20)] : []),
      `${done} %`,
      scoresText(event.scores),
      `${count(event.samplesPerSecond)} samples/s`,
      `${duration(event.secondsLeft)} left`,
    ].join('  ');
    if (this.live) {
      const width = Math.max(20, (this.terminal.err.columns ?? 80) - 1);
      this.terminal.err.write(`\r${text.slice(0, width)}\x1b[K`);
      this.drawn = true;
    } else if (this.now() - this.lastPlain >= plainEvery * 1000) {
      this.terminal.err.write(`${text}\n`);
      this.lastPlain = this.now();
    }
  }

  private epochLine(event: EpochEvent): string {
    this.lastPlain = this.now();
    const parts = [
      this.bold(`epoch ${event.epoch}/${event.epochs}`),
      scoresText(event.train),
      ...(event.valid ? [scoresText(event.valid, 'valid ')] : []),
      this.dim(`${duration(event.seconds)}  ${count(event.samplesPerSecond)} samples/s`),
      ...(event.best === true ? ['best'] : []),
    ];
    return parts.join('  ');
  }

  private tables({ tables = {} }: Tables): void {
    for (const [name, { shape, values }] of Object.entries(tables))
      for (const text of tableLines(name, shape, values)) this.line(text);
  }

  private testLine(event: TestEvent): string {
    return [
      this.bold(event.data),
      scoresText(event.scores),
      this.dim(`${count(event.samples)} samples  ${duration(event.seconds)}`),
    ].join('  ');
  }
}

function startLine(event: StartEvent): string {
  const resumed = event.resumedAt === undefined ? '' : `, resumed at step ${count(event.resumedAt)}`;
  return `${event.task} on ${event.device}, ${count(event.parameters)} parameters, seed ${event.seed}${resumed}`;
}

function loadedLine(event: LoadedEvent, file: string): string {
  const { model, matched, kept, missing, differing, unused } = event;
  const some = (names: readonly string[]): string =>
    names.length <= 4 ? names.join(', ') : `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`;
  const parts = [
    `${model}: ${matched.length} of ${[matched, kept, missing, differing].flat().length} tensors from ${file} (${some(matched)})`,
    ...(missing.length > 0 ? [`missing there: ${some(missing)}`] : []),
    ...(differing.length > 0 ? [`of another shape: ${some(differing)}`] : []),
    ...(kept.length > 0 ? [`left as they were: ${some(kept)}`] : []),
    ...(unused.length > 0 ? [`not used: ${some(unused)}`] : []),
  ];
  return parts.join('; ');
}

/** The symbols in one string, as it would be written in a program. */
function vocabularyLine({ data, unit, size, symbols = [] }: VocabularyEvent): string {
  const text = JSON.stringify(symbols.join(''));
  const shown = text.length <= 160 ? text : `${text.slice(0, 156)}…"`;
  return unit === 'byte'
    ? `${data}: its tokens are bytes`
    : `${data}: a vocabulary of ${count(size)} characters, ${shown}`;
}

/** The numbers in columns under the name: rows and columns of a matrix are numbered, as classes are. */
function tableLines(name: string, shape: readonly number[], values: readonly number[]): string[] {
  const columns = shape.at(-1) ?? 1;
  const cells = values.map((v) => (Number.isInteger(v) ? count(v) : score(v)));
  const width = Math.max(...cells.map((c) => c.length), String(columns - 1).length);
  const row = (head: string, texts: readonly string[]): string =>
    `  ${head.padStart(4)}${texts.map((t) => `  ${t.padStart(width)}`).join('')}`;
  const lines = [
    name,
    row(
      '',
      Array.from({ length: columns }, (_, j) => String(j)),
    ),
  ];
  for (let i = 0; i < cells.length; i += columns)
    lines.push(row(shape.length > 1 ? String(i / columns) : '', cells.slice(i, i + columns)));
  return lines;
}

const label = (event: ProgressEvent): string =>
  event.phase === 'test'
    ? 'test'
    : `${event.phase === 'train' ? 'epoch' : 'validate'} ${event.epoch}/${event.epochs}`;

const epochs = (n: number): string => (n === 1 ? 'an epoch' : `${n} epochs`);

const scoresText = (scores: Scores, prefix = ''): string =>
  Object.entries(scores)
    .map(([name, value]) => `${prefix}${name} ${score(value)}`)
    .join('  ');

function bar(part: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * width);
  return `[${'='.repeat(full)}${' '.repeat(width - full)}]`;
}
