/** Questions about expressions. */
import type { Ex, Stage } from '../../kernel/kernel.ts';
import { loadsIn, rootsOf } from '../../kernel/walk.ts';

/** Scalar operations of all the values, each object once; without end where one is a contraction. */
export function operationsIn(values: readonly Ex[]): number {
  const seen = new Set<Ex>();
  let found = 0;
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind === 'op') {
      found++;
      ex.args.forEach(visit);
    }
    if (ex.kind === 'dot') found = Infinity;
    if (ex.kind === 'load' || ex.kind === 'index') for (const { value } of ex.data) visit(value);
  };
  values.forEach(visit);
  return found;
}

interface Touched {
  readonly reads: ReadonlySet<number>;
  readonly writes: ReadonlySet<number>;
}

function touched(stage: Stage): Touched {
  const reads = new Set(rootsOf(stage).flatMap((root) => loadsIn(root).map((l) => l.buffer)));
  const writes = new Set(stage.kind === 'map' ? stage.stores.map((s) => s.buffer) : []);
  return { reads, writes };
}

/** Some buffer that one of the stages writes is touched by the other. */
export function conflict(a: Stage, b: Stage): boolean {
  const [x, y] = [touched(a), touched(b)];
  const meets = ({ writes }: Touched, other: Touched): boolean =>
    [...writes].some((w) => other.writes.has(w) || other.reads.has(w));
  return meets(x, y) || meets(y, x);
}
