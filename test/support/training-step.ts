/** Training steps of random graphs. */
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Computation, Leaf } from '../../compiler/ir/graph.ts';
import { topological } from '../../compiler/ir/walk.ts';
import type { RandomGraph } from './random-graph.ts';

/** The same graph as a training step: every float leaf moves against its gradient. */
export function trainingStep(random: RandomGraph): Computation {
  const { graph, computation, loss } = random;
  const floats = topological([loss]).filter((n): n is Leaf => n.op === 'leaf' && n.dtype === 'f32');
  const constant = gradient(graph, loss, floats).problems.map((p) => p.wrt);
  const leaves = floats.filter((f) => !constant.includes(f));
  const found = gradient(graph, loss, leaves);
  const updates = leaves.map((leaf, i) => {
    const g = found.gradients[i] as (typeof found.gradients)[number];
    return {
      leaf,
      value: graph.map('sub', [leaf, graph.map('mul', [g, graph.full(0.25, 'f32', leaf.shape)])]),
    };
  });
  return { ...computation, updates };
}
