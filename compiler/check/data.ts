/** Data sources of a task, described by the host. */
import type { Span } from '../../grammar/span.ts';
import type { DataInfo, StaticValue } from '../plan.ts';
import type { DType } from '../ir/ops.ts';
import { constant, symbol } from '../shape/poly.ts';
import { numberOf } from './arithmetic.ts';
import { describe } from './describe.ts';
import type { Host } from './host.ts';
import { at, fail } from './report.ts';
import type { BuiltinCall, Context, Value } from './values.ts';
import { poison, tensor } from './values.ts';

export interface Source {
  readonly info: DataInfo;
  readonly span: Span;
}

/** The size of a batch, in every computation of a task. */
export const batchSize = symbol('batch');

export class DataSources {
  readonly byName = new Map<string, Source>();
  private readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  /** `idx(image: "…")`: the name comes from the equation around it. */
  readonly make = (ctx: Context, call: BuiltinCall): Value => {
    const name = ctx.naming ?? `data${this.byName.size + 1}`;
    const args = this.arguments(ctx, call);
    if (!args) return poison;
    const file = call.span.file;
    const answer = this.host.describeData?.(call.name, args, file);
    if (!answer) return poison;
    if (!('fields' in answer && 'count' in answer)) {
      const named = call.args.find((a) => a.name?.name === answer.argument);
      const unnamed = answer.argument === 'file' ? call.args.find((a) => !a.name) : undefined;
      const span = (named ?? unnamed)?.span ?? call.span;
      if ('code' in answer) {
        ctx.session.reporter.add({
          code: answer.code,
          severity: 'error',
          fields: answer.fields,
          labels: [at(span, 'this data')],
        });
        return poison;
      }
      return fail(
        ctx,
        'E0501',
        { source: name, reason: answer.reason, help: answer.help },
        at(span, 'this data'),
      );
    }
    const { fields, count, vocabulary } = answer;
    const info: DataInfo = {
      name,
      kind: call.name,
      args,
      file,
      fields,
      count,
      ...(vocabulary && { vocabulary }),
    };
    this.byName.set(name, { info, span: call.span });
    return { kind: 'data', name, ...(vocabulary && { vocabulary }) };
  };

  private arguments(ctx: Context, call: BuiltinCall): Readonly<Record<string, StaticValue>> | undefined {
    const args: Record<string, StaticValue> = {};
    if (call.args.length === 0) {
      const help = `give each field a name and a file: \`${call.name}(image: "images-idx3-ubyte", label: "labels-idx1-ubyte")\``;
      fail(
        ctx,
        'E0501',
        { source: call.name, reason: 'it names no fields', help },
        at(call.span, 'no fields'),
      );
      return undefined;
    }
    for (const [i, arg] of call.args.entries()) {
      const value = staticOf(arg.value);
      const argName = arg.name?.name ?? (i === 0 && isOneFile(call.name) ? 'file' : undefined);
      if (argName === undefined || value === undefined) {
        const help = arg.name ? undefined : `write \`image: …\``;
        fail(
          ctx,
          'E0402',
          {
            what: `an argument of \`${call.name}\``,
            expected: 'a field with its name and file',
            found: describe(arg.value),
            help,
          },
          at(arg.span, arg.name ? describe(arg.value) : 'without a name'),
        );
        return undefined;
      }
      args[argName] = value;
    }
    return args;
  }
}

/** All fields in one file, which may be named first without a name. */
const isOneFile = (kind: string): boolean => kind === 'csv' || kind === 'text';

/** A static value as plain data; a text stands for its vocabulary. */
export function staticOf(v: Value): StaticValue | undefined {
  if (v.kind === 'string' || v.kind === 'bool') return v.value;
  if (v.kind === 'data') return v.vocabulary?.symbols;
  if (v.kind !== 'list') return numberOf(v);
  const items = v.items.map(staticOf);
  return items.every((i) => i !== undefined) ? items : undefined;
}

/** The fields of a batch, as inputs of the graph. */
export function fieldTensors(ctx: Context, info: DataInfo): ReadonlyMap<string, Value> {
  return new Map(
    Object.entries(info.fields).map(([name, { dtype, shape }]) => {
      const leaf = ctx.session.graph.leaf('input', name, dtype satisfies DType, [
        batchSize,
        ...shape.map((n) => constant(n)),
      ]);
      return [name, tensor(leaf)];
    }),
  );
}
