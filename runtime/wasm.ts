/** The wasm device. */
export { supportsRelaxedSimd } from './relaxed.ts';
