/** Problems with the place they are shown at. */
import type { Label } from '../../grammar/problem.ts';
import type { Span } from '../../grammar/span.ts';
import type { CheckCode, CheckFields } from '../diagnostics/catalogue.ts';
import { libraryPrefix } from './reporter.ts';
import type { Context, Poison } from './values.ts';

export const at = (span: Span, text: string): Label => ({ span, text, primary: true });
export const also = (span: Span, text: string): Label => ({ span, text, primary: false });

/**
 * Reports a mistake found at `ctx` and gives poison. One found inside the library is shown at the user's call that
 * led there, with the library's place beside it.
 */
export function fail<C extends CheckCode>(
  ctx: Context,
  code: C,
  fields: CheckFields<C>,
  ...labels: readonly Label[]
): Poison {
  const inside = (l: Label): boolean => l.primary && l.span.file.startsWith(libraryPrefix);
  const call = ctx.calls.findLast((s) => !s.file.startsWith(libraryPrefix));
  const shown =
    call && labels.some(inside)
      ? [at(call, 'in this call'), ...labels.map((l) => ({ ...l, primary: false }))]
      : labels;
  return ctx.session.reporter.report(code, fields, shown);
}

/**
 * Sizes whose arithmetic leaves the integers that can be counted exactly are thrown by `shape/`, deep inside of proofs;
 * here they become a problem of the text. (A stack that is exhausted is a RangeError too, and also the text's fault.)
 */
export function withinRange<T>(ctx: Context, span: Span, body: () => T, otherwise: (p: Poison) => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return otherwise(fail(ctx, 'E0415', { what: 'the sizes here are too large' }, at(span, 'too large')));
  }
}
