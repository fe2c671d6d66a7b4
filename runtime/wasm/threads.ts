/** The other threads of a session: workers that wait in shared memory for the next step. */
import type { Plan } from '../../compiler/plan.ts';
import { RuntimeError } from '../errors.ts';
import type { BoundLoop } from '../loops.ts';
import type { LoadMessage, Shape, ThreadPlan } from './runner.ts';
import { Runner, workerMain } from './runner.ts';

/** A plan, of which only the numbers of its parts count. */
type Counted = { readonly [K in keyof Pick<Plan, 'dims' | 'dispatches' | 'loops'>]: readonly unknown[] };

/** Bytes of the control words that describe a run of any of these plans. */
export function controlBytes(plans: readonly Counted[], threads: number): number {
  const most = (count: (p: Counted) => number): number => Math.max(0, ...plans.map(count));
  const loops = most((p) => p.loops.length);
  const words = most((p) => p.dims.length) + 3 * most((p) => p.dispatches.length) + 3 * loops;
  return 4 * (48 + 16 * threads + words);
}

/** A plan for certain dims. */
export interface StepShape {
  readonly dims: readonly number[];
  /** Of each dispatch. */
  readonly units: readonly number[];
  /** Which dispatches have their units shared out among the threads. */
  readonly shared: readonly boolean[];
  /** Into how many pieces that is worth while. */
  readonly pieces: readonly number[];
  /** The entry that each dispatch runs. */
  readonly which: readonly number[];
  readonly loops: readonly BoundLoop[];
}

/** The shape as the threads are told of it. */
export function shapeOf(
  { dims, units, shared, pieces, which, loops }: StepShape,
  threads: number,
  number: number,
): Shape {
  const even = (pieces: number): number => threads * Math.ceil(pieces / threads);
  const most = piecesPerThread * threads;
  const cut = units.map((u, d) => (shared[d] ? Math.min(u, most, even(Math.max(1, pieces[d]!))) : 0));
  return {
    number,
    dims: dims.length,
    dispatches: units.length,
    loops: loops.length,
    words: Int32Array.from([
      ...dims,
      ...units.flatMap((u, d) => [u, cut[d]!, which[d]!]),
      ...loops.flatMap((l) => [l.begin, l.end, l.times]),
    ]),
  };
}

/** The most pieces of a dispatch: fewer than 63 fit into the words of a thread's share. */
const piecesPerThread = 32;

/** A worker of Node or of a browser. */
interface Thread {
  post(message: LoadMessage): void;
  end(): void;
}

/** How workers are made here; `heard` is told what one says: `ready`, or how it failed. */
interface Maker {
  readonly make: (heard: (said: string) => void) => Thread;
  /** They start whatever this thread does meanwhile; those of a browser only once it is idle. */
  readonly besides: boolean;
}

/**
 * Nobody waits for the threads to start or to learn of plans: until they come, steps are done without them. Where they cannot
 * start beside this thread, `starting` is to be waited for before the first steps.
 */
export class ThreadPool {
  private readonly workers: readonly Thread[];
  /** With its control words made anew for every set of plans: while threads learn of new plans, none reads the old words. */
  private runner: Runner | undefined;
  private failure: Error | undefined;
  private readonly unready = new Set<Thread>();
  private isOver: (() => void) | undefined;
  starting: Promise<void> | undefined;

  private constructor(
    readonly threads: number,
    { make, besides }: Maker,
  ) {
    if (!besides) this.starting = new Promise((over) => (this.isOver = over));
    this.workers = Array.from({ length: threads - 1 }, () => {
      const worker = make((said) => this.hear(worker, said));
      this.unready.add(worker);
      return worker;
    });
  }

  /** Starts `threads` - 1 workers. Throws RuntimeError where there are no shared memory or workers. */
  static async start(threads: number): Promise<ThreadPool> {
    if (typeof SharedArrayBuffer === 'undefined')
      throw new RuntimeError(
        'no-device',
        'threads need SharedArrayBuffer, which this page does not have',
        'serve it with the headers COOP and COEP, or use one thread',
      );
    return new ThreadPool(threads, await threadMaker());
  }

  private hear(worker: Thread, said: string): void {
    if (said === 'ready') this.unready.delete(worker);
    else this.failure ??= new Error(`a thread failed: ${said}`);
    if (this.unready.size > 0 && !this.failure) return;
    this.isOver?.();
    this.starting = undefined;
  }

  /** Tells every worker about the plans (`described` in full), in the order of their numbers. Nothing may run meanwhile. */
  load(memory: WebAssembly.Memory, described: readonly Plan[], plans: LoadMessage['plans']): void {
    this.runner?.command(1, 0);
    const control = new SharedArrayBuffer(controlBytes(described, this.threads));
    const words = new Int32Array(control);
    const { threads } = this;
    this.runner = new Runner(words, 0, threads, mayBlock(words));
    this.workers.forEach((worker, i) => worker.post({ memory, control, thread: i + 1, threads, plans }));
  }

  /** Runs a step on all threads; returns when it is done. @throws what a thread has failed with */
  run(index: number, plan: ThreadPlan, shape: Shape): void {
    if (this.failure) throw this.failure;
    const runner = this.runner!;
    runner.command(0, index, shape);
    try {
      runner.step(plan);
    } catch (error) {
      runner.fail();
      throw error;
    }
  }

  close(): void {
    this.runner?.command(2, 0);
    this.runner = undefined;
    for (const worker of this.workers) worker.end();
  }
}

/** A browser's main thread may not block. */
function mayBlock(control: Int32Array): boolean {
  try {
    Atomics.wait(control, 15, 1, 0);
    return true;
  } catch {
    return false;
  }
}

interface NodeWorker {
  postMessage(message: unknown): void;
  on(event: string, listener: (value: unknown) => void): void;
  unref(): void;
  terminate(): Promise<number>;
}

const program = (port: string): string => `(${workerMain.toString()})(${port}, ${Runner.toString()})`;

async function threadMaker(): Promise<Maker> {
  if (typeof process !== 'undefined' && process.versions?.node) {
    // Not a literal, so that bundlers for browsers do not look for it.
    const name = 'node:worker_threads';
    const { Worker: Node } = (await import(/* @vite-ignore */ name)) as {
      Worker: new (source: string, options: { eval: boolean }) => NodeWorker;
    };
    const port = `(({ parentPort: p }) => ({ send: (m) => p.postMessage(m), receive: (f) => p.on('message', f) }))(require('node:worker_threads'))`;
    const make: Maker['make'] = (heard) => nodeThread(new Node(program(port), { eval: true }), heard);
    return { make, besides: true };
  }
  const port = `{ send: (m) => postMessage(m), receive: (f) => { onmessage = (e) => f(e.data); } }`;
  const url = URL.createObjectURL(new Blob([program(port)], { type: 'text/javascript' }));
  return { make: (heard) => browserThread(new Worker(url), heard), besides: false };
}

/** Does not hold the process. */
function nodeThread(worker: NodeWorker, heard: (said: string) => void): Thread {
  worker.on('message', (said) => heard(String(said)));
  worker.on('error', (error) => heard(String(error)));
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    end: () => void worker.terminate(),
  };
}

function browserThread(worker: Worker, heard: (said: string) => void): Thread {
  worker.onmessage = (event) => heard(String(event.data));
  worker.onerror = (event) => heard(event.message);
  return {
    post: (message) => worker.postMessage(message),
    end: () => worker.terminate(),
  };
}
