/**
 * Register tiles: rows and vectors of results that the register kernel keeps in registers, and what they cost. V8 decides which
 * are fast: it has 15 vector registers to give, and computes a block of straight code with all its loads first.
 */

export interface Tile {
  readonly rows: number;
  readonly vectors: number;
}

/** Whether products and sums are fused, and whether the engine pairs vectors. */
export interface Mode {
  readonly relaxed: boolean;
  readonly wide: boolean;
}

const registers = 15;

/** Whether the engine has two vectors in one register. */
const arePaired = (vectors: number, { wide }: Mode): boolean => wide && vectors % 2 === 0;

/** Registers of a row of the tile. */
const registersOf = (vectors: number, mode: Mode): number =>
  arePaired(vectors, mode) ? vectors / 2 : vectors;

/** Registers that are left for loads: a product on its way to its sum takes one where the two are not fused. */
const free = (taken: number, { relaxed }: Mode): number => Math.max(1, registers - taken - (relaxed ? 0 : 1));

/** How many vectors of B a block of code may load beside so many sums and a value of A. */
export const loadsAtOnce = (sums: number, mode: Mode): number =>
  free(registersOf(sums, mode) + 1, mode) * (arePaired(sums, mode) ? 2 : 1);

/**
 * Of how many rows a block of code may hold the products. It loads a value of A for each of them before the first product; sums and a
 * row of B are in registers beside these.
 */
export const rowsOfBlock = (rows: number, used: number, mode: Mode): number =>
  free((rows + 1) * registersOf(used, mode), mode);

const tile = (rows: number, vectors: number): Tile => ({ rows, vectors });
/** By mode, the tile for large products first. */
const tiles = {
  fused: [tile(6, 2), tile(4, 2), tile(3, 3)],
  exact: [tile(4, 2), tile(3, 3)],
} as const;
const wideTiles = {
  fused: [tile(6, 4), tile(4, 4)],
  exact: [tile(4, 4)],
} as const;

/** The tiles to choose from, that for large products first. */
export function tilesFor({ relaxed, wide }: Mode): readonly Tile[] {
  const products = relaxed ? 'fused' : 'exact';
  return wide ? [...wideTiles[products], ...tiles[products]] : tiles[products];
}

/** The tile for large products. */
export const mainTile = (mode: Mode): Tile => tilesFor(mode)[0]!;

/** The last rows of a tall tile, if they are no more than these, have a register kernel of their own. */
export const fewRows = ({ rows }: Tile): number => (rows > 4 ? 4 : 0);

/**
 * Cycles of one k: of a register of results, and of what comes to that; measured where products and sums are fused, where they are
 * not, and with pairs of vectors. So long a sum waits for itself at least.
 */
const costs = { fused: { each: 0.47, k: 0.95 }, exact: { each: 0.78, k: 0 }, pair: { each: 0.39, k: 2 } };
const addLatency = 4;

/** Cycles of one k of a tile of so many rows, of which so many vectors are used. */
export function stripCost(rows: number, vectors: number, mode: Mode): number {
  const { each, k } = costs[mode.relaxed ? (arePaired(vectors, mode) ? 'pair' : 'fused') : 'exact'];
  return Math.max(addLatency, rows * registersOf(vectors, mode) * each + k);
}

/** Cycles of one k of all strips of so many rows of A. */
export function rowsCost(tile: Tile, count: number, vectors: number, mode: Mode): number {
  const rest = count % tile.rows;
  const last = rest === 0 ? 0 : stripCost(rest <= fewRows(tile) ? fewRows(tile) : tile.rows, vectors, mode);
  return Math.floor(count / tile.rows) * stripCost(tile.rows, vectors, mode) + last;
}
