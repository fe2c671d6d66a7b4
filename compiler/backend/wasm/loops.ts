/** Loops around code that a Lowering makes. */
import type { Axis } from '../../kernel/kernel.ts';
import type { Func, I32, Local, Stmt } from './encoder.ts';
import { f32x4, forLoop, i32, v128 } from './instr.ts';
import type { Lowering } from './lower.ts';

export interface Bounds {
  readonly from: I32;
  readonly to: I32;
}

export class Loops {
  constructor(
    private readonly lower: Lowering,
    private readonly f: Func,
  ) {}

  /** From 0 to the axis's extent. */
  whole(axis: Axis): Bounds {
    return { from: i32.const(0), to: this.lower.poly(axis.extent) };
  }

  private index(axis: Axis): Local<'i32'> {
    return this.f.local('i32', axis.name);
  }

  scalar(axis: Axis, { from, to }: Bounds, body: () => void): void {
    const i = this.index(axis);
    this.lower.open(axis.name, i.get);
    body();
    this.lower.push(...forLoop(i, from, to, 1, this.lower.close()));
  }

  nest(axes: readonly Axis[], body: () => void): void {
    const [axis, ...rest] = axes;
    if (!axis) body();
    else this.scalar(axis, this.whole(axis), () => this.nest(rest, body));
  }

  /** Steps of `copies` vectors, of one vector, then of one element. `body` gets the number of vectors, 0 for the element. */
  vector(axis: Axis, { from, to }: Bounds, copies: number, body: (copies: number) => void): void {
    const i = this.index(axis);
    const extent =
      from.constant !== undefined && to.constant !== undefined ? to.constant - from.constant : undefined;
    this.lower.push(i.set(from));
    let left = extent ?? Infinity;
    for (const step of copies > 1 ? [4 * copies, 4, 1] : [4, 1]) {
      if (left < step) continue;
      this.lower.open(axis.name, i.get, step > 1);
      body(step > 1 ? step / 4 : 0);
      const inner = this.lower.close();
      const last = step === 1 ? to : this.lower.keep(i32.sub(to, i32.const(step - 1)));
      this.lower.push(...forLoop(i, i.get, last, step, inner));
      if (extent !== undefined) left %= step;
    }
  }
}

/** Sets `bytes` from `at` on to 0, in whole vectors. */
export function clear(f: Func, at: I32, bytes: I32): Stmt[] {
  const [i, end] = [f.local('i32', 'i'), f.local('i32', 'end')];
  return [
    end.set(i32.add(at, bytes)),
    ...forLoop(i, at, end.get, 16, [v128.store(i.get, f32x4.splatConst(0))]),
  ];
}
