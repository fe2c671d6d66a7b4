/** What a convolution has at least that a backend computes with fewer multiplications (`backend/wasm/winograd`). */
export interface WindowRule {
  /** Taps along either axis; exactly so many. */
  readonly taps: number;
  /** Rows and columns of results. */
  readonly extent: number;
  /** Channels, and results that read the same patch. */
  readonly depth: number;
  /** Tiles of two rows and columns, where the number of images is known. */
  readonly tiles: number;
}

/** Fewer channels or results do not pay for the transforms of patches and results (measured), fewer tiles not for the weights'. */
export const transformedWindow: WindowRule = { taps: 3, extent: 4, depth: 12, tiles: 32 };
