import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../', import.meta.url));
const cruiser = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
const config = join(root, '.dependency-cruiser.mjs');
const folders = ['grammar', 'compiler', 'runtime', 'cli'];

interface Report {
  readonly summary: {
    readonly violations: readonly { from: string; to: string; rule: { name: string } }[];
    readonly totalCruised: number;
  };
}

/** Every import under `cwd` that goes against the picture in .dependency-cruiser.mjs. */
function cruise(cwd: string): Promise<{ violations: string[]; cruised: number }> {
  const args = [cruiser, '--config', config, '--output-type', 'json', ...folders];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd, maxBuffer: 1 << 28 }, (_error, stdout, stderr) => {
      // Violations make the exit code non-zero: only output that is no report is a failure to run.
      if (!stdout.startsWith('{')) return reject(new Error(stderr || stdout));
      const { summary } = JSON.parse(stdout) as Report;
      const violations = summary.violations.map(({ from, to, rule }) => `${from} -> ${to} (${rule.name})`);
      resolve({ violations: violations.sort(), cruised: summary.totalCruised });
    });
  });
}

describe('imports', () => {
  it('point one way', async () => {
    const { violations, cruised } = await cruise(root);
    expect(violations).toEqual([]);
    expect(cruised).toBeGreaterThan(0);
  });
});

describe('the import check', () => {
  let folder: string;

  const files = {
    'grammar/span.ts': "import 'node:fs';\nexport const span = 1;\nexport type Span = number;\n",
    'grammar/upwards.ts': "import { shape } from '../compiler/shape/poly.ts';\nexport const up = shape;\n",
    'compiler/plan.ts': "import type { Span } from '../grammar/span.ts';\nexport type Plan = Span;\n",
    'compiler/shape/poly.ts': 'export const shape = 1;\n',
    'compiler/ir/graph.ts':
      "import { shape } from '../shape/poly.ts';\nimport type { Span } from '../../grammar/span.ts';\nexport const graph: Span = shape;\n",
    'compiler/ir/bad.ts': "import { span } from '../../grammar/span.ts';\nexport const bad = span;\n",
    'compiler/shape/bad.ts': "import { graph } from '../ir/graph.ts';\nexport const bad = graph;\n",
    'compiler/kernel/good.ts':
      "import type { graph } from '../ir/graph.ts';\nexport type Good = typeof graph;\n",
    'compiler/kernel/bad.ts': "import { graph } from '../ir/graph.ts';\nexport const bad = graph;\n",
    'compiler/compile.ts':
      "import { graph } from './ir/graph.ts';\nimport { span } from '../grammar/span.ts';\nexport const all = [graph, span];\n",
    'compiler/bad.ts': "import { run } from '../runtime/run.ts';\nexport const bad = run;\n",
    'compiler/grad/bad.ts': "import { all } from '../compile.ts';\nexport const bad = all;\n",
    'compiler/rewrite/cycle.ts': "import { b } from './other.ts';\nexport const a: number = b;\n",
    'compiler/rewrite/other.ts': "import { a } from './cycle.ts';\nexport const b: number = a;\n",
    'runtime/run.ts':
      "import type { Plan } from '../compiler/plan.ts';\nimport 'node:fs';\nexport const run: Plan = 1;\n",
    'runtime/bad.ts': "import { graph } from '../compiler/ir/graph.ts';\nexport const bad = graph;\n",
    'cli/main.ts':
      "import { all } from '../compiler/compile.ts';\nimport { run } from '../runtime/run.ts';\nimport 'node:fs';\nexport const main = [all, run];\n",
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nnet-imports-'));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('finds every import that points the wrong way, and no other', async () => {
    const { violations } = await cruise(folder);
    const imports = new Set(violations.map((violation) => violation.replace(/ \(.*/, '')));
    expect([...imports]).toEqual([
      'compiler/bad.ts -> runtime/run.ts',
      'compiler/grad/bad.ts -> compiler/compile.ts',
      'compiler/ir/bad.ts -> grammar/span.ts',
      'compiler/kernel/bad.ts -> compiler/ir/graph.ts',
      'compiler/plan.ts -> grammar/span.ts',
      'compiler/rewrite/cycle.ts -> compiler/rewrite/other.ts',
      'compiler/shape/bad.ts -> compiler/ir/graph.ts',
      'grammar/span.ts -> fs',
      'grammar/upwards.ts -> compiler/shape/poly.ts',
      'runtime/bad.ts -> compiler/ir/graph.ts',
    ]);
  });
});
