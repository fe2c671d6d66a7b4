/**
 * The operands of a transformed gradient in panels [position][lanes / width][tile][width]: rows of an image are packed as they
 * are, then every tile is transformed, with the vectors along the lanes.
 */
import type { Axis } from '../../../kernel/kernel.ts';
import { exMapper } from '../../../kernel/rebuild.ts';
import { constant, substitute } from '../../../shape/poly.ts';
import { cheaper } from '../contract/plan.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32, Local, Stmt, V128 } from '../encoder.ts';
import { f32x4, forLoop, i32, minI32, v128 } from '../instr.ts';
import { clear } from '../loops.ts';
import type { PackSpec } from '../contract/pack.ts';
import { buildPack } from '../contract/pack.ts';
import { advance, gridOf, keeper, locals, params, sum } from './code.ts';
import type { Matrix } from './matrices.ts';
import { around } from './matrices.ts';
import type { WeightPlan } from './plan.ts';

/** One operand on its way into panels. */
export interface Side {
  readonly name: string;
  readonly operand: PackSpec['operand'];
  readonly lanes: readonly Axis[];
  /** Rows and columns as they are packed. */
  readonly k: readonly [Axis, Axis];
  readonly rows: number;
  readonly columns: number;
  readonly width: number;
  /** Lanes of a unit, whole panels. */
  readonly block: number;
  readonly matrix: Matrix;
  /** Rows and columns of a patch, or of the tile itself. */
  readonly taps: number;
  /** Columns that a tile reads beyond the last are 0, or may be any number. */
  readonly zeroBeyond: boolean;
}

/** The gradient of the results, tile by tile: the filters. */
export function filtersOf({ kernel, window, blockM, filtering, tile }: WeightPlan): Side {
  const { x, y } = window;
  return {
    name: 'A',
    operand: kernel.a,
    lanes: kernel.m,
    k: [y.slide, x.slide],
    rows: y.extent,
    columns: x.extent,
    width: 4,
    block: blockM,
    matrix: filtering.G,
    taps: tile,
    zeroBeyond: true,
  };
}

/** The image, of whose patches a tile has one. What lies beyond it is multiplied by 0. */
export function patchesOf({ kernel, window, blockC, channels, strip, filtering, size }: WeightPlan): Side {
  const { x, y } = window;
  const seen = (s: typeof x): Axis => ({ name: s.slide.name, extent: constant(s.extent + 2) });
  const taps = new Map([y, x].map((s) => [s.tap.name, constant(s.sign === 1 ? 0 : 2)]));
  return {
    name: 'B',
    operand: exMapper((p) => substitute(p, (s) => taps.get(s)))(kernel.b),
    lanes: channels,
    k: [seen(y), seen(x)],
    rows: y.extent + 2,
    columns: x.extent + 2,
    width: strip,
    block: blockC,
    matrix: filtering.B,
    taps: size,
    zeroBeyond: false,
  };
}

/** What is multiplied at once: some rows of tiles of one image. */
export const piecesOf = (plan: WeightPlan): readonly Axis[] => [
  ...plan.images,
  { name: 'block of rows', extent: constant(plan.blocksY) },
];

/** Floats from one position to the next: not a power of two, so that positions do not share lines of the cache. */
export const planeOf = (plan: WeightPlan, side: Side): number => side.block * plan.tiles + 16;
export const panelFloats = (plan: WeightPlan, side: Side): number => plan.positions * planeOf(plan, side);

/** Packed rows of a piece for one panel, and some elements more, which a last tile may read. */
export const packedFloats = (plan: WeightPlan, side: Side): number =>
  side.width * ((plan.tile * (plan.blockRows - 1) + side.taps) * side.columns + plan.tile - 1);

