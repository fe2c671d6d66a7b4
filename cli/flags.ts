/** The flags that the command sets for V8 while it runs, and what to do without them for a moment. */
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** A flag as the command sets it, and as V8 has it by itself. */
interface Flag {
  readonly ours: string;
  readonly default: string;
}

const major = Number.parseInt(process.versions.node, 10);

/** The first Node whose V8 has a cheap optimising compiler (Maglev) between the baseline and TurboFan. */
const firstWithMaglev = 22;

/**
 * Bytes of bytecode that a function runs through before V8 hands it to TurboFan. A compilation is
 * over before most of what TurboFan makes is used, while it takes half of a machine of two cores: with this a GPT's
 * first start took 0.97 s instead of 1.33, and 12 blocks of it 1.8 s instead of 2.6. Functions that stay hot for longer
 * are still optimised.
 */
const tierUp: Flag = { ours: '--interrupt-budget=500000', default: '--interrupt-budget=67584' };

/** `runtime/relaxed.ts` sets it, from Node 24 on. */
const pairing: Flag = {
  ours: '--experimental-wasm-revectorize',
  default: '--no-experimental-wasm-revectorize',
};

/** For the compiler. */
export function optimiseLater(): void {
  if (major < firstWithMaglev) setFlagsFromString(tierUp.ours);
}

/** What of these this Node may have been given. */
const own = major < firstWithMaglev ? tierUp : major >= 24 ? pairing : undefined;

/** The flags that V8 has when this is made: code is kept for the flags that it was made under. */
export class FirstFlags {
  private readonly probe = new Script('1000').createCachedData();
  private probes = 1000;

  /** Whether they are those of now: V8 compares them before it takes code, of a script only the length. */
  private get hold(): boolean {
    const script = new Script(String(++this.probes), { cachedData: this.probe });
    return script.cachedDataRejected === false;
  }

  /** Runs `act` under them; undefined where these cannot be had. */
  during<T>(act: () => T): T | undefined {
    if (this.hold) return act();
    if (!own) return undefined;
    setFlagsFromString(own.default);
    try {
      return this.hold ? act() : undefined;
    } finally {
      setFlagsFromString(own.ours);
    }
  }
}
