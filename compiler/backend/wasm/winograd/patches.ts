/**
 * Transformed patches of the image, [position][channel][tile]. The rows that a unit's tiles see are first copied into scratch
 * memory, one channel after the other: a short loop waits for many of them at once where the image is in no cache, and around
 * what is copied stand the zeros of its padding, so that nothing else asks for bounds.
 */
import type { Axis, Ex } from '../../../kernel/kernel.ts';
import { exMapper } from '../../../kernel/rebuild.ts';
import { constant, substitute } from '../../../shape/poly.ts';
import type { EmitContext } from '../context.ts';
import type { Code, Func, Stmt, V128 } from '../encoder.ts';
import { f32, forLoop, i32, maxI32, minI32, v128 } from '../instr.ts';
import { clear, Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { decode } from '../contract/pack.ts';
import { type Range, rangeWhere } from '../transform.ts';
import { advance, alternate, gridOf, keeper, locals, params, range, sum } from './code.ts';
import { down, times } from './matrices.ts';
import type { ImagePlan, Sliding } from './plan.ts';
import type { Sizes } from './products.ts';

/** Rows of tiles of all images. */
export const rowsOfTiles = ({ images, tilesY }: ImagePlan): readonly Axis[] => [
  ...images,
  { name: 'tile row', extent: constant(tilesY) },
];

/** Floats of a copied line, and of all that a unit sees of one image. */
const pitchOf = ({ tile, tilesX }: ImagePlan): number => 4 * tile * Math.ceil(tilesX / 4) + 4;
export const lineFloats = (plan: ImagePlan): number =>
  pitchOf(plan) * (plan.tile * Math.min(plan.blockRows, plan.tilesY) + 2);

/** Vectors that are copied at once. */
const mostVectors = 8;

/** (first row of tiles, number of rows, to, room for lines, room for a grid, batch) */
export function buildPatches(plan: ImagePlan, sizes: Sizes, context: EmitContext): Func {
  const { kernel: k, tile, tilesY } = plan;
  const { x, y } = plan.window;
  const names = ['first', 'rows', 'to', 'lines', 'grid'] as const;
  const f = context.helper('patches', [...names, ...k.batch.map((a) => a.name)]);
  const at = params(f, ...names);
  const transform = buildTransform(plan, sizes, context);
  const rows = rowsOfTiles(plan);
  const image = interiorOf(plan);
  const seen = [y, x].map((s) => ({ name: s.slide.name, extent: constant(s.extent + 2) }));
  const ranges = new Map([...k.batch, ...rows, ...plan.channels, ...seen].map((a) => [a.name, a.extent]));
  const lower = new Lowering(context.environment(k, ranges, f));
  k.batch.forEach((a, i) => lower.bind(a.name, f.param(names.length + i).get));
  const loops = new Loops(lower, f);
  const item = lower.env.interner.item(image.operand);
  const { row, channel, last } = locals(f, 'row', 'channel', 'last');
  const pitch = 4 * pitchOf(plan);
  lower.push(last.set(i32.add(at.first, at.rows)));
  lower.open('rows of one image', row.get);
  decode(lower, rows, row.get);
  const tileRow = lower.index('tile row');
  const count = lower.keep(minI32(i32.sub(last.get, row.get), i32.sub(i32.const(tilesY), tileRow)));
  const top = lower.keep(i32.mul(tileRow, i32.const(tile)));
  const bottom = lower.keep(sum(top, i32.mul(count, i32.const(tile)), i32.const(2)));
  const lines = {
    from: lower.keep(maxI32(top, i32.const(image.y.from))),
    to: lower.keep(minI32(bottom, i32.const(image.y.to))),
  };
  const columns = { from: i32.const(image.x.from), to: i32.const(image.x.to) };
  const copies = Math.min(mostVectors, Math.floor((image.x.to - image.x.from) / 4));
  lower.push(
    ...clear(f, at.lines, i32.const(4 * lineFloats(plan))),
    channel.set(i32.add(at.to, i32.mul(i32.sub(row.get, at.first), i32.const(4 * plan.tilesX)))),
  );
  loops.nest(plan.channels, () => {
    loops.scalar(seen[0]!, lines, () => {
      const inLines = i32.mul(i32.sub(lower.index(y.slide.name), top), i32.const(pitch));
      const line = lower.keep(i32.add(at.lines, inLines));
      loops.vector(seen[1]!, columns, copies, (vectors) => {
        const to = lower.keep(i32.add(line, i32.mul(lower.index(x.slide.name), i32.const(4))));
        if (vectors === 0) return lower.push(f32.store(to, lower.scalar(item) as Code<'f32'>));
        const values = range(vectors).map((u) => lower.vector(item, u));
        values.forEach((value, u) => lower.push(v128.store(to, value, 16 * u)));
      });
    });
    lower.push(transform.call('void', at.lines, count, channel.get, at.grid));
    lower.push(advance(channel, 4 * sizes.pitch));
  });
  lower.push(advance(row, count));
  lower.push(...forLoop(row, at.first, last.get, 0, lower.close()));
  f.body.push(...lower.finish());
  return f;
}

/** The image with its taps at 0, and the rows and columns, of those that patches see, outside of which it is 0. */
function interiorOf(plan: ImagePlan): { readonly operand: Ex; readonly y: Range; readonly x: Range } {
  const { x, y } = plan.window;
  const first = new Map([y, x].map((s) => [s.tap.name, constant(s.sign === 1 ? 0 : 2)]));
  const operand = exMapper((p) => substitute(p, (s) => first.get(s)))(plan.kernel.b);
  const whole = (s: Sliding): Range => ({ from: 0, to: s.extent + 2 });
  if (operand.kind !== 'load' || operand.fill !== 0) return { operand, y: whole(y), x: whole(x) };
  const guard = operand.guard.filter((c) => [y, x].every((s) => !rangeWhere(c, s.slide.name)));
  const inside = (s: Sliding): Range =>
    operand.guard.reduce((r, c) => {
      const { from, to } = rangeWhere(c, s.slide.name) ?? r;
      return { from: Math.max(r.from, from), to: Math.min(r.to, to) };
    }, whole(s));
  return { operand: { ...operand, guard }, y: inside(y), x: inside(x) };
}

/** (lines, rows of tiles, to, room for a grid): Bᵀ d B of four tiles at a time. */
function buildTransform(plan: ImagePlan, sizes: Sizes, context: EmitContext): Func {
  const { tile, size, tilesX, filtering } = plan;
  const pitch = pitchOf(plan);
  const names = ['lines', 'rows', 'to', 'grid'] as const;
  const f = context.helper('transformPatches', names);
  const given = params(f, ...names);
  const { row, line, from, to, at, end } = locals(f, 'row', 'line', 'from', 'to', 'at', 'end');
  const code: Stmt[] = [];
  const keep = keeper(f, code);
  const d = (i: number, u: number): V128 => keep(v128.load(from.get, 4 * (pitch * i + 4 * u)));
  const grid = gridOf(given.grid, size, keep, (s) => void code.push(s));
  down(filtering.B, tile + 1, d, grid, keep);
  for (const i of range(size)) {
    const values = range(tile + 1).map((u) => grid.get(i, u));
    times(filtering.B, shifts(values, keep), keep).forEach((value, j) =>
      code.push(v128.store(at.get, value, 4 * sizes.plane * (size * i + j))),
    );
  }
  code.push(advance(at, 16));
  f.body.push(
    line.set(given.lines),
    to.set(given.to),
    ...forLoop(row, i32.const(0), given.rows, 1, [
      at.set(to.get),
      end.set(i32.add(line.get, i32.const(4 * tile * tilesX))),
      ...forLoop(from, line.get, end.get, 16 * tile, code),
      advance(line, 4 * tile * pitch),
      advance(to, 4 * tilesX),
    ]),
  );
  return f;
}

/** Every second or fourth of a row of neighbours, which has one vector more than that, from column 0, 1, … on. */
function shifts(row: readonly V128[], keep: (v: V128) => V128): V128[] {
  const next = row.at(-1)!;
  const columns = row.length === 3 ? halves(row, keep) : alternate(row.slice(0, 4), keep).map(keep);
  const moved = (i: number): V128 => keep(v128.shuffle(columns[i]!, next, [1, 2, 3, 4 + i]));
  return [...columns, moved(0), moved(1)];
}

const halves = ([a, b]: readonly V128[], keep: (v: V128) => V128): V128[] => [
  keep(v128.shuffle(a!, b!, [0, 2, 4, 6])),
  keep(v128.shuffle(a!, b!, [1, 3, 5, 7])),
];
