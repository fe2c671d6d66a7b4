/**
 * Which variant of the generated code suits this engine and processor: checked and measured once, then remembered. Today that
 * is the register tile of products: with pairs of vectors (V8's revectorization, AVX2) twice as wide a one is faster, without
 * them it spills.
 */
import type { Func } from '../compiler/backend/wasm/encoder.ts';
import { Module } from '../compiler/backend/wasm/encoder.ts';
import { mainTile, type Tile } from '../compiler/backend/wasm/contract/tiles.ts';
import { buildMicro } from '../compiler/backend/wasm/contract/micro.ts';

/** Steps of k of a panel: both panels stay in the first-level cache. */
const depth = 256;
/** How much faster the wide tile has to be, as what it leaves over at the edges is larger. */
const margin = 1.2;

const floats = (tile: { readonly vectors: number }): number => 4 * tile.vectors;

type Micro = (count: number, a: number, b: number, tile: number, add: number) => void;

/** Whether products should use wide register tiles: these give the same bits, and are faster. Takes about 50 ms. */
export function prefersWideTiles(relaxed: boolean): boolean {
  const memory = new WebAssembly.Memory({ initial: 2 });
  const module = new Module({ shared: false });
  const modes = [false, true].map((wide) => ({ relaxed, wide }));
  const tiles = modes.map(mainTile) as [Tile, Tile];
  const [narrowTile, wideTile] = tiles;
  const { rows } = wideTile;
  const made = tiles.map((t, i) => exported(module, `tile${i}`, buildMicro(module, t, modes[i]!)));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode() as BufferSource), {
    env: { memory },
  });
  const [narrow, wide] = made.map((name) => instance.exports[name] as Micro) as [Micro, Micro];
  const values = new Float32Array(memory.buffer);
  const [a, b, packed, tile] = [0, 1, 2, 3].map((i) => i * 8192) as [number, number, number, number];
  for (let i = 0; i < rows * depth; i++) values[a + i] = ((i * 37) % 101) / 50 - 1;
  const columns = floats(wideTile);
  const used = floats(narrowTile);
  for (let k = 0; k < depth; k++)
    for (let j = 0; j < columns; j++) {
      const value = ((k * 53 + j * 29) % 97) / 48 - 1;
      values[b + k * columns + j] = value;
      if (j < used) values[packed + k * used + j] = value;
    }
  const run = (micro: Micro, panel: number): Float32Array => {
    micro(depth, 4 * a, 4 * panel, 4 * tile, 0);
    return values.slice(tile, tile + rows * columns);
  };
  const [forWide, forNarrow] = leasts(
    () => run(wide, b),
    () => run(narrow, packed),
  );
  const [found, expected] = [run(wide, b), run(narrow, packed)];
  const same = Array.from({ length: rows }, (_, row) => row).every((row) =>
    Array.from({ length: used }, (_, j) => j).every(
      (j) => found[row * columns + j] === expected[row * used + j],
    ),
  );
  return same && (forWide / columns) * margin < forNarrow / used;
}

/** The register kernel under a name that JavaScript can call. */
function exported(module: Module, name: string, micro: Func): string {
  const f = module.func(
    name,
    ['count', 'a', 'b', 'tile', 'add'].map((p) => [p, 'i32'] as const),
    'void',
    true,
  );
  f.body.push(micro.call('void', ...f.params.map((p) => p.get)));
  return name;
}

/**
 * Milliseconds of the fastest of many calls of either; in turn, so that what disturbs one disturbs both, and long enough for
 * the engine to optimise the code.
 */
function leasts(first: () => void, second: () => void): readonly [number, number] {
  const found: [number, number] = [Infinity, Infinity];
  for (const until = performance.now() + 50; performance.now() < until;)
    for (const [i, body] of [first, second].entries()) {
      const began = performance.now();
      for (let n = 0; n < 10; n++) body();
      found[i] = Math.min(found[i] ?? Infinity, performance.now() - began);
    }
  return found;
}
