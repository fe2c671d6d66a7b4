/** The other threads of a session: workers that wait in shared memory for the next step. */
import type { Plan } from '../../compiler/plan.ts';
import { RuntimeError } from '../errors.ts';
import type { BoundLoop } from '../loops.ts';
import type { LoadMessage, Runner, Shape, ThreadPlan } from './runner.ts';
import { createRunner, workerMain } from './runner.ts';

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
  const count = (d: number): number => Math.max(threads, Math.min(piecesPerThread * threads, pieces[d]!));
  const perPiece = units.map((u, d) => (shared[d] ? Math.ceil(u / count(d)) : 0));
  return {
    number,
    dims: dims.length,
    dispatches: units.length,
    loops: loops.length,
    words: Int32Array.from([
      ...dims,
      ...units.flatMap((u, d) => [u, perPiece[d]!, which[d]!]),
      ...loops.flatMap((l) => [l.begin, l.end, l.times]),
    ]),
  };
}

/** The most pieces of a dispatch: fewer than 63 fit into the words of a thread's share. */
const piecesPerThread = 32;

/** A worker of Node or of a browser. */
interface Thread {
  post(message: LoadMessage): void;
  /** The next message, or a failure. */
  answer(): Promise<string>;
  end(): void;
}

export class ThreadPool {
  private isWaiting = false;
  /** With its control words made anew for every set of plans: while threads learn of new plans, none reads the old words. */
  private runner: Runner | undefined;
  private constructor(private readonly workers: readonly Thread[]) {}

  get threads(): number {
    return this.workers.length + 1;
  }

  /** Starts `threads` - 1 workers. Throws RuntimeError where there are no shared memory or workers. */
  static async start(threads: number): Promise<ThreadPool> {
    if (typeof SharedArrayBuffer === 'undefined')
      throw new RuntimeError(
        'no-device',
        'threads need SharedArrayBuffer, which this page does not have',
        'serve it with the headers COOP and COEP, or use one thread',
      );
    const make = await threadMaker();
    return new ThreadPool(Array.from({ length: threads - 1 }, () => make()));
  }

  /** Tells every worker about the plans (`described` in full), in the order of their numbers. Nothing may run meanwhile. */
  async load(
    memory: WebAssembly.Memory,
    described: readonly Plan[],
    plans: LoadMessage['plans'],
  ): Promise<void> {
    if (this.isWaiting) this.runner!.command(1, 0);
    const control = new SharedArrayBuffer(controlBytes(described, this.threads));
    const words = new Int32Array(control);
    const { threads } = this;
    this.runner = createRunner(words, 0, threads, mayBlock(words));
    const answers = this.workers.map((worker, i) => {
      const answer = worker.answer();
      worker.post({ memory, control, thread: i + 1, threads, plans });
      return answer;
    });
    for (const answer of await Promise.all(answers))
      if (answer !== 'ready') throw new Error(`a thread could not load the plans: ${answer}`);
    this.isWaiting = true;
  }

  /** Runs a step on all threads; returns when it is done. */
  run(index: number, plan: ThreadPlan, shape: Shape): void {
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
    if (this.isWaiting) this.runner!.command(2, 0);
    this.isWaiting = false;
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
  once(event: string, listener: (value: unknown) => void): void;
  off(event: string, listener: (value: unknown) => void): void;
  ref(): void;
  unref(): void;
  terminate(): Promise<number>;
}

const program = (port: string): string => `(${workerMain.toString()})(${port}, ${createRunner.toString()})`;

/** How to start a worker here. */
async function threadMaker(): Promise<() => Thread> {
  if (typeof process !== 'undefined' && process.versions?.node) {
    // Not a literal, so that bundlers for browsers do not look for it.
    const name = 'node:worker_threads';
    const { Worker: Node } = (await import(/* @vite-ignore */ name)) as {
      Worker: new (source: string, options: { eval: boolean }) => NodeWorker;
    };
    const port = `(({ parentPort: p }) => ({ send: (m) => p.postMessage(m), receive: (f) => p.on('message', f) }))(require('node:worker_threads'))`;
    return () => nodeThread(new Node(program(port), { eval: true }));
  }
  const port = `{ send: (m) => postMessage(m), receive: (f) => { onmessage = (e) => f(e.data); } }`;
  const url = URL.createObjectURL(new Blob([program(port)], { type: 'text/javascript' }));
  return () => browserThread(new Worker(url));
}

/** Holds the process only while it is asked something. */
function nodeThread(worker: NodeWorker): Thread {
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    answer: () =>
      new Promise((resolve, reject) => {
        const settle = (act: () => void): void => {
          worker.off('message', done);
          worker.off('error', failed);
          worker.unref();
          act();
        };
        const done = (message: unknown): void => settle(() => resolve(String(message)));
        const failed = (error: unknown): void => settle(() => reject(error as Error));
        worker.once('message', done);
        worker.once('error', failed);
        worker.ref();
      }),
    end: () => void worker.terminate(),
  };
}

function browserThread(worker: Worker): Thread {
  return {
    post: (message) => worker.postMessage(message),
    answer: () =>
      new Promise((resolve, reject) => {
        worker.onmessage = (event) => resolve(String(event.data));
        worker.onerror = (event) => reject(new Error(event.message));
      }),
    end: () => worker.terminate(),
  };
}
