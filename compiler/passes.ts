/**
 * A pipeline of named passes over computations, verified after each: a broken graph names the pass that broke it. The
 * bundled compiler leaves the verification out, which takes a tenth of the time: its tests ran with it.
 */
import type { Computation, Node } from './ir/graph.ts';
import { verify } from './ir/verify.ts';

/** Set where the compiler is bundled (scripts/build.mjs). */
declare const NNETC_BUILD: string | undefined;
const isReleased = typeof NNETC_BUILD !== 'undefined';

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
  const verified = new Set<Node>();
  return passes.reduce((computation, pass) => {
    const begin = performance.now();
    const made = pass.run(computation);
    const ms = performance.now() - begin;
    if (!isReleased) verify(made, pass.name, verified);
    observe?.({ pass: pass.name, computation: made, ms });
    return made;
  }, start);
}
