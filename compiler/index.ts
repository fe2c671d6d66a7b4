/** The compiler as a library: `import { check, load, compileTask } from 'nnetc'`. */
export { check, compileModel, compileTask, load } from './compile.ts';
export type { Compiled, CompiledModel, CompiledTask, CompileOptions } from './compile.ts';
export { type Host, modelsOf, tasksOf } from './check/index.ts';
export { parse, print } from '../grammar/index.ts';
export type { Problem } from '../grammar/problem.ts';
export type { SourceFile, Span } from '../grammar/span.ts';
export { helpOf, messageOf, plain, problemToJson, renderProblems } from './diagnostics/index.ts';
export { printModule, programText } from './emit/module.ts';
export type * from './plan.ts';
