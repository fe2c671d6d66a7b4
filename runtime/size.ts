import { sizeAt } from '../compiler/memory.ts';
import type { Size } from '../compiler/plan.ts';
import type { Dims } from './device.ts';
import { RuntimeError } from './errors.ts';

/** The number that `size` stands for. Throws RuntimeError `missing-dimension` when a dimension is not bound. */
export function evalSize(size: Size, dims: Dims): number {
  return sizeAt(size, (name) => {
    const value = dims[name];
    if (value !== undefined) return value;
    throw new RuntimeError(
      'missing-dimension',
      `the dimension \`${name}\` has no value`,
      `pass { ${name}: … }`,
      { name },
    );
  });
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
