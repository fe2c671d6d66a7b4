/** The samples of errors: one folder a sample, `<code>-<slug>/` with `main.nnet`, other files, and what is printed. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Asked } from '../support/check.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export type { Asked };

export interface Sample {
  /** `E0301-contraction` */
  readonly folder: string;
  readonly code: string;
  /** Files by name; `main.nnet` is the one that is checked. */
  readonly files: ReadonlyMap<string, string>;
  /** From `options.json`: what the command line asks for, where the mistake is there. */
  readonly asked: Asked | undefined;
}

export function samples(): readonly Sample[] {
  return readdirSync(here('.'))
    .filter((name) => /^E\d{4}-/.test(name) && existsSync(here(`${name}/main.nnet`)))
    .sort()
    .map((folder) => {
      const names = readdirSync(here(folder)).filter((name) => name.endsWith('.nnet'));
      const read = (name: string): [string, string] => [
        name,
        readFileSync(here(`${folder}/${name}`), 'utf8'),
      ];
      // `main.nnet` first, as it is read first.
      names.sort((a, b) => Number(b === 'main.nnet') - Number(a === 'main.nnet') || a.localeCompare(b));
      const options = here(`${folder}/options.json`);
      const asked = existsSync(options) ? (JSON.parse(readFileSync(options, 'utf8')) as Asked) : undefined;
      return { folder, code: folder.slice(0, 5), files: new Map(names.map(read)), asked };
    });
}

/** Where a sample's expected rendering is kept. */
export function expectedPath(sample: Sample): string {
  return here(`${sample.folder}/expected.txt`);
}

/** Where a code is explained. */
export function pagePath(code: string): string {
  return here(`../../docs/errors/${code}.md`);
}

export function pageOf(code: string): string | undefined {
  const path = pagePath(code);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** The programs under "How to mend it". */
export function mendedPrograms(page: string): readonly string[] {
  const section = page.split(/^## How to mend it$/m)[1] ?? '';
  return [...section.matchAll(/^```nnet\n([\s\S]*?)^```$/gm)].map((m) => m[1]!);
}

const START = '<!-- sample -->';
const END = '<!-- end of sample -->';

/** What a page shows of a sample. */
export interface Shown {
  readonly title: string;
  readonly files: ReadonlyMap<string, string>;
  /** The command line after `nnetc`, where it matters. */
  readonly command?: string | undefined;
  readonly printed: string;
}

/** The page with its title from the catalogue, the files of its sample and what is printed for them. */
export function refreshPage(page: string, { title, files, command, printed }: Shown): string {
  const [before, rest] = page.split(START);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`the page lacks ${START} or ${END}`);
  const blocks = [...files].map(([name, text]) =>
    name === 'main.nnet' && files.size === 1
      ? fenced('nnet', text)
      : `\`${name}\`:\n\n${fenced('nnet', text)}`,
  );
  const typed = command === undefined ? [] : [fenced('sh', `nnetc ${command}`)];
  const body = [START, ...blocks, ...typed, fenced('text', printed), END].join('\n\n');
  return `# ${title}\n${before.slice(before.indexOf('\n') + 1)}${body}${after}`;
}

/** What somebody types who asks for this. */
export function commandLine(asked: Asked): string {
  if ('model' in asked) return `run main.nnet --model ${asked.model} --backend ${asked.target}`;
  if ('memory' in asked) return `run main.nnet ${asked.task} --memory ${asked.memory / 1e6}MB`;
  const { task, sets = {} } = asked;
  const settings = Object.entries(sets).map(([name, value]) => ` --set ${name}=${value}`);
  return `run main.nnet ${task}${settings.join('')}`;
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
}
