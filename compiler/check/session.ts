/** What one elaboration starts from. */
import { Graph } from '../ir/graph.ts';
import { call, spend } from './calls.ts';
import { evaluate } from './expressions.ts';
import type { Reporter } from './reporter.ts';
import type { Context, Differentiate, Owner, Scope, Session } from './values.ts';

/** How many calls and repetitions one elaboration may expand. */
const expansions = 200_000;

export interface SessionOptions {
  readonly reporter: Reporter;
  readonly differentiate: Differentiate | undefined;
  readonly data?: Session['data'];
  readonly abstract?: boolean;
  readonly used?: Set<unknown>;
}

export function createSession(options: SessionOptions): Session {
  return {
    graph: new Graph(),
    reporter: options.reporter,
    run: { evaluate, call },
    differentiate: options.differentiate,
    declared: new Map(),
    tensors: new Map(),
    iters: new Map(),
    loops: new Map(),
    fuel: { left: expansions },
    asked: { training: false, random: false },
    data: options.data,
    abstract: options.abstract ?? false,
    used: options.used ?? new Set(),
    spend,
  };
}

export const createOwner = (unnamed?: string): Owner => ({
  path: '',
  children: new Map(),
  childNames: new Set(),
  ...(unnamed === undefined ? {} : { unnamed }),
});

/** The outermost place of an elaboration. */
export function createContext(session: Session, scope: Scope, owner: Owner, training: boolean): Context {
  return {
    session,
    scope,
    training,
    owner,
    site: '',
    copy: '',
    naming: undefined,
    memo: undefined,
    assumed: [],
    calls: [],
    initial: undefined,
    updates: new Map(),
    draws: new Map(),
  };
}
