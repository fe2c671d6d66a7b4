/**
 * Sums over k of a contraction's b, which go along with it: the panels of B are added up while they are in the cache, by the
 * units of the first block of m. At the end the stores of the sums run, as those of a contraction of one row do.
 */
import type { ContractKernel, Store } from '../../../kernel/kernel.ts';
import { exRebuilder } from '../../../kernel/rebuild.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32, Stmt } from '../encoder.ts';
import { brIf, f32x4, forLoop, i32, loop, v128, when } from '../instr.ts';
import { clear } from '../loops.ts';
import { buildEpilogue } from './epilogue.ts';
import type { Part } from '../parts.ts';
import type { ContractPlan } from './plan.ts';

/** Code of the units of one kernel. `area`: where the sums of a unit's block of n lie. */
export class Sums {
  private readonly addPanel: Func;
  private readonly stores: Func;
  private readonly lanes: number;

  constructor(
    k: ContractKernel,
    sums: readonly Store[],
    plan: ContractPlan,
    private readonly context: EmitContext,
  ) {
    this.lanes = 4 * plan.tile.vectors;
    this.addPanel = buildAddPanel(plan.tile.vectors, context);
    const acc = { kind: 'local', dtype: 'f32', name: 'acc' } as const;
    const asAcc = exRebuilder((ex) => (ex.kind === 'local' && ex.name === 'sum' ? acc : ex));
    const stores = sums.map((s) => ({ ...s, value: asAcc(s.value) }));
    this.stores = buildEpilogue({ ...k, m: [], stores }, plan.tile.vectors, context, 'sums');
  }

  begin(m: Part, area: I32, bytes: number): Stmt[] {
    return when(isFirst(m), clear(this.context.f, area, i32.const(bytes)));
  }

  /** Adds the panel of the strip that begins at lane `strip` of the block, `depth` k's of it. */
  add(m: Part, strip: I32, depth: I32, panel: I32, area: I32): Stmt[] {
    const to = i32.add(area, i32.mul(strip, i32.const(4)));
    return when(isFirst(m), [this.addPanel.call('void', depth, panel, to)]);
  }

  store(m: Part, n: Part, area: I32): Stmt[] {
    const strip = this.context.f.local('i32', 'strip');
    const at = i32.add(area, i32.mul(strip.get, i32.const(4)));
    const one = this.stores.call('void', i32.const(0), i32.add(n.first, strip.get), i32.const(1), at);
    return when(isFirst(m), forLoop(strip, i32.const(0), n.size, this.lanes, [one]));
  }
}

const isFirst = (m: Part): I32 => i32.eqz(m.first);

/** (count of k >= 1, panel, sums). In the order of k, so that blocks of k make no difference. */
function buildAddPanel(vectors: number, context: EmitContext): Func {
  const f = context.helper('addPanel', ['count', 'panel', 'to']);
  const [count, panel, to] = [f.param(0), f.param(1), f.param(2)];
  const sums = Array.from({ length: vectors }, () => f.local('v128', 'sum'));
  f.body.push(
    ...sums.map((s, j) => s.set(v128.load(to.get, 16 * j))),
    loop(
      ...sums.map((s, j) => s.set(f32x4.add(s.get, v128.load(panel.get, 16 * j)))),
      panel.set(i32.add(panel.get, i32.const(16 * vectors))),
      brIf(0, count.tee(i32.sub(count.get, i32.const(1)))),
    ),
    ...sums.map((s, j) => v128.store(to.get, s.get, 16 * j)),
  );
  return f;
}
