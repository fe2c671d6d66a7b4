/** Documentation of `.nnet` files, made of their declarations and `///` comments. `docs/library.md` is the library's. */
import { parse, print } from '../grammar/index.ts';
import type { Declaration, Import, Port, Statement } from '../grammar/syntax.ts';

export type Documented = Exclude<Declaration, Import>;

/**
 * One page for several files: what each declares, in the order of the text, as the formatter writes it.
 * @param files texts by name, without the folder
 */
export function libraryPage(files: Readonly<Record<string, string>>): string {
  const sections = Object.entries(files)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => ({ name, declarations: declarationsOf(name, text) }));
  return [...intro, ...contents(sections), ...sections.flatMap(section), ''].join('\n');
}

interface Section {
  readonly name: string;
  readonly declarations: readonly Documented[];
}

const intro = [
  '<!-- Made from stdlib/*.nnet by `npm run docs`. Do not edit. -->',
  '',
  '# The library',
  '',
  'Everything here is written in `.nnet` and needs no import. Each entry shows the declaration with its ports, and what its',
  'documentation comment says. How to read and write such declarations: [language.md](language.md).',
  '',
];

/** Declarations of a file. @throws Error when it has syntax errors */
export function declarationsOf(name: string, text: string): readonly Documented[] {
  const { syntax, problems } = parse({ path: name, text });
  if (problems.length > 0) throw new Error(`${name} has syntax errors`);
  return syntax.declarations.filter((d): d is Documented => d.kind !== 'import');
}

const title = (file: string): string => {
  const plain = file.replace(/\.nnet$/, '').replaceAll(/[-_]/g, ' ');
  return plain.charAt(0).toUpperCase() + plain.slice(1);
};

function contents(sections: readonly Section[]): readonly string[] {
  const anchors = anchorsOf(sections);
  const row = ({ name, declarations }: Section): string => {
    const links = declarations.map((d) => `[\`${d.name.name}\`](#${anchors.get(d)})`);
    return `| [${title(name)}](#${anchors.get(name)}) | ${links.join(' ')} |`;
  };
  return ['| | |', '|---|---|', ...sections.map(row), ''];
}

/** GitHub makes a heading's anchor of it in lower case, and numbers those that it has already. */
function anchorsOf(sections: readonly Section[]): ReadonlyMap<string | Documented, string> {
  const seen = new Map<string, number>();
  const anchor = (heading: string): string => {
    const plain = heading.toLowerCase().replaceAll(' ', '-').replaceAll('/', '');
    const times = seen.get(plain) ?? 0;
    seen.set(plain, times + 1);
    return times === 0 ? plain : `${plain}-${times}`;
  };
  const pairs = sections.flatMap(({ name, declarations }): (readonly [string | Documented, string])[] => [
    [name, anchor(title(name))],
    ...declarations.map((d) => [d, anchor(d.name.name)] as const),
  ]);
  return new Map(pairs);
}

function section({ name, declarations }: Section): readonly string[] {
  const source = `From [stdlib/${name}](../stdlib/${name}).`;
  return [`## ${title(name)}`, '', source, '', ...declarations.flatMap(entry)];
}

function entry(d: Documented): readonly string[] {
  return [`### ${d.name.name}`, '', '```nnet', signature(d), '```', '', ...paragraphs(d.doc)];
}

/** A comment's lines as they are; an empty one separates paragraphs in both. */
const paragraphs = (doc: string | undefined): readonly string[] => (doc === undefined ? [] : [doc, '']);

/** A declaration's text as it stands in its file, with the documentation above it. */
export function sourceOf(text: string, d: Documented): string {
  const above = /(?:^\/\/\/.*\n)*$/m.exec(text.slice(0, d.span.start))?.[0] ?? '';
  return above + text.slice(d.span.start, d.span.end);
}

/** Documentation and signature, as they might stand in a file. */
export function documented(d: Documented): string {
  const comment = (d.doc ?? '').split('\n').map((line) => `/// ${line}`.trimEnd());
  return [...(d.doc === undefined ? [] : comment), signature(d)].join('\n');
}

/** The declaration without its equations: parameters, result, ports. */
export function signature(d: Documented): string {
  const shown = { ...d, doc: undefined, ...(d.kind === 'fn' && { short: false }), body: ports(d.body) };
  const span = { file: '', start: 0, end: 0 };
  const text = print({ file: '', declarations: [shown], comments: [], lineStarts: [0], span });
  return text.trimEnd().replace(/ \{\s*\}$/, '');
}

/** Ports, those under a static `if` included: which of them exist is said by its condition. */
function ports(body: readonly Statement[]): readonly Statement[] {
  return body.flatMap((s): readonly Statement[] => {
    if (s.kind === 'port') return [s satisfies Port];
    if (s.kind !== 'staticIf') return [];
    const [then, otherwise] = [ports(s.then), ports(s.else ?? [])];
    if (then.length + otherwise.length === 0) return [];
    return [{ ...s, then, else: otherwise.length > 0 ? otherwise : undefined }];
  });
}
