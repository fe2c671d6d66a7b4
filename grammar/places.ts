/** Which statements can stand where. What stands elsewhere is reported here and left in the tree. */
import type { Reporter } from './problems.ts';
import type { Port, Statement } from './syntax.ts';

/** What a block belongs to. */
export type Place =
  'model' | 'layer' | 'fn' | 'optimizer' | 'task' | 'fit' | 'evaluate' | 'scan' | 'scanInFn';

const PLACE_WORDS: Readonly<Record<Place, string>> = {
  model: 'in a model',
  layer: 'in a layer',
  fn: 'in a function',
  optimizer: 'in an optimizer',
  task: 'in a task',
  fit: 'in the body of `fit`',
  evaluate: 'in the body of `evaluate`',
  scan: 'in a scan',
  scanInFn: 'in a scan',
};

type Kind = Statement['kind'];

const EVERYWHERE: readonly Kind[] = ['equation', 'staticIf', 'repeat'];

const ALLOWED: Readonly<Record<Place, readonly Kind[]>> = {
  model: ['port', 'scan'],
  layer: ['port', 'scan'],
  fn: ['return', 'scan'],
  optimizer: ['port'],
  task: ['fit', 'evaluate', 'action', 'scan'],
  fit: ['minimize', 'metric', 'action', 'scan'],
  evaluate: ['metric', 'action', 'scan'],
  scan: ['port', 'scan'],
  scanInFn: ['port', 'scan'],
};

const ROLES: Readonly<Partial<Record<Place, readonly Port['role'][]>>> = {
  model: ['input', 'output', 'param', 'state'],
  layer: ['input', 'output', 'param', 'state'],
  optimizer: ['input', 'state'],
  scan: ['state'],
  scanInFn: ['state'],
};

const HELP: Readonly<Record<Kind, string>> = {
  port: '`input`, `output`, `param` and `state` are declared in models and layers; a function has parameters',
  equation: '',
  return: 'only a function returns; a layer gives its output by an equation `y = …`',
  scan: 'put it into a layer or a function',
  staticIf: '',
  repeat: '',
  fit: 'training is said in a `task`',
  evaluate: 'evaluation is said in a `task`',
  minimize: 'put it into the body of `fit` in a task',
  metric: 'put it into the body of `fit` or `evaluate` in a task',
  action: 'a call alone does something in tasks only; elsewhere give its result a name: `y = …`',
};

/** Reports a statement that cannot stand in `place`; returns whether it can be kept in the tree. */
export function placeStatement(statement: Statement, place: Place, reporter: Reporter): boolean {
  const { kind, span } = statement;
  const known = EVERYWHERE.includes(kind) || ALLOWED[place].includes(kind);
  const fits = kind !== 'port' || (ROLES[place]?.includes(statement.role) ?? false);
  if (known && fits) return true;
  const word = kind === 'port' ? statement.role : kind;
  const what = kind === 'action' ? 'a call alone' : `\`${word}\``;
  const end = kind === 'action' ? span.end : Math.min(span.end, span.start + word.length);
  const help =
    place === 'scan' && kind === 'port'
      ? 'a scan declares `state` only; the other ports stand outside it'
      : HELP[kind];
  reporter.report(
    'E0112',
    { what, where: PLACE_WORDS[place], help },
    reporter.here(span.start, end, 'not here'),
  );
  return false;
}
