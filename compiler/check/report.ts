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
export function fail<C extends CheckCode>(ctx: Context, code: C, fields: CheckFields<C>, ...labels: readonly Label[]): Poison {
  const inside = (l: Label): boolean => l.primary && l.span.file.startsWith(libraryPrefix);
  const call = ctx.calls.findLast((s) => !s.file.startsWith(libraryPrefix));
  const shown = call && labels.some(inside) ? [at(call, 'in this call'), ...labels.map((l) => ({ ...l, primary: false }))] : labels;
  return ctx.session.reporter.report(code, fields, shown);
}
