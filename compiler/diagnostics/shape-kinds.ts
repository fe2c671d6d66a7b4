/** E03xx: shapes, dimensions, indices and dtypes. */
import { near, row } from './row.ts';

const list = (dims: readonly string[]): string => `[${dims.join(', ')}]`;

export const shapeProblems = {
  E0301: row<{ what: string; left: string; right: string; help: string | undefined }>({
    title: 'two dimensions that should be equal differ',
    message: (f) => `${f.what}: ${f.left} is not ${f.right}`,
    help: (f) => f.help,
  }),
  E0302: row<{ what: string; expected: string; found: readonly string[] }>({
    title: 'a tensor with another number of dimensions',
    message: (f) => `${f.what} needs ${f.expected}, and its shape here is ${list(f.found)}`,
    help: () => '`reshape`, `Flatten()` and subscripts change the number of dimensions',
  }),
  E0303: row<{ what: string; expected: string; found: string }>({
    title: 'a tensor of another dtype',
    message: (f) => `${f.what} must be ${f.expected}, and this is ${f.found}`,
    help: (f) => `convert it: \`${f.expected}(…)\``,
  }),
  E0304: row<{ dims: readonly string[]; declared: readonly string[]; name: string }>({
    title: 'a result whose shape is not the declared one',
    message: (f) => `\`${f.name}\` is declared ${list(f.declared)}, and its equation gives ${list(f.dims)}`,
    help: () => 'change the declared type or the equation',
  }),
  E0305: row<{ name: string; of: string; near: string | undefined }>({
    title: 'a dimension that nothing binds',
    message: (f) => `nothing says how large \`${f.name}\` is in the type of \`${f.of}\``,
    help: (f) =>
      near(f.near) ??
      `a dimension gets its size from an input's type or from a parameter: \`${f.name}: int\``,
  }),
  E0306: row<{ name: string; dims: readonly string[] }>({
    title: 'a parameter whose size is not known while compiling',
    message: (f) =>
      `the parameter \`${f.name}\` would have the shape ${list(f.dims)}, whose size is not a number`,
    help: () => "give the model's input literal sizes for these dimensions",
  }),
  E0307: row<{ index: string }>({
    title: 'an index whose range is not known',
    message: (f) => `nothing says how far \`${f.index}\` runs`,
    help: (f) => `state it: \`sum(${f.index} in 0:10) …\`, or use it alone as a subscript`,
  }),
  E0308: row<{ index: string; left: string; right: string }>({
    title: 'an index that runs over two different dimensions',
    message: (f) => `\`${f.index}\` runs over two dimensions of different size: ${f.left} is not ${f.right}`,
    help: () => 'use another index for one of them, or make the dimensions equal',
  }),
  E0309: row<{ subscript: string; size: string; least: string; most: string }>({
    title: 'a subscript that may leave its dimension',
    message: (f) => `\`${f.subscript}\` may leave the dimension of size ${f.size}`,
    help: (f) => `it runs from ${f.least} to ${f.most}; \`pad\` the tensor, or state a smaller range`,
  }),
  E0310: row<{ index: string; size: string }>({
    title: 'an index with an empty range',
    message: (f) => `\`${f.index}\` would run over ${f.size} values`,
    help: () => 'the window is larger than what it slides over: use a smaller one, or padding',
  }),
  E0311: row<{ given: number; rank: number; dims: readonly string[] }>({
    title: 'more subscripts than dimensions',
    message: (f) => `${f.given} subscripts for a tensor of ${f.rank} dimensions ${list(f.dims)}`,
    help: () => 'leave out the extra subscripts',
  }),
  E0312: row<{ name: string; extra: readonly string[]; help: string }>({
    title: 'a right side with more dimensions than the left',
    message: (f) =>
      `the right side of \`${f.name}\` still has ${f.extra.length === 1 ? 'a dimension' : 'dimensions'} ${f.extra.join(', ')}`,
    help: (f) => f.help,
  }),
  E0313: row<{ from: readonly string[]; to: readonly string[] }>({
    title: 'a reshape to another number of elements',
    message: (f) => `a tensor of shape ${list(f.from)} cannot become ${list(f.to)}`,
    help: () => 'the number of elements must stay the same; `-1` stands for what is left over',
  }),
  E0314: row<{ op: string; left: readonly string[]; right: readonly string[] }>({
    title: 'operands whose shapes do not fit',
    message: (f) => `\`${f.op}\` cannot combine the shapes ${list(f.left)} and ${list(f.right)}`,
    help: () =>
      'trailing dimensions must be equal or 1; index notation says what runs along what: `y[b, i] = x[b, i] * w[i]`',
  }),
  E0315: row<{ axis: number; rank: number; of: string }>({
    title: 'an axis that the tensor does not have',
    message: (f) =>
      `\`${f.of}\`: there is no axis ${f.axis} in a tensor of ${f.rank} dimension${f.rank === 1 ? '' : 's'}`,
    help: (f) =>
      f.rank === 0
        ? 'a scalar has no axis'
        : `axes go from 0 to ${f.rank - 1}; negative ones count from the end`,
  }),
  E0316: row<{ op: string; dtypes: readonly string[]; help: string | undefined }>({
    title: 'an operation that does not exist for a dtype',
    message: (f) => `\`${f.op}\` does not exist for ${f.dtypes.join(' and ')}`,
    help: (f) => f.help,
  }),
  E0317: row<{ dim: string; help: string }>({
    title: 'a dimension that cannot be solved for',
    message: (f) => `cannot tell the size behind \`${f.dim}\` from the size of the argument`,
    help: (f) => f.help,
  }),
  E0318: row<{ name: string; before: readonly string[]; now: readonly string[] }>({
    title: 'a layer used on inputs of different size',
    message: (f) =>
      `\`${f.name}\` was made with the shape ${list(f.before)}, and this use needs ${list(f.now)}`,
    help: () =>
      'a named layer shares its parameters between its uses; make a second layer for the other size',
  }),
  E0319: row<{ name: string; near: string | undefined }>({
    title: 'an unknown dtype',
    message: (f) => `\`${f.name}\` is not a dtype`,
    help: (f) => near(f.near) ?? 'the dtypes are f32, f16, i32, u32 and bool',
  }),
  E0320: row<{ name: string }>({
    title: 'an index that nothing binds',
    message: (f) => `no equation or reduction binds the indices \`...${f.name}\``,
    help: (f) =>
      `write them on the left, \`y[...${f.name}] = …\`, or in a reduction, \`sum(...${f.name}) …\``,
  }),
  E0321: row<{ dim: string; size: string; of: string }>({
    title: 'a dimension that is not positive',
    message: (f) => `the dimension \`${f.dim}\` of \`${f.of}\` would be ${f.size}`,
    help: () => 'a dimension is at least 1',
  }),
  E0322: row<{ name: string; index: string }>({
    title: 'a result of a scan that is not one whole step',
    message: (f) => `each step of the scan defines one whole part of \`${f.name}\``,
    help: (f) =>
      `write the step once and \`:\` for the other dimensions, \`${f.name}[:, ${f.index}] = …\`, or plain indices for them`,
  }),
  E0323: row<{ size: string; index: string }>({
    title: 'a size that depends on the step of a scan',
    message: (f) => `\`${f.size}\` changes from step to step, and sizes may not`,
    help: (f) => `take the whole dimension and mask it: \`if i < ${f.index} then x[i] else 0\``,
  }),
  E0324: row<{ name: string; index: string; wanted: number; dims: readonly string[] }>({
    title: 'a step of a scan with too few dimensions',
    message: (f) =>
      `besides \`${f.index}\` the left side has ${f.wanted} ${f.wanted === 1 ? 'dimension' : 'dimensions'}, the value ${f.dims.length}`,
    help: (f) =>
      `leave out what the value does not have: \`${f.name}[${[...f.dims.map(() => ':'), f.index].join(', ')}] = …\``,
  }),
  E0325: row<{ dtype: string; target: string }>({
    title: 'a dtype that the backend cannot compute with',
    message: (f) => `the backend \`${f.target}\` cannot compute in ${f.dtype}`,
    help: (f) =>
      `use \`--backend webgpu\` with a GPU that has ${f.dtype}, or \`--backend reference\`; or compute in f32: \`f32(…)\`, and no \`precision: "mixed"\``,
  }),
} as const;
