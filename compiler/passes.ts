/** A pipeline of named passes over computations, verified after each: a broken graph names the pass that broke it. */
import type { Computation } from './ir/graph.ts';
import { verify } from './ir/verify.ts';

export interface Pass {
  readonly name: string;
  readonly run: (computation: Computation) => Computation;
}

/** What an observer learns of each pass: for timing, and for `nnetc explain`. */
export interface PassReport {
  readonly pass: string;
  readonly computation: Computation;
  /** Milliseconds, the verification not counted. */
  readonly ms: number;
}

export type Observer = (report: PassReport) => void;

/** Runs the passes in order. @throws an internal error naming the pass when a graph it made is not well-formed */
export function runPasses(start: Computation, passes: readonly Pass[], observe?: Observer): Computation {
  return passes.reduce((computation, pass) => {
    const begin = performance.now();
    const made = pass.run(computation);
    const ms = performance.now() - begin;
    verify(made, pass.name);
    observe?.({ pass: pass.name, computation: made, ms });
    return made;
  }, start);
}
