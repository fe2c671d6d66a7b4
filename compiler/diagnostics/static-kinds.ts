/** E04xx: arguments and what is evaluated while compiling. */
import { near, row } from './row.ts';

export const staticProblems = {
  E0401: row<{ what: string; help: string | undefined }>({
    title: 'a value that is not known while compiling',
    message: (f) => `${f.what} must be known while compiling`,
    help: (f) => f.help ?? 'use a literal, a parameter or a dimension',
  }),
  E0402: row<{ what: string; expected: string; found: string; help: string | undefined }>({
    title: 'a value of another kind than needed',
    message: (f) => `${f.what} must be ${f.expected}, and this is ${f.found}`,
    help: (f) => f.help,
  }),
  E0403: row<{ callee: string; missing: readonly string[] }>({
    title: 'a missing argument',
    message: (f) => `\`${f.callee}\` needs ${f.missing.map((n) => `\`${n}\``).join(', ')}`,
    help: (f) => `give it: \`${f.callee}(${f.missing.map((n) => `${n}: …`).join(', ')})\``,
  }),
  E0404: row<{ callee: string; name: string; near: string | undefined; has: readonly string[] }>({
    title: 'an argument that does not exist',
    message: (f) => `\`${f.callee}\` has no argument \`${f.name}\``,
    help: (f) =>
      near(f.near) ??
      (f.has.length > 0 ? `it has ${f.has.map((n) => `\`${n}\``).join(', ')}` : 'it takes no arguments'),
  }),
  E0405: row<{ callee: string; most: number; given: number; help: string | undefined }>({
    title: 'too many arguments',
    message: (f) =>
      `\`${f.callee}\` takes ${f.most === 0 ? 'no arguments' : f.most === 1 ? 'one argument' : `${f.most} arguments`}, not ${f.given}`,
    help: (f) => f.help,
  }),
  E0406: row<{ callee: string; name: string }>({
    title: 'an argument given twice',
    message: (f) => `\`${f.name}\` is given twice to \`${f.callee}\``,
    help: () => 'leave one of them out',
  }),
  E0407: row<{ found: string }>({
    title: 'a call of what cannot be called',
    message: (f) => `${f.found} cannot be called`,
    help: () => 'functions, layers and models can',
  }),
  E0408: row<{ name: string; depth: number }>({
    title: 'a function that calls itself without end',
    message: (f) => `\`${f.name}\` is called inside itself more than ${f.depth} times`,
    help: () =>
      'functions are expanded while compiling: the recursion has to end, by an `if` on something static',
  }),
  E0409: row<{ what: string; help: string | undefined }>({
    title: 'arithmetic without a result',
    message: (f) => f.what,
    help: (f) => f.help,
  }),
  E0410: row<{ index: number; length: number }>({
    title: 'a position outside a list',
    message: (f) => `there is no element ${f.index} in a list of ${f.length}`,
    help: (f) =>
      f.length === 0
        ? 'the list is empty'
        : `positions go from 0 to ${f.length - 1}; negative ones count from the end`,
  }),
  E0411: row<{ times: number; limit: number }>({
    title: 'too many repetitions',
    message: (f) => `cannot repeat ${f.times} times`,
    help: (f) => `\`repeat\` is unrolled while compiling, at most ${f.limit} times`,
  }),
  E0412: row<{ what: string; help: string | undefined }>({
    title: 'something that is not supported yet',
    message: (f) => `${f.what} is not supported yet`,
    help: (f) => f.help,
  }),
  E0413: row<{ name: string }>({
    title: 'a function without a result',
    message: (f) => `\`${f.name}\` ends without \`return\``,
    help: () => 'end it with `return …`, or with the value alone',
  }),
  E0414: row<{ name: string }>({
    title: 'a layer that has not been applied yet',
    message: (f) => `\`${f.name}\` has no parameters before it is applied`,
    help: () => 'their shapes come from its input: apply it first',
  }),
  E0415: row<{ what: string }>({
    title: 'a network too large to compile',
    message: (f) => `${f.what}`,
    help: () => 'is a size mistyped?',
  }),
} as const;
