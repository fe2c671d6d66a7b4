/**
 * Blocks of a contraction of which not all products count (`ContractKernel.live`): which run of k a block of m and n needs.
 */
import type { ContractKernel } from '../../../kernel/kernel.ts';
import { type LiveBound, liveBounds } from '../../../kernel/live.ts';
import type { Func, I32, Local, Stmt } from '../encoder.ts';
import { i32, maxI32, minI32, select } from '../instr.ts';
import type { Lowering } from '../lower.ts';
import type { Depth } from './panels.ts';
import type { Part } from '../parts.ts';

/** With its constant computed. */
type Bound = Omit<LiveBound, 'constant'> & { readonly constant: I32 };

export class Live {
  private readonly bounds: readonly Bound[];
  private readonly limit: Local<'i32'>;

  constructor(
    kernel: ContractKernel,
    lower: Lowering,
    private readonly f: Func,
  ) {
    this.bounds = liveBounds(kernel.live ?? [], kernel).map((bound) => ({
      ...bound,
      constant: lower.keep(lower.poly(bound.constant)),
    }));
    this.limit = f.local('i32', 'limit');
  }

  /** The k of `depth` that count anywhere in the block, in locals of its own that the code sets; none if they end where they begin. */
  depthOf(m: Part, n: Part, depth: Depth): Depth & { readonly code: readonly Stmt[] } {
    const [from, to] = [this.f.local('i32', 'from'), this.f.local('i32', 'to')];
    const narrow = this.bounds.flatMap((bound) => this.narrow(bound, m, n, from, to));
    const code = [from.set(depth.from), to.set(depth.to), ...narrow, to.set(maxI32(from.get, to.get))];
    return { from: from.get, to: to.get, code };
  }

  /** By the greatest value that the condition has in the block without its k. */
  private narrow(
    { constant, m, n, k }: Bound,
    rows: Part,
    lanes: Part,
    from: Local<'i32'>,
    to: Local<'i32'>,
  ): Stmt[] {
    const { limit } = this;
    const sum = [most(m, rows), most(n, lanes)].reduce((x, y) => i32.add(x, y), constant);
    if (k < 0) return [limit.set(i32.add(sum, i32.const(1))), to.set(minI32(limit.get, to.get))];
    if (k > 0) return [limit.set(i32.sub(i32.const(0), sum)), from.set(maxI32(limit.get, from.get))];
    return [limit.set(sum), to.set(select(i32.ltS(limit.get, i32.const(0)), from.get, to.get))];
  }
}

/** The greatest multiple of an index of the block. */
function most(times: number, { first, size }: Part): I32 {
  if (times === 0) return i32.const(0);
  const index = times > 0 ? i32.add(first, i32.sub(size, i32.const(1))) : first;
  return i32.mul(index, i32.const(times));
}
