/** Contractions with an operand that is made of contractions: probabilities times values, and the gradients of these. */
import type { ContractKernel } from '../../kernel/kernel.ts';
import { swapRoles } from '../../kernel/rebuild.ts';
import { asConstant } from '../../shape/poly.ts';
import { countOf } from './axes.ts';
import type { Emitter } from './emitter.ts';
import { DotTiles, dotDepth, dotMemory, innerTile, powerAround, settleForms, tiledDots } from './nested.ts';
import type { Forms, TiledDot } from './nested.ts';
import type { Operand, OperandSource } from './operands.ts';
import type { Shader, WgslLimits } from './shader.ts';
import { invocationsOf, memoryOf, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';

export interface NestedContraction {
  /** Its operand `a` is the one that is computed tile by tile. */
  readonly kernel: ContractKernel;
  readonly tile: Tile;
  readonly dots: readonly TiledDot[];
  /** How the tile of the operand is shared out. */
  readonly inner: Tile;
  readonly forms: Forms;
}

/** Undefined when no operand holds dots that can be computed as tiles. */
export function nestedContraction(
  { sums, ...given }: ContractKernel,
  shader: Shader,
): NestedContraction | undefined {
  if (sums) return undefined;
  for (const kernel of [given, swapRoles(given)]) {
    const dots = tiledDots([kernel.a], kernel.m, kernel.k);
    const shape = dots.length > 0 ? shapeOf(kernel, dots, shader.limits) : undefined;
    if (!shape) continue;
    return { kernel, dots, ...shape, forms: settleForms(dots, shape.inner, kernel.m, kernel.k, shader) };
  }
  return undefined;
}

const INVOCATIONS = 64;

/**
 * All columns in one tile, as far as a workgroup reaches, so that the operand is computed once; and tiles of the operand as
 * large as fit into workgroup memory beside the other operand and the factors.
 */
function shapeOf(
  kernel: Omit<ContractKernel, 'sums'>,
  dots: readonly TiledDot[],
  limits: WgslLimits,
): { readonly tile: Tile; readonly inner: Tile } | undefined {
  const [m, n, k] = [kernel.m, kernel.n, kernel.k].map((axes) => asConstant(countOf(axes)) ?? Infinity) as [
    number,
    number,
    number,
  ];
  const perN = powerAround(n, 1, 4);
  const threadsN = powerAround(n / perN, 1, 32);
  const sizes = [
    [32, 16],
    [32, 8],
    [16, 16],
    [16, 8],
    [8, 8],
    [8, 4],
  ] as const;
  for (const [most, deep] of sizes) {
    const [rows, depth] = [powerAround(m, 8, 32), powerAround(k, 8, most)];
    const threadsM = rows / 4;
    const threadsK = Math.min(depth, Math.max(1, INVOCATIONS / (threadsM * threadsN)));
    const tile = { threadsM, threadsN, perM: 4, perN, threadsK, depth };
    const invocations = invocationsOf(tile);
    if (invocations > limits.workgroupSize || invocations > rows * depth) continue;
    const innerDepth = dotDepth(dots, deep);
    if (memoryOf(tile) + dotMemory(dots, rows, depth, innerDepth) > limits.workgroupMemory) continue;
    return { tile, inner: innerTile(rows, depth, invocations, innerDepth) };
  }
  return undefined;
}

/** The operand `a`, each slice of which is computed when it is filled. */
export function nestedOperand(
  emitter: Emitter,
  { dots, tile, inner, forms }: NestedContraction,
  { ex, side, k, start, share: { end, covered } }: OperandSource,
): Operand {
  const pitch = rowsOf(tile) + 1;
  const array = emitter.shader.workgroupArray('f32', pitch * tile.depth, 'a');
  const tiles = new DotTiles(emitter, dots, forms, inner);
  const fill = (outer: Emitter): void => {
    const steps = { axes: k, start: outer.here('k0', true) };
    tiles.visit(outer, { axes: side, start }, steps, (scope, row, _, elements) =>
      elements(({ step, stepAt }) => {
        const value = scope.value(ex).code;
        // Past the end of k both operands are 0.
        const guarded = covered ? value : `select(0.0, ${value}, ${stepAt.code} < ${end.code})`;
        scope.block.add(`${array}[${step.code} * ${pitch}i + ${row.code}] = ${guarded};`);
      }),
    );
  };
  return { array, pitch, isVector: false, widen: (element) => element, fill };
}
