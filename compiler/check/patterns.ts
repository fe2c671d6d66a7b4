/** Patterns over paths of parameters: `"features"`, `"*.bias"`, `"blocks.*.attn"`. */
import type { Expr } from '../../grammar/syntax.ts';
import { suggest } from '../diagnostics/suggest.ts';
import { at, fail } from './report.ts';
import type { Context } from './values.ts';

/**
 * Whether a pattern matches a path, or what stands above it: `conv1` matches `conv1.weight`. `*` stands for any
 * characters, dots included.
 */
export function matches(pattern: string, path: string): boolean {
  const text = pattern
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${text}(?:\\..*)?$`, 's').test(path);
}

/** Reports a pattern that matches none of the paths. */
export function expectMatch(
  ctx: Context,
  pattern: string,
  paths: readonly string[],
  span: Expr['span'],
): boolean {
  if (paths.some((path) => matches(pattern, path))) return true;
  const fields = {
    pattern,
    near: suggest(pattern.replaceAll('*', ''), [...paths, ...layersOf(paths)]),
    has: paths,
  };
  fail(ctx, 'E0515', fields, at(span, 'matches no parameter'));
  return false;
}

/** Everything that stands above a path: `block1`, `block1.conv`. */
function layersOf(paths: readonly string[]): readonly string[] {
  const above = paths.flatMap((path) => {
    const parts = path.split('.');
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
  });
  return [...new Set(above)];
}
