/** WGSL backend: one shader module per kernel. */
import type { Kernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { emitContract } from './contract.ts';
import { emitDirect } from './direct.ts';
import { emitMaps, independentMaps } from './maps.ts';
import { emitNestedRows } from './nested-rows.ts';
import { canBeDirect, choosePatch, smallPatch } from './patch.ts';
import type { Patch } from './patch.ts';
import { emitRows } from './rows.ts';
import { emitScatter } from './scatter.ts';
import { Shader, defaultLimits } from './shader.ts';
import type { DeviceTraits, Emitted, WgslLimits } from './shader.ts';
import { tilesOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { operationsIn } from './walk.ts';

export type { DeviceTraits, WgslLimits } from './shader.ts';

export interface WgslOptions extends DeviceTraits {
  readonly limits?: Partial<WgslLimits>;
  /** The shape of a contraction, in place of the one that is chosen. */
  readonly tile?: Tile;
  readonly patch?: Patch;
}

export interface WgslKernel {
  /** The module; its entry point is `main`. */
  readonly code: string;
  /** Name of the kernel in the plan. */
  readonly entry: string;
  /** Workgroups to dispatch; any of them may be 0. */
  readonly workgroups: readonly [Poly, Poly, Poly];
}

/**
 * Prints a kernel as a WGSL module with the entry point `main`. Group 0 binds the kernel's buffers 0 … n-1, all read-write
 * storage of f32, i32 or u32 (bool is u32 0 or 1), and as n the uniform `dims`, u32 in the order of `dims`, if there are any.
 * Two buffers of one kernel must not overlap. Throws when the kernel is malformed.
 */
export function emitWgsl(kernel: Kernel, dims: readonly string[], options: WgslOptions = {}): WgslKernel {
  const shared = kernel.buffers.find(
    (use, i) => kernel.buffers.findIndex((u) => u.buffer === use.buffer) < i,
  );
  if (shared)
    throw new Error(`kernel \`${kernel.name}\` binds buffer ${shared.buffer} twice, which WebGPU refuses`);
  const shader = new Shader(kernel, dims, { ...defaultLimits, ...options.limits }, options);
  const { workgroupSize, workgroups, large } = emitTemplate(kernel, shader, options);
  return { code: shader.finish(workgroupSize, large), entry: kernel.name, workgroups };
}

/**
 * The same kernel in other shapes, at most four, the most promising first: for a device to find out which is fastest. Only
 * contractions have any, and of these not those that compute others in their operands.
 */
export function variantsOf(kernel: Kernel, dims: readonly string[], isSoftware = false): WgslKernel[] {
  if (kernel.kind !== 'contract' || operationsIn([kernel.a, kernel.b]) === Infinity) return [];
  const tiles = tilesOf(kernel, defaultLimits).map((tile): WgslOptions => ({ tile }));
  const shapes =
    isSoftware && canBeDirect(kernel)
      ? tiles.slice(0, 1)
      : [...tiles.slice(1), ...(canBeDirect(kernel) ? [{ patch: smallPatch(kernel, defaultLimits) }] : [])];
  return shapes.map((shape, i) => ({
    ...emitWgsl(kernel, dims, shape),
    entry: `${kernel.name}~${i + 1}`,
  }));
}

function emitTemplate(kernel: Kernel, shader: Shader, { tile, patch, isSoftware }: WgslOptions): Emitted {
  switch (kernel.kind) {
    case 'contract':
      return patch || (isSoftware && canBeDirect(kernel))
        ? emitDirect(kernel, shader, patch ?? choosePatch(kernel, shader.limits))
        : emitContract(kernel, shader, tile);
    case 'scatter':
      return emitScatter(kernel, shader);
    case 'rows': {
      const maps = independentMaps(kernel);
      if (maps) return emitMaps(kernel, maps, shader);
      return emitNestedRows(kernel, shader) ?? emitRows(kernel, shader);
    }
  }
}
