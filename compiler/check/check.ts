/** Checks a whole file: every declaration, whether anything uses it or not, all mistakes in one go. */
import type { Problem } from '../../grammar/problem.ts';
import type { Declaration, Import, Parameter } from '../../grammar/syntax.ts';
import { symbol } from '../shape/poly.ts';
import { runBody } from './body.ts';
import type { ElaborateOptions } from './elaborate.ts';
import { elaborateModelIn, elaborateTaskIn } from './elaborate.ts';
import type { Host } from './host.ts';
import { applyOpenWith, makeInstance } from './instances.ts';
import { openDims, shapeOf, dtypeOf, tensorType } from './dims.ts';
import type { Module } from './modules.ts';
import { Reporter } from './reporter.ts';
import { createContext, createOwner, createSession } from './session.ts';
import type { Given, Session, Value } from './values.ts';
import { int, Scope, tensor } from './values.ts';

type Named = Exclude<Declaration, Import>;

/**
 * What an elaboration for sizes that nobody has given can prove wrong whatever they are. The rest (bounds, equality of
 * dimensions, what is known while compiling) may hold for the sizes it is used with.
 */
const holdsForAllSizes = new Set([
  'E0303',
  'E0311',
  'E0312',
  'E0316',
  'E0319',
  'E0320',
  'E0403',
  'E0404',
  'E0405',
  'E0406',
  'E0407',
  'E0408',
  'E0412',
  'E0413',
]);
const isDefinite = (p: Problem): boolean => p.code.startsWith('E02') || holdsForAllSizes.has(p.code);

/** Elaborates every declaration of the file and adds what is wrong with them. */
export function checkDeclarations(
  module: Module,
  host: Host,
  reporter: Reporter,
  options: Omit<ElaborateOptions, 'reporter'>,
): void {
  const used = new Set<unknown>();
  const shared = { ...options, reporter, used };
  const declarations = module.syntax.declarations.filter((d): d is Named => d.kind !== 'import');
  const complete = (d: Named): boolean => d.params.every((p) => p.default);
  for (const d of declarations) {
    if (d.kind === 'model' && complete(d)) elaborateModelIn(module, d, {}, shared);
    if (d.kind === 'task' && complete(d)) elaborateTaskIn(module, d, {}, host, shared);
  }
  for (const d of declarations) {
    const open = d.kind === 'layer' || d.kind === 'fn' || (d.kind === 'model' && !complete(d));
    if (open && !used.has(d)) checkOpen(module, d, reporter, options);
  }
}

/** Elaborates a declaration that nothing uses, for sizes that are symbols. */
function checkOpen(
  module: Module,
  d: Exclude<Named, { kind: 'task' | 'optimizer' }>,
  reporter: Reporter,
  options: Omit<ElaborateOptions, 'reporter'>,
): void {
  const own = new Reporter();
  const session = createSession({ reporter: own, differentiate: options.differentiate, abstract: true });
  const given = d.params.map((p) => anyValue(session, module, p));
  if (given.some((g) => g === undefined)) return;
  const args = given.filter((g): g is Given => g !== undefined && g !== 'default');
  const ctx = createContext(session, module.scope, createOwner(), false);
  if (d.kind === 'fn') {
    session.run.call(ctx, { kind: 'fn', decl: d, home: module.scope, given: [] }, args, d.name.span);
  } else {
    const instance = makeInstance(ctx, d, module.scope, args, d.name.span);
    if (instance) applyOpenWith(runBody, ctx, instance);
  }
  own.problems.filter(isDefinite).forEach((p) => reporter.add(p));
}

/** A value that stands for all of the parameter's type; nothing when there is none. */
function anyValue(session: Session, module: Module, p: Parameter): Given | 'default' | undefined {
  const given = (value: Value): Given => ({ name: p.name, value, span: p.span });
  const type = tensorType(p.type);
  if (type) {
    const ctx = createContext(session, new Scope(module.scope, 'dims'), createOwner(), false);
    openDims(ctx, type);
    const [dtype, shape] = [dtypeOf(ctx, type.dtype), shapeOf(ctx, type, p.name.name)];
    return dtype && shape && given(tensor(session.graph.leaf('input', p.name.name, dtype, shape)));
  }
  if (p.default) return 'default';
  return p.type?.kind === 'named' && p.type.name.name === 'int' ? given(int(symbol(p.name.name))) : undefined;
}
