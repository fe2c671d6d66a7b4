/** Values that cross the border of a compiled model, with their dtype and shape in the type. */
import type { Data } from './device.ts';
import { RuntimeError } from './errors.ts';
import { elements } from './size.ts';

export type TensorDType = 'f32' | 'i32' | 'u32' | 'bool';

/** The array that carries a dtype; bool is a Uint32Array of 0 and 1. */
export interface ArrayOf {
  readonly f32: Float32Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly bool: Uint32Array;
}

/** A row-major tensor. `S` holds literal sizes where they are known: `readonly [number, 28, 28]`. */
export interface Tensor<
  D extends TensorDType = TensorDType,
  S extends readonly number[] = readonly number[],
> {
  readonly dtype: D;
  readonly shape: S;
  readonly data: ArrayOf[D];
}

const arrays: { readonly [D in TensorDType]: (length: number) => ArrayOf[D] } = {
  f32: (n) => new Float32Array(n),
  i32: (n) => new Int32Array(n),
  u32: (n) => new Uint32Array(n),
  bool: (n) => new Uint32Array(n),
};

/**
 * A tensor over `data` (not copied when it is already of the right array type), or of zeros.
 * @throws RuntimeError `input-length` when `data` does not have as many values as the shape
 */
export function tensor<D extends TensorDType, const S extends readonly number[]>(
  dtype: D,
  shape: S,
  data?: ArrayOf[D] | readonly number[],
): Tensor<D, S> {
  const length = elements(shape);
  if (data && data.length !== length)
    throw new RuntimeError(
      'input-length',
      `the data has ${data.length} values, but ${dtype}[${shape.join(', ')}] has ${length}`,
      'check the shape, or the length of the data',
      { shape, expected: length, found: data.length },
    );
  if (data && !Array.isArray(data)) return { dtype, shape, data: data as ArrayOf[D] };
  const array = arrays[dtype](length);
  if (data) (array as Data).set(data);
  return { dtype, shape, data: array };
}
