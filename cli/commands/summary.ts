/** `nnetc summary FILE [TASK]`: the parameters of a task's models, with shapes and sizes. */
import type { Tensor } from '../../compiler/plan.ts';
import { elements } from '../../runtime/size.ts';
import { chooseDevice } from '../devices.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import { printJson } from '../failure.ts';
import { bytes, count } from '../numbers.ts';
import type { Options } from '../options.ts';
import { compileTask } from '../task.ts';
import type { Terminal } from '../terminal.ts';

export async function summary(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = '', task] = args;
  const chosen = await chooseDevice('reference', undefined);
  const { program } = await compileTask(terminal, { file, task, plans: () => [] }, chosen, options);
  const tensors = program.tensors.filter((t) => t.role === 'param' || t.role === 'state');
  const total = (roles: readonly Tensor['role'][]): number =>
    program.tensors.filter((t) => roles.includes(t.role)).reduce((n, t) => n + elements(t.shape), 0);
  if (options.json === true) {
    for (const { path, role, dtype, shape } of tensors) printJson(terminal, { path, role, dtype, shape });
    return exitCodes.done;
  }
  const rows = tensors.map((t) => [
    t.path,
    `${t.dtype}[${t.shape.join(', ')}]`,
    count(elements(t.shape)),
    t.role === 'state' ? 'state' : '',
  ]);
  const widths = [0, 1, 2].map((i) => Math.max(0, ...rows.map((row) => row[i]!.length)));
  for (const [path = '', type = '', size = '', role = ''] of rows)
    terminal.out.write(
      `${path.padEnd(widths[0]!)}  ${type.padEnd(widths[1]!)}  ${size.padStart(widths[2]!)}  ${role}`.trimEnd() +
        '\n',
    );
  const [params, states, slots] = [total(['param']), total(['state']), total(['slot'])];
  terminal.out.write(
    `${count(params)} parameters (${bytes(4 * params)})${states > 0 ? `, ${count(states)} numbers of state` : ''}, ` +
      `${count(slots)} of optimizer state (${bytes(4 * slots)})\n`,
  );
  return exitCodes.done;
}
