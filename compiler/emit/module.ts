/** A compiled model as the text of a typed TypeScript module that depends on `nnetc/runtime` only. */
import type { Plan, PlanDType, Program, Size } from '../plan.ts';

export interface ModuleParts {
  /** Name of the model: the exported constant. */
  readonly name: string;
  /** The `///` lines before the model. */
  readonly doc: string | undefined;
  /** The file it was compiled from, as the user wrote it. */
  readonly source: string;
  /** The same plans for each target: `init`, `predict`, and `train` where a task trains the model. */
  readonly programs: { readonly wasm?: Program; readonly webgpu?: Program };
  /** Scalar outputs of `train`: the loss first. */
  readonly metrics: readonly string[];
  /** The plans of training steps in turn, where not all are alike. */
  readonly cycle?: readonly string[];
}

/** The module's text; not formatted. */
export function printModule(parts: ModuleParts): string {
  const program = parts.programs.wasm ?? parts.programs.webgpu;
  const predict = program?.plans['predict'];
  if (!program || !predict) throw new Error('nothing was compiled');
  const { train } = program.plans;
  const types = [
    portType('Inputs', `What \`${parts.name}.predict\` takes.`, predict.inputs),
    portType('Outputs', `What \`${parts.name}.predict\` gives.`, predict.outputs),
    portType(
      'Batch',
      train ? `What one training step takes.` : 'There is no training step.',
      train?.inputs ?? [],
    ),
    metricsType(train ? parts.metrics : []),
    pathsType(program),
  ];
  const compiled = [
    `name: ${JSON.stringify(parts.name)}`,
    `metrics: ${JSON.stringify(train ? parts.metrics : [])}`,
    ...(parts.cycle ? [`cycle: ${JSON.stringify(parts.cycle)}`] : []),
    `programs: { ${programTexts(parts.programs).join(', ')} }`,
  ];
  return [
    `// Made from ${parts.source} by nnetc; changes are lost when it is compiled again.`,
    `import { defineModel, type LoadedModel, type ModelModule, type Tensor } from 'nnetc/runtime';`,
    '',
    ...types,
    `/** ${parts.name}, loaded on a device. */`,
    `export type Loaded${parts.name} = LoadedModel<Inputs, Outputs, Batch, Metrics>;`,
    '',
    ...docLines(parts.doc ?? parts.name),
    `export const ${parts.name}: ModelModule<Inputs, Outputs, Batch, Metrics> = defineModel({ ${compiled.join(', ')} });`,
    '',
    `export default ${parts.name};`,
    '',
  ].join('\n');
}

const docLines = (doc: string): string[] => [
  '/**',
  ...doc.split('\n').map((line) => ` * ${line.trim().replaceAll('*/', '*\\/')}`),
  ' */',
];

function portType(name: string, doc: string, ports: Plan['inputs']): string {
  const fields = ports.map(
    (p) =>
      `  readonly ${key(p.name)}: Tensor<'${carrier(p.dtype)}', readonly [${p.shape.map(dimension).join(', ')}]>;`,
  );
  return [`/** ${doc} */`, `export interface ${name} {`, ...fields, '}', ''].join('\n');
}

const metricsType = (names: readonly string[]): string =>
  [
    '/** Loss and metrics of one training step. */',
    'export interface Metrics {',
    ...names.map((n) => `  readonly ${key(n)}: number;`),
    '}',
    '',
  ].join('\n');

function pathsType(program: Program): string {
  const paths = program.tensors
    .filter((t) => t.role === 'param' || t.role === 'state')
    .map((t) => JSON.stringify(t.path));
  return [
    '/** Paths of the parameters and states. */',
    `export type Path = ${paths.length > 0 ? paths.join(' | ') : 'never'};`,
    '',
  ].join('\n');
}

const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

const carrier = (dtype: PlanDType): string => (dtype === 'f16' ? 'f32' : dtype);

/** Sizes that are known are literals, the others `number`. */
const dimension = (size: Size): string => (typeof size === 'number' ? String(size) : 'number');

function programTexts(programs: ModuleParts['programs']): string[] {
  return (['wasm', 'webgpu'] as const).flatMap((target) => {
    const program = programs[target];
    return program ? [`${target}: ${JSON.stringify(programText(program))}`] : [];
  });
}

/** JSON with Wasm bytes as base64; how much work a dispatch is matters to threads only, and stays out. */
export function programText(program: Program): string {
  return JSON.stringify(program, (name, value: unknown) => {
    if (name === 'flops') return 0;
    return name === 'work' ? undefined : value instanceof Uint8Array ? toBase64(value) : value;
  });
}

/** Without Buffer, so that the compiler runs in browsers. */
function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x2000)
    text += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
  return btoa(text);
}
