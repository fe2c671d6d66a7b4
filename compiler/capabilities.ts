/** What a target cannot compute at all: found before anything is scheduled, and reported where the program asks for it. */
import type { Label, Problem } from '../grammar/problem.ts';
import { libraryPrefix } from './check/reporter.ts';
import type { CheckFields } from './diagnostics/catalogue.ts';
import type { Computation } from './ir/graph.ts';
import { withBodies } from './ir/walk.ts';
import type { DType } from './ir/ops.ts';
import type { Target } from './plan.ts';

/** Dtypes that a target has no code for. A GPU may lack f16 too; that is known when it is opened. */
const lacking: { readonly [T in Target]: readonly DType[] } = { wasm: ['f16'], webgpu: [], reference: [] };

/** One problem for each dtype that the target lacks, at the first place of the text that computes with it. */
export function unsupported(
  computations: Readonly<Record<string, Computation>>,
  target: Target,
): readonly Problem[] {
  return lacking[target].flatMap((dtype) => {
    for (const c of Object.values(computations)) {
      const roots = [...c.outputs.map((o) => o.node), ...c.updates.map((u) => u.value)];
      const nodes = withBodies(roots).filter((n) => n.dtype === dtype);
      if (nodes.length === 0) continue;
      const origins = nodes.flatMap((n) => c.graph.originsOf(n));
      const span = origins.find((o) => !o.file.startsWith(libraryPrefix));
      const labels: Label[] = span ? [{ span, text: dtype, primary: true }] : [];
      const fields: CheckFields<'E0325'> = { dtype, target };
      return [{ code: 'E0325', severity: 'error', fields, labels }];
    }
    return [];
  });
}
