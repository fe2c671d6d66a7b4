/**
 * What of the command line needs the compiler, to be imported as one: the bundler makes a file of everything that two imports
 * have in common, and every file takes a start a millisecond.
 */
export { check } from './commands/check.ts';
export { compileModule } from './commands/compile.ts';
export { doc } from './commands/doc.ts';
export { explain } from './commands/explain.ts';
export { fmt } from './commands/fmt.ts';
export { compileTaskAnew } from './compilation.ts';
export { measurePeaks } from './peaks.ts';
export { rooflineTable, timings, workOf } from './roofline.ts';
export { runModel } from './run-model.ts';
