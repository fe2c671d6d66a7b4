import type { Size } from '../compiler/plan.ts';
import type { Dims } from './device.ts';
import { RuntimeError } from './errors.ts';

const apply: { readonly [Op in Exclude<Size, number | string>[0]]: (a: number, b: number) => number } = {
  '+': (a, b) => a + b,
  '*': (a, b) => a * b,
  div: (a, b) => Math.floor(a / b),
  mod: (a, b) => a - b * Math.floor(a / b),
  min: Math.min,
  max: Math.max,
};

/** The number that `size` stands for. Throws RuntimeError `missing-dimension` when a dimension is not bound. */
export function evalSize(size: Size, dims: Dims): number {
  if (typeof size === 'number') return size;
  if (typeof size === 'string') {
    const value = dims[size];
    if (value === undefined)
      throw new RuntimeError(
        'missing-dimension',
        `the dimension \`${size}\` has no value`,
        `pass { ${size}: … }`,
        { name: size },
      );
    return value;
  }
  const [op, ...args] = size;
  const values = args.map((arg) => evalSize(arg, dims));
  return values.length === 0 ? (op === '*' ? 1 : 0) : values.reduce((a, b) => apply[op](a, b));
}

export const evalShape = (shape: readonly Size[], dims: Dims): number[] =>
  shape.map((size) => evalSize(size, dims));

export const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** `[batch = 64, 784]`: a shape with what its dimensions are bound to. */
export function describeShape(shape: readonly Size[], dims: Dims): string {
  const parts = shape.map((size) =>
    typeof size === 'number'
      ? `${size}`
      : typeof size === 'string'
        ? `${size} = ${dims[size] ?? '?'}`
        : `${evalSize(size, dims)}`,
  );
  return `[${parts.join(', ')}]`;
}
