/**
 * The library, read on demand: a program uses a few of its declarations, and parsing all of them at every start
 * would cost more than everything else in the front end.
 */
import { parse } from '../../grammar/index.ts';
import type { SourceFile } from '../../grammar/span.ts';
import type { Declaration, Import } from '../../grammar/syntax.ts';
import { stdlib } from '../stdlib.generated.ts';
import { builtinScope } from './builtins.ts';
import { libraryPrefix } from './reporter.ts';
import type { Value } from './values.ts';
import { Scope } from './values.ts';

export interface Library {
  readonly scope: Scope;
  readonly sources: ReadonlyMap<string, SourceFile>;
}

/** Where a declaration stands in its file: from its documentation to the next declaration's. */
interface Place {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** Of the name itself. */
  readonly at: number;
}

/** The library embedded in the package, or these files. */
export function loadLibrary(files: Readonly<Record<string, string>> = stdlib): Library {
  const scope = new Scope(builtinScope());
  const sources = new Map<string, SourceFile>();
  for (const [file, text] of Object.entries(files)) {
    const source = { path: `${libraryPrefix}${file}`, text };
    sources.set(source.path, source);
    for (const place of placesIn(text)) {
      const span = { file: source.path, start: place.at, end: place.at + place.name.length };
      scope.defineLazily(
        place.name,
        () => valueOf(declarationAt(source, place), scope),
        span,
        'a declaration of the library',
      );
    }
  }
  return { scope, sources };
}

/** What the name of a declaration stands for. */
export function valueOf(d: Exclude<Declaration, Import>, home: Scope): Value {
  return d.kind === 'fn' ? { kind: 'fn', decl: d, home, given: [] } : { kind: 'declaration', decl: d, home };
}

/** Declarations of the library begin at the start of a line; their documentation stands right above. */
function placesIn(text: string): Place[] {
  const heads = [...text.matchAll(/(?:^\/\/\/.*\n)*^(?:model|layer|fn|optimizer|task)\s+(\w+)/gm)];
  return heads.map((head, i) => {
    const name = head[1] ?? '';
    const end = heads[i + 1]?.index ?? text.length;
    return { name, start: head.index, end, at: head.index + head[0].length - name.length };
  });
}

/** Parses one declaration with everything before it blanked, so that its spans are those of the file. */
function declarationAt(source: SourceFile, place: Place): Exclude<Declaration, Import> {
  const before = source.text.slice(0, place.start).replace(/[^\n]/g, ' ');
  const { syntax } = parse({ path: source.path, text: before + source.text.slice(place.start, place.end) });
  const found = syntax.declarations.find((d) => d.kind !== 'import' && d.name.name === place.name);
  if (!found || found.kind === 'import') throw new Error(`${source.path}: \`${place.name}\` cannot be read`);
  return found;
}
