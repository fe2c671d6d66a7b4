/** What RuntimeErrors are about; the codes are stable. */
export type RuntimeErrorCode =
  | 'unknown-plan'
  | 'unknown-input'
  | 'missing-input'
  | 'unknown-clock'
  | 'input-type'
  | 'input-length'
  | 'bad-dimension'
  | 'missing-dimension'
  | 'unknown-output'
  | 'no-output-yet'
  | 'unknown-tensor'
  | 'tensor-length'
  | 'tensor-type'
  | 'wrong-target'
  | 'unsupported-dtype'
  | 'out-of-memory'
  | 'no-device'
  | 'device-lost'
  | 'closed';

/**
 * A mistake of the caller, or a device that cannot do what is asked: never a bug of the compiler. `fields` holds the
 * facts (names, lengths) for programs, `message` says them in prose, `help` how to mend it.
 */
export class RuntimeError extends Error {
  readonly code: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly help: string;

  constructor(
    code: RuntimeErrorCode | (string & {}),
    message: string,
    help = '',
    fields: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = 'RuntimeError';
    this.code = code;
    this.help = help;
    this.fields = fields;
  }
}
