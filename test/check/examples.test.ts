import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { elaborateTask } from '../../compiler/check/index.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { topological } from '../../compiler/ir/graph.ts';
import { modelOf, shown, library } from './support.ts';

test('library parses', () => { expect(library.files.filter((f) => !f.whole).map((f) => f.path)).toEqual([]); });
for (const name of ['mnist', 'lenet']) {
  test(name, () => {
    const model = modelOf(readFileSync(`examples/${name}.nnet`, 'utf8'));
    expect(shown(model.problems)).toEqual([]);
    const { graphs, problems } = elaborateTask(model, 'train');
    expect(shown(problems)).toEqual([]);
    for (const c of Object.values(graphs!.computations)) { verify(c, 'elaborate'); console.log(c.name, topological([...c.outputs.map((o) => o.node), ...c.updates.map((u) => u.value)]).length); }
    console.log(JSON.stringify(graphs!.tensors.map((t) => `${t.role} ${t.path} ${t.shape}`)), JSON.stringify(graphs!.steps), JSON.stringify(graphs!.models));
  });
}
