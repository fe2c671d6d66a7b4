/** The products of a convolution in the transformed domain, strip by strip, and the way back to results. */
import { roundUp } from '../contract/plan.ts';
import type { EmitContext } from '../context.ts';
import type { Func, Stmt, V128 } from '../encoder.ts';
import { forLoop, i32, v128, when } from '../instr.ts';
import { advance, alternate, gridOf, keeper, locals, params, sum } from './code.ts';
import { around } from './matrices.ts';
import type { ImagePlan } from './plan.ts';

/** Sizes of the parts of the scratch area in floats. */
export interface Sizes {
  /** Tiles of a unit, in whole strips. */
  readonly lanes: number;
  /** From one channel of the transformed patches to the next. */
  readonly pitch: number;
  /** From one position to the next. */
  readonly plane: number;
  readonly weights: number;
  /** From one position of the weights to the next: not a power of two, so that positions do not share lines of the cache. */
  readonly weightPlane: number;
  readonly patches: number;
  readonly results: number;
}

export function sizesOf(plan: ImagePlan): Sizes {
  const { tile, positions, tilesX, blockRows, depth, blockM, strip } = plan;
  const lanes = roundUp(blockRows * tilesX, strip);
  // A row is written in fours; what is too much is overwritten by the next row, or lies beyond the last.
  const written = roundUp(Math.max(lanes, (blockRows - 1) * tilesX + roundUp(tilesX, 4)), 4);
  const pitch = written % 32 === 0 ? written + 4 : written;
  return {
    lanes,
    pitch,
    weightPlane: depth * blockM + 16,
    weights: positions * (depth * blockM + 16),
    plane: depth * pitch + 16,
    patches: positions * (depth * pitch + 16),
    results: blockM * tile * tile * lanes,
  };
}

/** (number of m, number of tiles, weights, patches, room for the products of a strip, to, room for a grid): results [m][row of the tile][column] */
export function buildProduct(plan: ImagePlan, sizes: Sizes, context: EmitContext): Func {
  const { tile, positions } = plan;
  const tileBytes = bytesOf(plan);
  const names = ['height', 'tiles', 'weights', 'patches', 'products', 'to', 'grid'] as const;
  const f = context.helper('product', names);
  const at = params(f, ...names);
  const vectors = plan.strip / 4;
  const micro = (used: number): Stmt =>
    context
      .micro({ rows: 4, vectors, used, pitch: 4 * sizes.pitch })
      .call('void', i32.const(plan.depth), a.get, b.get, to.get, i32.const(0));
  const back = buildTransform(plan, sizes, context);
  const { strip, isHalf, row, position, a, b, from, to } = locals(
    f,
    'isHalf',
    'strip',
    'row',
    'position',
    'a',
    'b',
    'from',
    'to',
  );
  f.body.push(
    ...forLoop(strip, i32.const(0), at.tiles, plan.strip, [
      isHalf.set(i32.leS(i32.sub(at.tiles, strip.get), i32.const(plan.strip / 2))),
      b.set(i32.add(at.patches, i32.mul(strip.get, i32.const(4)))),
      ...forLoop(position, i32.const(0), i32.const(positions), 1, [
        a.set(sum(at.weights, i32.mul(position.get, i32.const(4 * sizes.weightPlane)))),
        to.set(sum(at.products, i32.mul(position.get, i32.const(tileBytes)))),
        ...forLoop(row, i32.const(0), at.height, 4, [
          ...when(isHalf.get, [micro(vectors / 2)], [micro(vectors)]),
          advance(a, 16 * plan.depth),
          advance(to, positions * tileBytes),
        ]),
        advance(b, 4 * sizes.plane),
      ]),
      from.set(at.products),
      to.set(i32.add(at.to, i32.mul(strip.get, i32.const(4 * tile)))),
      ...forLoop(row, i32.const(0), at.height, 4, [
        back.call('void', from.get, to.get, at.grid),
        advance(from, positions * tileBytes),
        advance(to, 16 * tile * tile * sizes.lanes),
      ]),
    ]),
  );
  return f;
}

/** Of a register tile of results, four rows of m. */
const bytesOf = ({ strip }: ImagePlan): number => 16 * strip;

/** (products [position][4][strip], to, room for a grid): Aᵀ M A, four rows of m of the rows of results that a tile has. */
function buildTransform(plan: ImagePlan, sizes: Sizes, context: EmitContext): Func {
  const { strip, tile, size, filtering } = plan;
  const f = context.helper('transformBack', ['products', 'to', 'grid']);
  const [from, to] = [f.param(0), f.param(1)];
  const { lane, m, at } = locals(f, 'lane', 'm', 'at');
  const tileBytes = bytesOf(plan);
  const rowBytes = 4 * tile * sizes.lanes;
  const code: Stmt[] = [];
  const keep = keeper(f, code);
  const load = (i: number, j: number): V128 => keep(v128.load(from.get, tileBytes * (size * i + j)));
  const grid = gridOf(f.param(2).get, size, keep, (s) => void code.push(s));
  around(filtering.A, load, grid, keep, (row, i) =>
    alternate(row, keep).forEach((value, u) => code.push(v128.store(at.get, value, rowBytes * i + 16 * u))),
  );
  f.body.push(
    ...forLoop(m, i32.const(0), i32.const(4), 1, [
      at.set(to.get),
      ...forLoop(lane, i32.const(0), i32.const(strip), 4, [
        ...code,
        advance(from, 16),
        advance(at, 16 * tile),
      ]),
      advance(to, tile * rowBytes),
    ]),
  );
  return f;
}
