import { expect, it } from 'vitest';
import { rowsOfBlock, tilesFor } from '../../compiler/backend/wasm/contract/tiles.ts';

const modes = [false, true].flatMap((relaxed) => [false, true].map((wide) => ({ relaxed, wide })));

// V8 gives 15 vector registers; what does not fit goes to memory and back in every step of a product.
it.each(modes)('every tile stays in registers: relaxed $relaxed, wide $wide', (mode) => {
  for (const { rows, vectors } of tilesFor(mode)) {
    const isPaired = mode.wide && vectors % 2 === 0;
    const perRow = isPaired ? vectors / 2 : vectors;
    const products = mode.relaxed ? 0 : 1;
    const values = Math.min(rows, rowsOfBlock(rows, vectors, mode));
    expect((rows + 1) * perRow + values + products, `${rows} x ${vectors}`).toBeLessThanOrEqual(15);
  }
});
