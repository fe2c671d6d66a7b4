/**
 * Compiled tasks kept between runs, so that the second start does not compile. An entry says which files were read and
 * what data was found; it holds as long as all of them are the same. The cache is a convenience: whatever goes wrong
 * with it means no more than that the task is compiled.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../compiler/check/host.ts';
import type { CompiledTask } from '../compiler/compile.ts';
import { lazily } from '../compiler/lazy.ts';
import type { Plan, Program, StaticValue, TaskInfo } from '../compiler/plan.ts';
import { cacheFolder } from './cache-folder.ts';

/** Set when the command is bundled (scripts/build.mjs): changes with every change of the compiler. */
declare const NNETC_BUILD: string | undefined;

/** What the compiler asked its host, and what it was told. */
interface Asked {
  readonly reads: (readonly [path: string, digest: string | null])[];
  readonly data: (readonly [
    kind: string,
    args: Readonly<Record<string, StaticValue>>,
    file: string,
    found: string,
  ])[];
}

interface Entry {
  readonly asked: Asked;
  readonly info: TaskInfo;
  readonly program: Omit<Program, 'plans'>;
  readonly plans: readonly string[];
}

interface Found {
  readonly entry: Entry;
  readonly digest: string;
}

/** Compiles the task with the files of a host. */
export type Compile = (host: Host) => { readonly result: CompiledTask; readonly isClean: boolean };

/** Entries that nobody used for so long are removed. */
const lifetime = 30 * 24 * 3600 * 1000;

export class PlanCache {
  private constructor(
    private readonly folder: string,
    private readonly build: string,
  ) {}

  /**
   * The cache of this user, where it is on. None where the compiler is run from its sources, which may change under way,
   * unless `build` says which these are.
   */
  static open(
    env: Readonly<Record<string, string | undefined>>,
    build: string | undefined = typeof NNETC_BUILD === 'undefined' ? undefined : NNETC_BUILD,
  ): PlanCache | undefined {
    const folder = cacheFolder(env);
    return build === undefined || folder === undefined ? undefined : new PlanCache(folder, build);
  }

  /**
   * The compiled task that `wanted` names (file, task, options: all that decides besides files), from the cache or from
   * the compiler. `plansOf` says which plans may be asked for; the compiler is loaded only if one of them was not kept.
   * Only what compiled without any problem is kept, as problems have to be shown again.
   */
  async task(
    wanted: readonly unknown[],
    host: Host,
    loadCompiler: () => Promise<Compile>,
    plansOf?: (info: TaskInfo) => readonly string[],
  ): Promise<CompiledTask> {
    const key = digestOf(JSON.stringify([this.build, ...wanted]));
    const found = this.find(key, host);
    if (found) {
      const { info, plans } = found.entry;
      const needed = plansOf?.(info) ?? plans;
      const known = plans.filter((name) => needed.includes(name));
      return await this.restore(key, found, known, async () => {
        const compile = await loadCompiler();
        return () => compile(host).result.program;
      });
    }
    const compile = await loadCompiler();
    const { watched, asked } = watch(host);
    const { result, isClean } = compile(watched);
    return isClean ? this.keep(key, asked, result) : result;
  }

  /** What was measured before under that name, else what `measure` finds. */
  async measured<T>(wanted: readonly unknown[], measure: () => Promise<T>): Promise<T> {
    const known = this.known<T>(wanted);
    if (known) return known.value;
    const value = await measure();
    this.write(this.measurement(wanted), JSON.stringify({ value }));
    return value;
  }

  /** What was measured before under that name, if it was. */
  known<T>(wanted: readonly unknown[]): { readonly value: T } | undefined {
    try {
      return JSON.parse(readFileSync(join(this.folder, this.measurement(wanted)), 'utf8')) as {
        readonly value: T;
      };
    } catch {
      return undefined;
    }
  }

  private measurement(wanted: readonly unknown[]): string {
    return `measured-${digestOf(JSON.stringify([this.build, ...wanted]))}.json`;
  }

  private find(key: string, host: Host): Found | undefined {
    try {
      const file = join(this.folder, `${key}.json`);
      const text = readFileSync(file, 'utf8');
      const entry = JSON.parse(text) as Entry;
      if (!holds(entry.asked, host)) return undefined;
      const now = new Date();
      utimesSync(file, now, now);
      return { entry, digest: digestOf(text) };
    } catch {
      return undefined;
    }
  }

