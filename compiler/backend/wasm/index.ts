export { emitWasm, printWasm } from './emit.ts';
export type { Emitted, EmitOptions } from './emit.ts';
