/** Contractions for tests. */
import type { Axis, BufferUse, ContractKernel, Ex, Store } from '../../compiler/kernel/kernel.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { add, multiply } from '../../compiler/shape/poly.ts';
import { dim, local } from './harness.ts';

export const use = (
  buffer: number,
  mode: BufferUse['mode'] = 'read',
  dtype: BufferUse['dtype'] = 'f32',
): BufferUse => ({ buffer, dtype, mode });
export const acc = local('acc');
export const tolerance = { relative: 1e-4, absolute: 1e-4 };

interface Roles {
  readonly batch?: readonly Axis[];
  readonly m: readonly Axis[];
  readonly n: readonly Axis[];
  readonly k: readonly Axis[];
}

export const contract = (
  buffers: readonly BufferUse[],
  roles: Roles,
  a: Ex,
  b: Ex,
  ...stores: Store[]
): ContractKernel => ({
  kind: 'contract',
  name: 'c',
  notes: [],
  buffers,
  batch: [],
  ...roles,
  a,
  b,
  stores,
});

export const abc = [use(0), use(1), use(2, 'write')];
/** Row-major offset of indices in a shape. */
export const at = (...pairs: [Poly | string, Poly | number | string][]): Poly =>
  pairs.reduce<Poly>((sum, [i, extent]) => add(multiply(sum, dim(extent)), dim(i)), dim(0));