/** (first lane, number of lanes, room for packed rows, room for a grid, panels, first tile, image indices, block of rows, batch) */
export function buildFill(plan: WeightPlan, side: Side, context: EmitContext): Func {
  const { kernel, images, blockRows } = plan;
  const { name, operand, lanes, width } = side;
  const { along } = cheaper(operand, lanes.at(-1), side.k[1]);
  const spec = { name: `pack${name}`, kernel, operand, lanes, width, along };
  const k = [...images, ...side.k];
  const pack = buildPack(
    { ...spec, k, batch: kernel.batch, given: images.length, plan: { cut: images.length } },
    context,
  );
  const transform = buildTransform(plan, side, context);
  const outer = [...piecesOf(plan), ...kernel.batch].map((a) => a.name);
  const own = ['first', 'lanes', 'packed', 'grid', 'to', 'tile'] as const;
  const f = context.helper(`fill${name}`, [...own, ...outer]);
  const at = params(f, ...own);
  const indices = outer.map((_, i) => f.param(own.length + i).get);
  const block = indices[images.length]!;
  const { row, rows, from, end, panel, lane } = locals(f, 'row', 'rows', 'from', 'end', 'panel', 'lane');
  const lineBytes = 4 * width * side.columns;
  const wanted = sum(from.get, i32.mul(rows.get, i32.const(plan.tile)), i32.const(side.taps - plan.tile));
  const bytesOf = (lines: I32): I32 => i32.mul(lines, i32.const(lineBytes));
  const missing = i32.add(at.packed, bytesOf(i32.sub(end.get, from.get)));
  f.body.push(
    row.set(i32.mul(block, i32.const(blockRows))),
    rows.set(minI32(i32.sub(i32.const(plan.tilesY), row.get), i32.const(blockRows))),
    from.set(i32.mul(row.get, i32.const(plan.tile))),
    end.set(minI32(wanted, i32.const(side.rows))),
    // Lines that the last row of tiles has too much are zeros.
    ...clear(f, missing, bytesOf(i32.sub(wanted, end.get))),
    panel.set(i32.add(at.to, i32.mul(at.tile, i32.const(4 * width)))),
    ...forLoop(lane, i32.const(0), at.lanes, width, [
      pack.call(
        'void',
        i32.add(at.first, lane.get),
        ...indices.slice(images.length + 1),
        ...indices.slice(0, images.length),
        from.get,
        end.get,
        at.packed,
      ),
      transform.call('void', at.packed, rows.get, panel.get, at.grid),
      advance(panel, 4 * width * plan.tiles),
    ]),
  );
  return f;
}

/** (packed rows, rows of tiles, panel, room for a grid): each tile between the matrix and its transposed. */
function buildTransform(plan: WeightPlan, side: Side, context: EmitContext): Func {
  const { columns, matrix, taps, width } = side;
  const { tile: step, size } = plan;
  const f = context.helper(`transform${side.name}`, ['packed', 'rows', 'to', 'grid']);
  const [from, rows, to] = [0, 1, 2].map((i) => f.param(i)) as [Local<'i32'>, Local<'i32'>, Local<'i32'>];
  const bytes = 4 * width;
  const plane = 4 * planeOf(plan, side);
  const { row, x, lane } = locals(f, 'row', 'x', 'lane');
  /** One tile, of which `known` columns exist. */
  const tile = (known: number): Stmt[] => {
    const code: Stmt[] = [];
    const keep = keeper(f, code);
    const d = (i: number, j: number): V128 =>
      j < known ? keep(v128.load(from.get, bytes * (columns * i + j))) : f32x4.splatConst(0);
    const grid = gridOf(f.param(3).get, size, keep, (s) => void code.push(s));
    around(matrix, d, grid, keep, (line, i) =>
      line.forEach((value, j) => code.push(v128.store(to.get, value, plane * (size * i + j)))),
    );
    code.push(advance(from, 16), advance(to, 16));
    return [...forLoop(lane, i32.const(0), i32.const(width), 4, code), advance(from, (step - 1) * bytes)];
  };
  const left = columns % step;
  const isCut = side.zeroBeyond && left > 0;
  f.body.push(
    ...forLoop(row, i32.const(0), rows.get, 1, [
      ...forLoop(x, i32.const(0), i32.const(plan.tilesX - (isCut ? 1 : 0)), 1, tile(taps)),
      ...(isCut ? tile(left) : []),
      advance(from, bytes * step * (columns - plan.tilesX)),
    ]),
  );
  return f;
}
