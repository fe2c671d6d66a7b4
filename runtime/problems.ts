/**
 * The catalogue of what can go wrong with data (E07xx), checkpoints (E08xx) and devices or a run (E09xx). A row turns
 * fields into prose. Structurally the grammar's `ProblemKind`, which the runtime may not import.
 */
import type { RuntimeErrorCode } from './errors.ts';
import { RuntimeError } from './errors.ts';

export type FieldValue = string | number | boolean | readonly string[] | undefined;
export type Fields = Readonly<Record<string, FieldValue>>;

export interface RuntimeProblemKind {
  /** One line for the index of errors. */
  readonly title: string;
  readonly message: (fields: Fields) => string;
  readonly help?: (fields: Fields) => string | undefined;
}

const list = (value: FieldValue): string =>
  Array.isArray(value) ? (value as readonly string[]).map((v) => `\`${v}\``).join(', ') : String(value);

const given = (value: FieldValue): value is Exclude<FieldValue, undefined> => value !== undefined;

export const runtimeProblems = {
  E0701: {
    title: 'a data file was not found',
    message: (f) => `there is no file "${f['source']}"`,
    help: (f) =>
      given(f['package'])
        ? `the package \`${f['package']}\` is not installed: run \`npm install ${f['package']}\`, or give a path that starts with "./"; looked for ${list(f['tried'])}`
        : `looked for ${list(f['tried'])}${given(f['similar']) ? `; is it \`${f['similar']}\`?` : ''}`,
  },
  E0702: {
    title: 'a data file cannot be read',
    message: (f) => `"${f['file']}" cannot be read: ${f['reason']}`,
    help: () => 'check that it is a file and that you may read it',
  },
  E0703: {
    title: 'a file is not in the idx format',
    message: (f) => `"${f['file']}" is not an idx file: expected ${f['expected']}, found ${f['found']}`,
    help: (f) =>
      given(f['mend'])
        ? String(f['mend'])
        : 'the format is described at the end of yann.lecun.com/exdb/mnist',
  },
  E0704: {
    title: 'an idx file is truncated',
    message: (f) =>
      `"${f['file']}" is truncated: its header promises ${f['shape']} = ${f['expected']} bytes in all, the file has ${f['found']}`,
    help: () => 'fetch or unpack the file again',
  },
  E0705: {
    title: 'an idx file is longer than its header says',
    message: (f) =>
      `"${f['file']}" is too long: its header promises ${f['shape']} = ${f['expected']} bytes in all, the file has ${f['found']}`,
    help: () => 'the header or the file is damaged: fetch it again',
  },
  E0706: {
    title: 'the fields of a data source differ in their number of samples',
    message: (f) =>
      `\`${f['first']}\` has ${f['firstCount']} samples ("${f['firstFile']}"), but \`${f['second']}\` has ${f['secondCount']} ("${f['secondFile']}")`,
    help: () => 'give files of the same set: training images with training labels',
  },
  E0707: {
    title: 'the samples of a field have another shape than the program takes',
    message: (f) =>
      `\`${f['field']}\` of "${f['file']}" holds samples of shape ${f['found']}, but the program takes ${f['expected']}`,
    help: (f) =>
      given(f['swapped'])
        ? `the samples of \`${f['swapped']}\` have that shape: were the two files swapped?`
        : `change the model's input to ${f['found']}, or give another file`,
  },
  E0708: {
    title: 'a label is out of range',
    message: (f) =>
      `\`${f['field']}\` of sample ${f['sample']} is ${f['value']}, but the program has ${f['limit']} classes (0 to ${Number(f['limit']) - 1}), in "${f['file']}"`,
    help: (f) =>
      Number(f['value']) >= 0
        ? `give the model at least ${Number(f['value']) + 1} classes, or mend the file`
        : 'labels count from 0: mend the file',
  },
  E0709: {
    title: 'a data source is too small for what is asked of it',
    message: (f) => `"${f['file']}" has ${f['count']} samples: ${f['reason']}`,
    help: (f) => (given(f['mend']) ? String(f['mend']) : undefined),
  },
  E0710: {
    title: 'a value of the data does not fit the type the program takes',
    message: (f) =>
      `\`${f['field']}\` of sample ${f['sample']} is ${f['value']}, which is not ${f['dtype'] === 'u32' ? 'an unsigned 32-bit' : 'a 32-bit'} integer, in "${f['file']}"`,
    help: () => 'take the field as f32, or mend the file',
  },
  E0711: {
    title: 'a data source has no such field',
    message: (f) => `the program takes \`${f['field']}\`, which "${f['source']}" does not have`,
    help: (f) => `its fields are ${list(f['fields'])}`,
  },
  E0712: {
    title: 'an unknown kind of data source',
    message: (f) => `there is no data source \`${f['kind']}\``,
    help: (f) => `there is ${list(f['known'])}`,
  },
  E0713: {
    title: 'a data source was given something else than a file name',
    message: (f) => `\`${f['field']}\` of \`${f['kind']}\` must be a file name, and this is ${f['found']}`,
    help: (f) => `for example ${f['kind']}(${f['field']}: "./file")`,
  },
  E0714: {
    title: 'a table has no such column',
    message: (f) => `"${f['file']}" has no column \`${f['column']}\``,
    help: (f) => `its columns are ${list(f['has'])}`,
  },
  E0715: {
    title: 'a cell of a table is not what its field needs',
    message: (f) =>
      `line ${f['line']} of "${f['file']}": expected ${f['expected']} for \`${f['column']}\`, found ${f['found'] === '' ? 'nothing' : `"${f['found']}"`}`,
    help: () =>
      'mend the line, or read the column in another way: `"age: f32"`, `"id: i32"`, `"species: class"`',
  },
  E0716: {
    title: 'a file is not a table of separated values',
    message: (f) => `"${f['file']}" cannot be read as a table: ${f['reason']}`,
    help: () => 'rows are lines with the same number of values; say what separates them: `separator: ";"`',
  },
  E0717: {
    title: 'a text that cannot be used',
    message: (f) => `"${f['file']}" cannot be used as text: ${f['reason']}`,
    help: (f) => String(f['mend']),
  },
  E0718: {
    title: 'an option of a data source that it cannot have',
    message: (f) =>
      `\`${f['option']}\` of \`${f['kind']}\` must be ${f['expected']}, and this is ${f['found']}`,
    help: () => 'for example text("book.txt", length: 64)',
  },
  E0801: {
    title: 'a file is not a valid safetensors file',
    message: (f) => `"${f['file']}" is not a valid safetensors file: ${f['reason']}`,
    help: () => 'the file is damaged or was written by something else; nothing of it was used',
  },
  E0802: {
    title: 'a weights file lacks tensors of the program',
    message: (f) => `"${f['file']}" lacks ${list(f['missing'])}${more(f['missingMore'])}`,
    help: (f) =>
      given(f['pairs'])
        ? `names that may be meant: ${(f['pairs'] as readonly string[]).join(', ')}`
        : `it holds ${list(f['held'])}${more(f['heldMore'])}`,
  },
  E0803: {
    title: 'a tensor of a weights file has another shape or type than the program',
    message: (f) =>
      `\`${f['path']}\` is ${f['found']} in "${f['file']}", but ${f['expected']} in the program`,
    help: () => 'use the weights of this network, or set its sizes as they were when it was trained',
  },
  E0804: {
    title: 'a weights file holds tensors that the program does not have',
    message: (f) =>
      `"${f['file']}" holds ${list(f['unexpected'])}${more(f['more'])}, which the program does not have`,
    help: () => 'they are not used',
  },
  E0805: {
    title: 'a file could not be written',
    message: (f) => `"${f['file']}" could not be written: ${f['reason']}`,
    help: (f) =>
      f['full'] === true
        ? `free some space (${f['bytes']} bytes are needed) and run again with --resume; what was saved before is intact`
        : 'check the folder and its permissions; what was saved before is intact',
  },
  E0806: {
    title: 'a checkpoint belongs to another program',
    message: (f) => `"${f['file']}" was saved by another program: ${f['reason']}`,
    help: () => 'resume with the file it was trained from, or start again with another --out',
  },
  E0807: {
    title: 'a checkpoint was saved by another version of nnetc',
    message: (f) => `"${f['file']}" has checkpoint format ${f['found']}, this nnetc reads ${f['expected']}`,
    help: () => 'its weights can still be read with --weights',
  },
  E0808: {
    title: 'there is nothing to resume',
    message: (f) => `there is no checkpoint in "${f['folder']}"`,
    help: () => 'leave --resume out, or name the run folder with --out',
  },
  E0809: {
    title: 'an input of the program is missing in the given tensors',
    message: (f) =>
      `"${f['file']}" has no tensor \`${f['name']}\`, which the program takes as ${f['expected']}`,
    help: (f) => `it holds ${list(f['held'])}`,
  },
  E0810: {
    title: 'an input tensor does not fit the program',
    message: (f) =>
      `\`${f['name']}\` is ${f['found']} in "${f['file']}", but the program takes ${f['expected']}${given(f['reason']) ? `: ${f['reason']}` : ''}`,
    help: () => 'write the file with that shape and type',
  },
  E0811: {
    title: 'the run folder is in use or belongs to another run',
    message: (f) => `"${f['folder']}" ${f['reason']}`,
    help: () => 'give another --out, or continue that run with --resume',
  },
  E0901: {
    title: 'the named device is not there',
    message: (f) => `${f['reason']}`,
    help: (f) => (given(f['mend']) ? String(f['mend']) : '--backend auto takes what there is'),
  },
  E0902: {
    title: 'the device was lost',
    message: (f) => `the device was lost: ${f['reason']}`,
    help: () => 'run again with --resume',
  },
  E0903: {
    title: 'there is not enough memory',
    message: (f) => `${f['reason']}`,
    help: () => 'take a smaller batch',
  },
  E0904: {
    title: 'a run was asked for what the program does not have, or given what does not fit',
    message: (f) => `${f['reason']}`,
  },
  E0905: {
    title: 'the loss is no longer a number',
    message: (f) =>
      `the loss became ${f['value']} ${f['where']}${given(f['good']) ? `; the last good checkpoint is "${f['good']}"` : ''}`,
    help: (f) =>
      `the usual reasons: too high a learning rate, log or division of zero, or labels out of range${given(f['bad']) ? `; no longer finite: ${list(f['bad'])}` : ''}`,
  },
  E0906: {
    title: 'which task or model is meant is not clear',
    message: (f) =>
      given(f['name'])
        ? `there is no ${f['what']} \`${f['name']}\` in "${f['file']}"`
        : (f['known'] as readonly string[]).length === 0
          ? `"${f['file']}" has no ${f['what']}`
          : `"${f['file']}" has several ${f['what']}s: name one`,
    help: (f) =>
      given(f['near'])
        ? `did you mean \`${f['near']}\`?`
        : (f['known'] as readonly string[]).length > 0
          ? `there is ${list(f['known'])}`
          : undefined,
  },
  E0907: {
    title: 'a task has nothing to do',
    message: (f) => `task \`${f['task']}\` has neither \`fit\` nor \`evaluate\``,
  },
  E0908: {
    title: 'a GPU without f16',
    message: (f) => `the program computes in f16, which ${f['device']} cannot do (it lacks \`shader-f16\`)`,
    help: () => 'take another GPU, the backend `reference`, or f32 (no `precision: "mixed"`)',
  },
} as const satisfies Record<string, RuntimeProblemKind>;

