/** A program that compiles text which it holds in memory and runs the model at once: what an editor in a browser does. */
import { check, compileModel, load, programText, renderProblems, type Host } from 'nnetc';
import { defineModel, tensor, type Tensor } from 'nnetc/runtime';

export const source = `
/// The length of each row, and the row in that direction.
model Polar {
  input x: f32[batch, n]
  output radius: f32[batch]
  output direction: f32[batch, n]

  radius[b] = sqrt(sum(i) x[b, i]^2)
  direction[b, i] = x[b, i] / radius[b]
}
`;

/** Files by name; imports are looked for in the same place. */
function memory(files: Readonly<Record<string, string>>): Host {
  return {
    read: (path) => files[path],
    resolve: (_from, specifier) => specifier.replace(/^\.\//, ''),
  };
}

/** What is wrong with a text, as the command line would print it; nothing when it is right. */
export function mistakes(text: string): string {
  const { problems, sources } = check('polar.nnet', memory({ 'polar.nnet': text }));
  return renderProblems(problems, sources, { color: false });
}

/** A type, not an interface: a module that is made while the program runs has no file for `tsc` to read. */
type Polar = { readonly radius: Tensor<'f32'>; readonly direction: Tensor<'f32'> };

/** Compiles the text for Wasm and runs it. */
export async function polar(text: string, rows: readonly (readonly [number, number])[]): Promise<Polar> {
  const file = load('polar.nnet', memory({ 'polar.nnet': text }));
  const { result } = compileModel(file, 'Polar', { target: 'wasm', relaxed: false });
  if (!result) throw new Error(mistakes(text));
  const model = defineModel<{ x: Tensor<'f32'> }, Polar, object, object>({
    name: 'Polar',
    programs: { wasm: programText(result.program) },
    metrics: [],
  });
  const net = await model.load();
  try {
    return await net.predict({ x: tensor('f32', [rows.length, 2], rows.flat()) });
  } finally {
    net.close();
  }
}
