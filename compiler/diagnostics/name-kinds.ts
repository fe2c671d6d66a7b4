/** E02xx: names and imports. */
import { near, row } from './row.ts';

export const nameProblems = {
  E0201: row<{ name: string; near: string | undefined }>({
    title: 'a name that is not defined',
    message: (f) => `\`${f.name}\` is not defined`,
    help: (f) =>
      near(f.near) ?? 'define it before it is used: an `input`, a `param`, an equation or an argument',
  }),
  E0202: row<{ name: string }>({
    title: 'a name defined twice',
    message: (f) => `\`${f.name}\` is defined twice`,
    help: () => 'a name has one meaning: give one of them another name',
  }),
  E0203: row<{ specifier: string; path: string }>({
    title: 'an imported file that is not there',
    message: (f) => `cannot find \`${f.specifier}\``,
    help: (f) => `\`${f.path}\` does not exist; imports are relative to the importing file`,
  }),
  E0204: row<{ chain: readonly string[] }>({
    title: 'files that import each other',
    message: () => 'these files import each other',
    help: (f) => `${f.chain.join(' -> ')}: move what they share to a third file`,
  }),
  E0205: row<{ name: string; file: string; near: string | undefined }>({
    title: 'an imported name that the file does not have',
    message: (f) => `\`${f.file}\` has no \`${f.name}\``,
    help: (f) => near(f.near),
  }),
  E0206: row<{ name: string }>({
    title: 'a name used before it is defined',
    message: (f) => `\`${f.name}\` is used before it is defined`,
    help: () => 'equations are read from top to bottom: move the definition up',
  }),
  E0207: row<{ what: string; where: string; help: string | undefined }>({
    title: 'a statement where it cannot stand',
    message: (f) => `${f.what} cannot stand in ${f.where}`,
    help: (f) => f.help,
  }),
  E0208: row<{ name: string; of: string; near: string | undefined; has: readonly string[] }>({
    title: 'a field that does not exist',
    message: (f) => `${f.of} has no \`${f.name}\``,
    help: (f) =>
      near(f.near) ?? (f.has.length > 0 ? `it has ${f.has.map((n) => `\`${n}\``).join(', ')}` : undefined),
  }),
  E0209: row<{ name: string; of: string }>({
    title: 'an output without an equation',
    message: (f) => `no equation gives the output \`${f.name}\` of \`${f.of}\``,
    help: (f) => `add \`${f.name} = …\``,
  }),
  E0210: row<{ name: string; role: string }>({
    title: 'an equation for something that is given',
    message: (f) => `\`${f.name}\` is ${f.role}: its value is given, no equation can define it`,
    help: (f) =>
      f.role.includes('state')
        ? `\`${f.name}' = …\` gives its next value`
        : 'choose another name for the result',
  }),
  E0211: row<{ name: string; near: string | undefined }>({
    title: 'a prime on what is not a state',
    message: (f) => `\`${f.name}'\` is the next value of a state, and no state \`${f.name}\` is declared`,
    help: (f) => near(f.near) ?? `declare it: \`state ${f.name}: f32[…] = zeros\``,
  }),
  E0213: row<{ name: string }>({
    title: 'a state of a scan without a next value',
    message: (f) => `the scan never says what \`${f.name}\` becomes`,
    help: (f) => `add \`${f.name}' = …\`, or define \`${f.name}\` before the scan if it stays the same`,
  }),
  E0212: row<{ name: string; what: string; near: string | undefined; has: readonly string[] }>({
    title: 'a model or task that the file does not have',
    message: (f) => `there is no ${f.what} \`${f.name}\``,
    help: (f) =>
      near(f.near) ??
      (f.has.length > 0
        ? `there is ${f.has.map((n) => `\`${n}\``).join(', ')}`
        : `the file declares no ${f.what}`),
  }),
} as const;