function more(count: FieldValue): string {
  return typeof count === 'number' && count > 0 ? ` and ${count} more` : '';
}

export type RuntimeProblemCode = keyof typeof runtimeProblems;

/** An error of the catalogue, to be thrown. */
export function problem(code: RuntimeProblemCode, fields: Fields): RuntimeError {
  const kind: RuntimeProblemKind = runtimeProblems[code];
  return new RuntimeError(code, kind.message(fields), kind.help?.(fields) ?? '', fields);
}

/** Under which code of the catalogue a session's error is shown. */
const catalogued: { readonly [Code in RuntimeErrorCode]: RuntimeProblemCode } = {
  'unknown-plan': 'E0904',
  'unknown-input': 'E0904',
  'missing-input': 'E0904',
  'unknown-clock': 'E0904',
  'input-type': 'E0904',
  'input-length': 'E0904',
  'bad-dimension': 'E0904',
  'missing-dimension': 'E0904',
  'unknown-output': 'E0904',
  'no-output-yet': 'E0904',
  'unknown-tensor': 'E0904',
  'tensor-length': 'E0904',
  'tensor-type': 'E0904',
  'wrong-target': 'E0904',
  'unsupported-dtype': 'E0908',
  'out-of-memory': 'E0903',
  'no-device': 'E0901',
  'device-lost': 'E0902',
  closed: 'E0904',
};

/** The catalogue's code of any RuntimeError. */
export function codeOf(error: RuntimeError): string {
  return (catalogued as Readonly<Record<string, string>>)[error.code] ?? error.code;
}
