/** What the command line's options are once they are parsed, and other words that all commands know. */
import { existsSync, readFileSync } from 'node:fs';

/** All options of all commands; each has the ones it declares. */
export interface Options {
  readonly backend: BackendChoice;
  readonly threads?: number;
  readonly seed?: number;
  readonly epochs?: number;
  readonly set: Readonly<Record<string, string>>;
  readonly out?: string;
  readonly output?: string;
  readonly resume?: boolean;
  readonly weights?: string;
  readonly json?: boolean;
  readonly inputs?: string;
  readonly outputs?: string;
  readonly model?: string;
  readonly task?: string;
  readonly stage?: string;
  readonly check?: boolean;
  readonly steps?: number;
  readonly batch?: number;
  readonly workgroups?: number;
  /** Bytes. */
  readonly memory?: number;
  readonly tune?: boolean;
  readonly strict?: boolean;
  readonly kernels?: boolean;
}

export const backendChoices = ['auto', 'webgpu', 'wasm', 'reference'] as const;
export type BackendChoice = (typeof backendChoices)[number];

export const stages = ['syntax', 'graph', 'grad', 'schedule', 'kernels', 'wgsl', 'wat', 'plan'] as const;
export type Stage = (typeof stages)[number];

/** The text of the version in package.json, which stands above both cli/ and dist/cli/. */
export function packageVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    const file = new URL(up, import.meta.url);
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  }
  return 'unknown';
}