  private async restore(
    key: string,
    { entry, digest }: Found,
    wanted: readonly string[],
    loadCompiler: () => Promise<() => Program>,
  ): Promise<CompiledTask> {
    const { info, program } = entry;
    const kept = new Map(wanted.map((name) => [name, this.readPlan(key, digest, name)]));
    const compile = wanted.every((name) => kept.get(name)) ? undefined : await loadCompiler();
    let fresh: Program | undefined;
    const plans = lazily(entry.plans, (name) => {
      const plan = kept.get(name);
      if (plan) return plan;
      fresh ??= compile?.();
      if (!fresh) throw new Error(`the plan ${name} is asked for, but was not wanted`);
      return this.writePlan(key, digest, fresh.plans[name] as Plan);
    });
    return { info, program: { ...program, plans } };
  }

  private keep(key: string, asked: Asked, { info, program }: CompiledTask): CompiledTask {
    const { plans, ...rest } = program;
    const entry: Entry = { asked, info, program: rest, plans: Object.keys(plans) };
    const text = JSON.stringify(entry);
    if (!this.write(`${key}.json`, text)) return { info, program };
    this.prune();
    const digest = digestOf(text);
    const kept = lazily(entry.plans, (name) => this.writePlan(key, digest, plans[name] as Plan));
    return { info, program: { ...rest, plans: kept } };
  }

  /** Plans carry the digest of their entry, so that those of an earlier state of the sources are never taken. */
  private planFile(key: string, digest: string, name: string): string {
    return `${key}-${digest.slice(0, 16)}-${digestOf(name).slice(0, 16)}.json`;
  }

  private readPlan(key: string, digest: string, name: string): Plan | undefined {
    try {
      const plan = JSON.parse(
        readFileSync(join(this.folder, this.planFile(key, digest, name)), 'utf8'),
      ) as Plan;
      if (plan.code.kind !== 'wasm') return plan;
      const bytes = new Uint8Array(Buffer.from(plan.code.bytes as unknown as string, 'base64'));
      return { ...plan, code: { ...plan.code, bytes } };
    } catch {
      return undefined;
    }
  }

  private writePlan(key: string, digest: string, plan: Plan): Plan {
    const { code } = plan;
    const encoded =
      code.kind === 'wasm' ? { ...code, bytes: Buffer.from(code.bytes).toString('base64') } : code;
    this.write(this.planFile(key, digest, plan.name), JSON.stringify({ ...plan, code: encoded }));
    return plan;
  }

  private write(name: string, text: string): boolean {
    const beside = join(this.folder, `${name}.${randomUUID()}.tmp`);
    try {
      mkdirSync(this.folder, { recursive: true });
      writeFileSync(beside, text);
      renameSync(beside, join(this.folder, name));
      return true;
    } catch {
      tryTo(() => rmSync(beside, { force: true }));
      return false;
    }
  }

  private prune(): void {
    const oldest = Date.now() - lifetime;
    tryTo(() => {
      for (const name of readdirSync(this.folder)) {
        const file = join(this.folder, name);
        if (/\.(json|code|tmp)$/.test(name) && statSync(file).mtimeMs < oldest) rmSync(file, { force: true });
      }
    });
  }
}

/** Tidying up: where it cannot be done, or somebody else does it at the same time, nothing is lost. */
function tryTo(act: () => void): void {
  try {
    act();
  } catch {
    // See above.
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const digestOfFile = (text: string | undefined): string | null =>
  text === undefined ? null : digestOf(text);

/** The same host; `asked` fills as it is used. */
function watch(host: Host): { readonly watched: Host; readonly asked: Asked } {
  const asked: Asked = { reads: [], data: [] };
  const { describeData } = host;
  const watched: Host = {
    resolve: (from, specifier) => host.resolve(from, specifier),
    read: (path) => {
      const text = host.read(path);
      asked.reads.push([path, digestOfFile(text)]);
      return text;
    },
    ...(describeData && {
      describeData: (kind, args, file) => {
        const found = describeData(kind, args, file);
        asked.data.push([kind, args, file, JSON.stringify(found)]);
        return found;
      },
    }),
  };
  return { watched, asked };
}

const holds = ({ reads, data }: Asked, host: Host): boolean =>
  reads.every(([path, digest]) => digestOfFile(host.read(path)) === digest) &&
  data.every(([kind, args, file, found]) => JSON.stringify(host.describeData?.(kind, args, file)) === found);
