/** Arguments of functions that are written in TypeScript: by name or position, checked one by one. */
import type { Span } from '../../grammar/span.ts';
import type { Poly } from '../shape/poly.ts';
import { asConstant } from '../shape/poly.ts';
import { unknownArgument } from './arguments.ts';
import { toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { also, at, fail } from './report.ts';
import type { BuiltinCall, Context, Given, TensorValue, Value } from './values.ts';
import { restOf } from './values.ts';

export class Args {
  readonly ctx: Context;
  readonly call: BuiltinCall;
  /** False as soon as something was reported, or an argument is poison. */
  good = true;
  private readonly given = new Map<string, Given>();

  /** `names`: of the parameters, in their order; those that may be left out end in `?`. */
  constructor(ctx: Context, call: BuiltinCall, names: readonly string[]) {
    this.ctx = ctx;
    this.call = call;
    const plain = names.map((n) => n.replace('?', ''));
    const callee = { name: call.name, span: call.span };
    let position = 0;
    for (const arg of call.args) {
      const name = arg.name?.name ?? plain[position++];
      if (arg.value.kind === 'poison') this.good = false;
      if (arg.name && !plain.includes(arg.name.name)) {
        unknownArgument(ctx, callee, arg.name, plain);
        this.good = false;
      } else if (name === undefined) {
        fail(
          ctx,
          'E0405',
          { callee: call.name, most: names.length, given: call.args.length, help: undefined },
          at(arg.span, 'one too many'),
        );
        this.good = false;
        break;
      } else if (this.given.has(name)) {
        fail(
          ctx,
          'E0406',
          { callee: call.name, name },
          at(arg.span, 'given again'),
          also(this.given.get(name)!.span, 'given here'),
        );
        this.good = false;
      } else this.given.set(name, arg);
    }
    const missing = names.filter((n) => !n.endsWith('?') && !this.given.has(n));
    if (missing.length > 0) {
      fail(ctx, 'E0403', { callee: call.name, missing }, at(call.span, `without ${missing.join(', ')}`));
      this.good = false;
    }
  }

  value(name: string): Value | undefined {
    return this.given.get(name)?.value;
  }

  span(name: string): Span {
    return this.given.get(name)?.span ?? this.call.span;
  }

  /** Reports that the argument is not what it should be. */
  refuse(name: string, expected: string, help?: string): undefined {
    this.good = false;
    const found = describe(this.value(name) ?? { kind: 'poison' });
    fail(
      this.ctx,
      'E0402',
      { what: `\`${name}\` of \`${this.call.name}\``, expected, found, help },
      at(this.span(name), found),
    );
    return undefined;
  }

  tensor(name: string): TensorValue | undefined {
    const v = this.value(name);
    if (!v || v.kind === 'poison') return undefined;
    return toTensor(this.ctx, v) ?? this.refuse(name, 'a tensor');
  }

  /** A whole number that is known while compiling. */
  integer(name: string): number | undefined {
    const v = this.value(name);
    if (!v || v.kind === 'poison') return undefined;
    const n = v.kind === 'int' ? asConstant(v.poly) : undefined;
    return n ?? this.refuse(name, 'a whole number that is known while compiling');
  }

  /** Whole numbers or dimensions, from a list or a single one. */
  sizes(name: string): readonly Poly[] | undefined {
    const v = this.value(name);
    if (!v || v.kind === 'poison') return undefined;
    const list = v.kind === 'list' ? v.items : [v];
    const sizes = list.flatMap((x) =>
      x.kind === 'int'
        ? [x.poly]
        : x.kind === 'list'
          ? x.items.flatMap((y) => (y.kind === 'int' ? [y.poly] : []))
          : [],
    );
    const wanted = list.reduce((n, x) => n + (x.kind === 'list' ? x.items.length : 1), 0);
    return sizes.length === wanted ? sizes : this.refuse(name, 'whole numbers');
  }

  /** An axis or a list of axes, counted from the front. */
  axes(name: string, t: TensorValue): readonly number[] | undefined {
    const found = this.sizes(name)?.map((p) => asConstant(p));
    if (!found) return undefined;
    const rank = restOf(t).length;
    const axes: number[] = [];
    for (const a of found) {
      if (a === undefined) return this.refuse(name, 'axes that are known while compiling');
      if (a < -rank || a >= rank) {
        this.good = false;
        fail(this.ctx, 'E0315', { axis: a, rank, of: this.call.name }, at(this.span(name), `axis ${a}`));
        return undefined;
      }
      const axis = a < 0 ? a + rank : a;
      if (axes.includes(axis)) return this.refuse(name, 'axes that differ');
      axes.push(axis);
    }
    return axes;
  }
}
