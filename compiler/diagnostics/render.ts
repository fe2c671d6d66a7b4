/** Problems as text for people: a headline, the labelled source lines, a way to mend it, and a count. */
import type { Label, Problem } from '../../grammar/problem.ts';
import { lineStarts, positionAt, type SourceFile } from '../../grammar/span.ts';
import { type Catalogue, catalogue, helpOf, messageOf } from './catalogues.ts';
import { visible } from './cells.ts';
import { type Mark, marksOf } from './marks.ts';
import { ansi, type Paint, type Palette, plain } from './palette.ts';
import { drawSnippet, gutterWidth } from './snippet.ts';

export interface RenderOptions {
  /** `true` for ANSI colours, or the caller's own. */
  readonly color: boolean | Palette;
  /** Columns of the terminal; longer lines of source are cut around what is marked. Default 120. */
  readonly width?: number;
  /** Where codes are explained. Default: those of the compiler; a caller with its own problems hands in all. */
  readonly catalogue?: Catalogue;
}

/**
 * All problems, in the order given, with a summary line; ends with a newline unless there is none.
 * A label in a file that `sources` lacks is cited without its lines.
 */
export function renderProblems(
  problems: readonly Problem[],
  sources: ReadonlyMap<string, SourceFile>,
  options: RenderOptions,
): string {
  if (problems.length === 0) return '';
  const rendered = problems.map((problem) => renderProblem(problem, sources, options));
  return `${rendered.join('\n')}\n${summaryOf(problems)}\n`;
}

/** One problem without the summary; ends with a newline. */
export function renderProblem(
  problem: Problem,
  sources: ReadonlyMap<string, SourceFile>,
  options: RenderOptions,
): string {
  const rows = options.catalogue ?? catalogue;
  const help = helpOf(problem, rows);
  const told = { code: problem.code, severity: problem.severity, message: messageOf(problem, rows), help };
  return draw(told, byFile(problem, sources), options);
}

/** What went wrong, in words already: an error of the runtime, say, which has no place in a source. */
export interface Told {
  readonly code: string;
  readonly severity: Problem['severity'];
  readonly message: string;
  /** Undefined or empty: there is none. */
  readonly help?: string | undefined;
}

/** A headline and a way to mend it, in the same style; ends with a newline. */
export function renderTold(told: Told, options: Pick<RenderOptions, 'color'>): string {
  return draw(told, [], options);
}

function draw(told: Told, files: readonly LabelledFile[], options: RenderOptions): string {
  const palette = typeof options.color === 'object' ? options.color : options.color ? ansi : plain;
  const severe = told.severity === 'error' ? palette.error : palette.warning;
  const gutter = Math.max(1, ...files.map((f) => gutterWidth(f.marks)));
  const headline = `: ${visible(told.message.replace(/\s*\n\s*/g, ' '))}`;
  const out = [severe(`${told.severity}[${told.code}]`) + palette.headline(headline)];
  const style = { palette, severe, gutter, width: options.width ?? 120 };
  files.forEach((file, i) => out.push(...drawFile(file, i, style)));
  if (told.help) out.push(...helpLines(told.help, gutter, palette));
  return `${out.join('\n')}\n`;
}

/** `2 errors in classifier.nnet`, `1 error and 2 warnings in 3 files`. */
export function summaryOf(problems: readonly Problem[]): string {
  const count = (severity: Problem['severity']): string[] => {
    const n = problems.filter((p) => p.severity === severity).length;
    return n === 0 ? [] : [`${String(n)} ${severity}${n === 1 ? '' : 's'}`];
  };
  const files = new Set(problems.flatMap((p) => mainLabel(p)?.span.file ?? []));
  const [file] = files;
  const where =
    file === undefined ? '' : files.size === 1 ? ` in ${visible(file)}` : ` in ${String(files.size)} files`;
  return [...count('error'), ...count('warning')].join(' and ') + where;
}

/** The label at which the mistake was made. */
export function mainLabel(problem: Problem): Label | undefined {
  return problem.labels.find((label) => label.primary) ?? problem.labels[0];
}

interface LabelledFile {
  /** `classifier.nnet:12:16` */
  readonly title: string;
  readonly source: SourceFile | undefined;
  readonly marks: readonly Mark[];
}

/** The files a problem speaks of, the one with the mistake first. */
function byFile(problem: Problem, sources: ReadonlyMap<string, SourceFile>): readonly LabelledFile[] {
  const main = mainLabel(problem);
  const labels = main ? [main, ...problem.labels.filter((label) => label !== main)] : [];
  const groups = new Map<string, Label[]>();
  for (const label of labels) {
    const group = groups.get(label.span.file);
    if (group) group.push(label);
    else groups.set(label.span.file, [label]);
  }
  return [...groups].map(([file, group]) => {
    const source = sources.get(file);
    if (!source) return { title: visible(file), source, marks: [] };
    const first = group.find((label) => label.primary) ?? group[0]!;
    const { line, column } = positionAt(
      lineStarts(source.text),
      Math.min(first.span.start, source.text.length),
    );
    return {
      title: visible(`${file}:${String(line)}:${String(column)}`),
      source,
      marks: marksOf(source, group),
    };
  });
}

interface FileStyle {
  readonly palette: Palette;
  readonly severe: Paint;
  readonly gutter: number;
  readonly width: number;
}

function drawFile(
  file: LabelledFile,
  index: number,
  { palette, severe, gutter, width }: FileStyle,
): string[] {
  const corner = index === 0 ? '┌─' : '├─';
  const title = `${' '.repeat(gutter + 2)}${palette.frame(corner)} ${file.title}`;
  if (!file.source) return [title];
  const style = { frame: palette.frame, primary: severe, secondary: palette.frame, width, gutter };
  return [title, ...drawSnippet(file.source, file.marks, style)];
}

function helpLines(help: string, gutter: number, palette: Palette): string[] {
  const indent = ' '.repeat(gutter + 2);
  return help
    .split('\n')
    .map((line, i) =>
      i === 0
        ? `${indent}${palette.frame('=')} ${palette.help('help:')} ${visible(line)}`
        : `${indent}        ${visible(line)}`.trimEnd(),
    );
}
