/** The parameters of a layer or model as a list, for penalties on all of them. */
import { Args } from './builtin-args.ts';
import { expectMatch, matches } from './patterns.ts';
import { at, fail } from './report.ts';
import type { BuiltinValue, Instance, TensorEntry } from './values.ts';
import { poison, tensor } from './values.ts';

/** `parameters(net, "*.weight")`: the parameters of an applied layer or model, of those inside it too, as a list. */
export const parameters: BuiltinValue['run'] = (ctx, call) => {
  const args = new Args(ctx, call, ['of', 'pattern?']);
  const [of, pattern] = [args.value('of'), args.value('pattern')];
  if (!args.good || !of) return poison;
  if (of.kind !== 'instance') return args.refuse('of', 'a layer or model') ?? poison;
  if (pattern && pattern.kind !== 'string') return args.refuse('pattern', 'a text') ?? poison;
  const { instance } = of;
  const all = keptIn(instance).filter((t) => t.role === 'param');
  if (all.length === 0)
    return fail(
      ctx,
      'E0414',
      { name: instance.path || instance.decl.name.name },
      at(args.span('of'), 'no parameters yet'),
    );
  const local = (path: string): string =>
    instance.path === '' ? path : path.slice(instance.path.length + 1);
  const paths = all.map((t) => local(t.path));
  if (pattern && !expectMatch(ctx, pattern.value, paths, args.span('pattern'))) return poison;
  const found = all.filter((t) => !pattern || matches(pattern.value, local(t.path)));
  return { kind: 'list', items: found.map((t) => tensor(t.leaf)) };
};

const keptIn = (instance: Instance): readonly TensorEntry[] => [
  ...instance.tensors.values(),
  ...[...instance.children.values()].flatMap(keptIn),
];
