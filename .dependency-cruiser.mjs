// Imports point one way: cli -> compiler -> grammar, runtime -> compiler/plan.ts and memory.ts, and inside the compiler
// shape <- ir <- check, grad, rewrite <- schedule <- backend <- compile. The table below *is* that picture:
// for every part, all it may import besides itself. test/architecture.test.ts enforces it.

const any = ['.*'];
const noPackages = { packages: [], node: false };

/**
 * `may`: patterns of project files; `mayType`: files it may name in `import type` only;
 * `packages`: npm packages; `node`: whether Node's own modules are allowed.
 */
const parts = {
  'grammar/': { may: [], packages: ['chevrotain'], node: false },
  'compiler/plan.ts': { may: [], ...noPackages },
  'compiler/memory.ts': { may: ['compiler/plan.ts'], ...noPackages },
  'compiler/stdlib.generated.ts': { may: [], ...noPackages },
  'compiler/shape/': { may: [], ...noPackages },
  'compiler/diagnostics/': { may: ['grammar/'], ...noPackages },
  'compiler/ir/': {
    may: ['compiler/shape/', 'compiler/plan.ts'],
    mayType: ['grammar/span.ts'],
    ...noPackages,
  },
  'compiler/check/': {
    may: [
      'grammar/',
      'compiler/shape/',
      'compiler/ir/',
      'compiler/diagnostics/',
      'compiler/stdlib.generated.ts',
    ],
    mayType: ['compiler/plan.ts'],
    ...noPackages,
  },
  'compiler/grad/': { may: ['compiler/ir/', 'compiler/shape/'], ...noPackages },
  'compiler/rewrite/': { may: ['compiler/ir/', 'compiler/shape/'], ...noPackages },
  'compiler/kernel/': { may: ['compiler/shape/'], mayType: ['compiler/ir/'], ...noPackages },
  'compiler/schedule/': {
    may: ['compiler/kernel/', 'compiler/ir/', 'compiler/shape/', 'compiler/memory.ts'],
    ...noPackages,
  },
  'compiler/backend/': {
    may: ['compiler/kernel/', 'compiler/shape/', 'compiler/ir/ops.ts', 'compiler/plan.ts'],
    mayType: ['compiler/ir/graph.ts'],
    ...noPackages,
  },
  'compiler/emit/': { may: ['compiler/plan.ts'], ...noPackages },
  // compile.ts, passes.ts, index.ts and whatever else stands beside the folders put the stages together.
  'compiler/[^/]+$': { may: ['compiler/', 'grammar/'], ...noPackages },
  'runtime/': {
    may: ['compiler/plan.ts', 'compiler/memory.ts'],
    packages: ['webgpu', 'csv-parse'],
    node: true,
  },
  'cli/': { may: ['grammar/', 'compiler/', 'runtime/'], packages: any, node: true },
};

const ours = '^(grammar|compiler|runtime|cli|test|bench|examples|stdlib|scripts)/';
const anchored = (patterns) => patterns.map((pattern) => `^${pattern.replace('.ts', '\\.ts$')}`);
const named = Object.keys(parts).filter((part) => part.startsWith('compiler/') && !part.includes('['));

function rulesOf(part, { may, mayType = [], packages, node }) {
  const isRest = part.includes('[');
  const from = { path: anchored([part]), ...(isRest && { pathNot: anchored(named) }) };
  const name = isRest ? 'compiler' : part.replace(/\/$/, '');
  const forbid = (what, to) => ({ name: `${name}: ${what}`, severity: 'error', from, to });
  const self = isRest ? [] : anchored([part]);
  const rules = [
    forbid(`imports only ${[...may, ...mayType.map((file) => `${file} (types)`)].join(', ') || 'itself'}`, {
      path: ours,
      pathNot: [...self, ...anchored([...may, ...mayType])],
    }),
    forbid(`imports only the packages ${packages.join(', ') || '(none)'}`, {
      dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'],
      ...(packages.length > 0 && { pathNot: packages.map((name) => `^(node_modules/)?${name}(/|$)`) }),
    }),
  ];
  if (mayType.length > 0) {
    rules.push(
      forbid(`imports ${mayType.join(', ')} as types only`, {
        path: anchored(mayType),
        dependencyTypesNot: ['type-only'],
      }),
    );
  }
  if (!node) rules.push(forbid('runs in a browser too: no Node modules', { dependencyTypes: ['core'] }));
  return rules;
}

export default {
  forbidden: [
    { name: 'no cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'imports resolve', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...Object.entries(parts).flatMap(([part, allowed]) => rulesOf(part, allowed)),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules/.cache)/' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
};
