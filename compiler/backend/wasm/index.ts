export { emitWasm, printWasm } from './emit.ts';
export type { Emitted, EmitOptions, Preparation } from './emit.ts';
