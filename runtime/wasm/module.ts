/** The WebAssembly module of a plan. */
import type { Plan, PreparedCode } from '../../compiler/plan.ts';
import { RuntimeError } from '../errors.ts';
import { withRelaxedSimd } from '../relaxed.ts';
import { withSharedMemory } from './shared.ts';

/** Names of the functions of a plan: of its dispatches, then those of special cases. */
export const entriesOf = ({ dispatches }: Plan): string[] => [
  ...dispatches.map((d) => d.entry),
  ...dispatches.flatMap((d) => (d.special ? [d.special.entry] : [])),
];

/** What a plan prepares from parameters before its first run. */
export const preparedOf = ({ code }: Plan): PreparedCode['entries'] =>
  (code.kind === 'wasm' && code.prepared?.entries) || [];

/** `isShared`: for memory that several threads share. @throws RuntimeError where the engine cannot run it */
export function compile(plan: Plan, isShared: boolean): WebAssembly.Module {
  const { code } = plan;
  if (code.kind !== 'wasm')
    throw new RuntimeError(
      'wrong-target',
      `plan \`${plan.name}\` was compiled for ${plan.target}, not for wasm`,
      'compile it with the target `wasm`',
      {
        plan: plan.name,
        target: plan.target,
      },
    );
  const bytes = isShared ? withSharedMemory(code.bytes) : code.bytes;
  const make = (): WebAssembly.Module => new WebAssembly.Module(bytes as BufferSource);
  if (!code.relaxed) return make();
  return withRelaxedSimd((isThere) => {
    if (isThere) return make();
    throw new RuntimeError(
      'no-device',
      `plan \`${plan.name}\` needs relaxed SIMD, which this engine does not have`,
      'compile it without',
      {
        plan: plan.name,
      },
    );
  });
}
