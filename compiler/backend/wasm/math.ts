/**
 * Elementary functions on four f32 at once, as internal functions of the module. Scalar code calls the same ones on a
 * splat, so that a loop's vector body and its scalar tail give identical bits. Polynomials and range reductions follow
 * Cephes (Moshier), erf follows N. Juffa's two-piece minimax fit; the ends (infinities, NaN, zeros, denormals) are handled.
 */
import type { F32, F64, Func, Local, Module, V128 } from './encoder.ts';
import { f32, f32x4, f64, f64x2, i32, i32x4, i64, select, v128, choose } from './instr.ts';

export type MathName = 'exp' | 'log' | 'tanh' | 'sigmoid' | 'erf' | 'sin' | 'cos';

export class MathLibrary {
  private readonly made = new Map<string, Func>();

  constructor(
    private readonly module: Module,
    readonly relaxed: boolean,
  ) {}

  /** `name` of every lane. */
  vector(name: MathName, x: V128): V128 {
    return this.unary(name).call('v128', x);
  }

  /** The same code in place: worth it in loops, where the constants stay in registers. `x` is cheap to repeat. */
  inline(name: MathName, x: V128, to: Emitter): V128 {
    return new Builder(to, this.relaxed)[name](x);
  }

  scalar(name: MathName, x: F32): F32 {
    return f32x4.extract(this.vector(name, f32x4.splat(x)), 0);
  }

  pow(x: F32, y: F32): F32 {
    return this.powFunction().call('f32', x, y);
  }

  private unary(name: MathName): Func {
    const known = this.made.get(name);
    if (known) return known;
    const f = this.module.func(`math.${name}`, [['x', 'v128']], 'v128');
    this.made.set(name, f);
    const keep = (value: V128): V128 => {
      const local = f.local('v128');
      f.body.push(local.set(value));
      return local.get;
    };
    const x = f.params[0] as Local<'v128'>;
    f.body.push(this.inline(name, x.get, { keep, float: f32x4.splatConst, int: i32x4.splatConst }));
    return f;
  }

  private powFunction(): Func {
    const known = this.made.get('pow');
    if (known) return known;
    const f = this.module.func(
      'math.pow',
      [
        ['x', 'f32'],
        ['y', 'f32'],
      ],
      'f32',
    );
    this.made.set('pow', f);
    buildPow(f);
    return f;
  }
}

const roundingMagic = 12582912; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
/** Below it e^x is 0, and both halves of the scale are: nothing has to be rounded to a denormal, which takes processors long. */
const lowest = -176;
/** Where the code of an elementary function goes: values that are used twice, and constants. */
export interface Emitter {
  /** Computes `value` now; the result is cheap to repeat. */
  readonly keep: (value: V128) => V128;
  readonly float: (value: number) => V128;
  readonly int: (value: number) => V128;
}

/** Code of one elementary function, into a function's body or straight into a loop. */
class Builder {
  constructor(
    private readonly to: Emitter,
    private readonly relaxed: boolean,
  ) {}

  private keep(value: V128): V128 {
    return this.to.keep(value);
  }

  private madd(a: V128, b: V128, sum: V128): V128 {
    return this.relaxed ? f32x4.relaxedMadd(a, b, sum) : f32x4.add(f32x4.mul(a, b), sum);
  }

  private nmadd(a: V128, b: V128, sum: V128): V128 {
    return this.relaxed ? f32x4.relaxedNmadd(a, b, sum) : f32x4.sub(sum, f32x4.mul(a, b));
  }

  /** Horner, highest coefficient first. */
  private polynomial(x: V128, coefficients: readonly number[]): V128 {
    const [first = 0, ...rest] = coefficients;
    return rest.reduce<V128>((sum, k) => this.madd(sum, x, this.to.float(k)), this.to.float(first));
  }

  /** The scale in two halves, so that denormals and overflow come out right. */
  exp(x: V128): V128 {
    const clamped = this.keep(f32x4.pmin(f32x4.pmax(x, this.to.float(lowest)), this.to.float(89)));
    const { t, part } = this.reducedExp(clamped);
    const sum = f32x4.add(part, this.to.float(1));
    const exponent = this.keep(i32x4.sub(t, this.to.float(roundingMagic)));
    const half = this.keep(i32x4.shrS(exponent, i32.const(1)));
    const power = (e: V128): V128 => i32x4.shl(i32x4.add(e, this.to.int(127)), i32.const(23));
    return f32x4.mul(f32x4.mul(sum, power(half)), power(i32x4.sub(exponent, half)));
  }

  /** Where e^x * 2^up is a normal number, or 0 as n = -127 - up. The shift drops all of t but n. */
  private narrowExp(x: V128, up = 0): V128 {
    const { t, part } = this.reducedExp(x);
    const sum = f32x4.add(part, this.to.float(1));
    const scaled = f32x4.mul(sum, i32x4.shl(i32x4.add(t, this.to.int(127 + up)), i32.const(23)));
    return up === 0 ? scaled : f32x4.mul(scaled, this.to.float(2 ** -up));
  }

  /**
   * e^x = 2^n * (1 + r + r^2 P(r)), x = n ln 2 + r: what stands beside the 1, and n in the low bits of t. P by Estrin's scheme:
   * what limits a loop is how long one result takes.
   */
  private reducedExp(x: V128): { readonly t: V128; readonly part: V128 } {
    const t = this.keep(this.madd(x, this.to.float(Math.LOG2E), this.to.float(roundingMagic)));
    const n = this.keep(f32x4.sub(t, this.to.float(roundingMagic)));
    const high = this.keep(this.nmadd(n, this.to.float(0.693359375), x));
    const r = this.keep(this.nmadd(n, this.to.float(-2.1219444e-4), high));
    const square = this.keep(f32x4.mul(r, r));
    const pair = (c1: number, c0: number): V128 => this.madd(r, this.to.float(c1), this.to.float(c0));
    const high2 = this.madd(
      square,
      pair(1.98756915e-4, 1.3981999507e-3),
      pair(8.3334519073e-3, 4.1665795894e-2),
    );
    const p = this.madd(square, high2, pair(1.6666665459e-1, 5.0000001201e-1));
    return { t, part: this.madd(square, p, r) };
  }

  /** x = 2^e m with m in [sqrt(1/2), sqrt 2): e ln 2 + log m. */
  log(x: V128): V128 {
    const denormal = this.keep(f32x4.lt(x, this.to.float(1.17549435e-38)));
    const scaled = this.keep(v128.select(denormal, f32x4.mul(x, this.to.float(8388608)), x));
    const bits = this.keep(i32x4.sub(scaled, this.to.int(0x3f3504f3)));
    const bias = v128.and(denormal, this.to.float(23));
    const e = this.keep(f32x4.sub(f32x4.convertS(i32x4.shrS(bits, i32.const(23))), bias));
    const mantissa = i32x4.add(v128.and(bits, this.to.int(0x7fffff)), this.to.int(0x3f3504f3));
    const m = this.keep(f32x4.sub(mantissa, this.to.float(1)));
    const z = this.keep(f32x4.mul(m, m));
    const p = this.polynomial(
      m,
      [
        7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
      ],
    );
    const cubic = this.madd(e, this.to.float(-2.1219444e-4), f32x4.mul(f32x4.mul(p, z), m));
    const small = this.nmadd(z, this.to.float(0.5), cubic);
    const finite = this.keep(this.madd(e, this.to.float(0.693359375), f32x4.add(small, m)));
    const infinite = v128.select(f32x4.eq(x, this.to.float(Infinity)), x, finite);
    const zero = v128.select(f32x4.eq(x, this.to.float(0)), this.to.float(-Infinity), infinite);
    const valid = this.keep(f32x4.ge(x, this.to.float(0)));
    return v128.select(valid, zero, this.to.float(NaN));
  }

  private magnitude(x: V128): V128 {
    return this.keep(f32x4.abs(x));
  }

  private copySign(value: V128, sign: V128): V128 {
    return v128.or(value, v128.and(sign, this.to.int(-0x80000000)));
  }

  /**
   * Near 0 its power series; else, of |x|, m / (m + 2) with m = e^2x - 1 = 2^n q + (2^n - 1), where q, e^r - 1, has all its
   * digits when n is 0.
   */
  tanh(x: V128): V128 {
    const a = this.magnitude(x);
    const z = this.keep(f32x4.mul(x, x));
    const series = this.polynomial(z, [62 / 2835, -17 / 315, 2 / 15, -1 / 3]);
    const near = this.keep(this.madd(f32x4.mul(series, z), x, x));
    // From 10 on the result is 1.
    const doubled = f32x4.pmin(f32x4.add(a, a), this.to.float(20));
    const { t, part } = this.reducedExp(this.keep(doubled));
    const power = this.keep(i32x4.shl(i32x4.add(t, this.to.int(127)), i32.const(23)));
    const m = this.keep(this.madd(power, part, f32x4.sub(power, this.to.float(1))));
    const far = f32x4.div(m, f32x4.add(m, this.to.float(2)));
    return v128.select(f32x4.lt(a, this.to.float(0.256)), near, this.copySign(far, x));
  }

  /** With e = e^-|x|, which cannot overflow, 1 / (1 + e), below 0 e / (1 + e): each as what it starts from less a part of it. */
  sigmoid(x: V128): V128 {
    const below = v128.or(x, this.to.int(-0x80000000));
    // Denormals come out right with a detour; from here on e is 0, with nothing to round.
    const up = 100;
    const zeroAt = (-127 - up) * Math.LN2;
    const e = this.keep(this.narrowExp(this.keep(f32x4.pmax(below, this.to.float(zeroAt))), up));
    const top = this.keep(v128.select(i32x4.shrS(x, i32.const(31)), e, this.to.float(1)));
    return this.nmadd(top, f32x4.div(e, f32x4.add(e, this.to.float(1))), top);
  }

  erf(x: V128): V128 {
    const a = this.keep(f32x4.pmin(f32x4.abs(x), this.to.float(4)));
    const s = this.keep(f32x4.mul(a, a));
    const r = this.madd(this.to.float(-1.7285347e-5), a, this.to.float(3.83197126e-4));
    const u = this.madd(this.to.float(-3.88396438e-3), a, this.to.float(2.42546219e-2));
    const tail = this.polynomial2(this.madd(r, s, u), a, [-1.06777877e-1, -6.34846687e-1, -1.28717512e-1]);
    const far = f32x4.sub(this.to.float(1), this.narrowExp(this.keep(this.madd(tail, a, f32x4.neg(a)))));
    const p = this.polynomial(
      s,
      [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1],
    );
    const near = this.madd(p, x, x);
    return v128.select(f32x4.lt(a, this.to.float(0.927734375)), near, this.copySign(far, x));
  }

  private polynomial2(start: V128, x: V128, coefficients: readonly number[]): V128 {
    return coefficients.reduce<V128>((sum, k) => this.madd(sum, x, this.to.float(k)), start);
  }

  sin(x: V128): V128 {
    return this.circular(x, 0);
  }

  cos(x: V128): V128 {
    return this.circular(x, 1);
  }

  /** sin(x + quarter * pi / 2), reduced to [-pi/4, pi/4] in f64. */
  private circular(x: V128, quarter: number): V128 {
    const halves = [x, v128.shuffle(x, x, [2, 3, 2, 3])].map((half) => {
      const wide = this.keep(f64x2.promoteLow(half));
      const n = this.keep(f64x2.nearest(f64x2.mul(wide, f64x2.splatConst(2 / Math.PI))));
      const high = f64x2.sub(wide, f64x2.mul(n, f64x2.splatConst(1.5707963267341256)));
      const rest = f64x2.sub(high, f64x2.mul(n, f64x2.splatConst(6.077100506506192e-11)));
      return { rest: f32x4.demoteZero(rest), turn: i32x4.truncSatF64S(n) };
    });
    const join = (a: V128, b: V128): V128 => v128.shuffle(a, b, [0, 1, 4, 5]);
    const r = this.keep(join(halves[0]!.rest, halves[1]!.rest));
    const q = this.keep(i32x4.add(join(halves[0]!.turn, halves[1]!.turn), this.to.int(quarter)));
    const z = this.keep(f32x4.mul(r, r));
    const sine = this.polynomial(z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
    const cosine = this.polynomial(z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
    const s = this.madd(f32x4.mul(sine, z), r, r);
    const k = f32x4.add(
      this.nmadd(z, this.to.float(0.5), f32x4.mul(f32x4.mul(cosine, z), z)),
      this.to.float(1),
    );
    const odd = i32x4.ne(v128.and(q, this.to.int(1)), this.to.int(0));
    const sign = i32x4.shl(v128.and(q, this.to.int(2)), i32.const(30));
    return v128.xor(v128.select(odd, k, s), sign);
  }
}

/** x^y in f64 inside, so that large exponents (beta^step) keep their digits; the special cases are those of Math.pow. */
function buildPow(f: Func): void {
  const [x, y] = f.params as [Local<'f32'>, Local<'f32'>];
  const keep64 = (value: F64): Local<'f64'> => {
    const local = f.local('f64');
    f.body.push(local.set(value));
    return local;
  };
  const ln = keep64(logarithm(f, x));
  const yd = keep64(f64.promote(y.get));
  const size = keep64(exponential(f, keep64(f64.mul(yd.get, ln.get))));
  const whole = f64.eq(f64.floor(yd.get), yd.get);
  const half = keep64(f64.mul(yd.get, f64.const(0.5)));
  const odd = i32.and(whole, i32.eqz(f64.eq(f64.floor(half.get), half.get)));
  const negative = i32.shrU(i32.reinterpretF32(x.get), i32.const(31));
  const signed = keep64(select(i32.and(negative, odd), f64.neg(size.get), size.get));
  const real = i32.or(f32.ge(x.get, f32.const(0)), i32.or(f32.eq(x.get, f32.const(-Infinity)), whole));
  const value = select(real, f32.demote(signed.get), f32.const(NaN));
  const nan = i32.or(f32.ne(x.get, x.get), f32.ne(y.get, y.get));
  f.body.push(select(f32.eq(y.get, f32.const(0)), f32.const(1), select(nan, f32.const(NaN), value)));
}

/** log |x| as f64: 2 atanh((m - 1) / (m + 1)) + e ln 2. */
function logarithm(f: Func, x: Local<'f32'>): F64 {
  const a = f.local('f32', 'a');
  const bits = f.local('i32', 'bits');
  const shift = f.local('i32', 'shift');
  const m = f.local('f64', 'm');
  const s = f.local('f64', 's');
  const s2 = f.local('f64', 's2');
  f.body.push(
    a.set(f32.abs(x.get)),
    shift.set(i32.mul(f32.lt(a.get, f32.const(1.17549435e-38)), i32.const(23))),
    a.set(select(shift.get, f32.mul(a.get, f32.const(8388608)), a.get)),
    bits.set(i32.sub(i32.reinterpretF32(a.get), i32.const(0x3f3504f3))),
    m.set(
      f64.promote(f32.reinterpretI32(i32.add(i32.and(bits.get, i32.const(0x7fffff)), i32.const(0x3f3504f3)))),
    ),
    s.set(f64.div(f64.sub(m.get, f64.const(1)), f64.add(m.get, f64.const(1)))),
    s2.set(f64.mul(s.get, s.get)),
  );
  const e = f64.convertI32S(i32.sub(i32.shrS(bits.get, i32.const(23)), shift.get));
  const series = [17, 15, 13, 11, 9, 7, 5, 3].reduce<F64>(
    (sum, k) => f64.add(f64.mul(sum, s2.get), f64.const(2 / k)),
    f64.const(2 / 19),
  );
  const finite = f64.add(
    f64.mul(e, f64.const(Math.LN2)),
    f64.mul(s.get, f64.add(f64.mul(series, s2.get), f64.const(2))),
  );
  const zero = f32.eq(a.get, f32.const(0));
  return choose(
    zero,
    [f64.const(-Infinity)],
    [choose(f32.eq(a.get, f32.const(Infinity)), [f64.const(Infinity)], [finite], 'f64')],
    'f64',
  );
}

/** exp in f64, exact to about 1e-14 in the range of f32; beyond it 0 or infinity once demoted. */
function exponential(f: Func, x: Local<'f64'>): F64 {
  const clamped = f.local('f64', 'clamped');
  const n = f.local('f64', 'n');
  const r = f.local('f64', 'r');
  f.body.push(
    clamped.set(f64.min(f64.max(x.get, f64.const(-200)), f64.const(200))),
    n.set(f64.nearest(f64.mul(clamped.get, f64.const(Math.LOG2E)))),
    r.set(f64.sub(clamped.get, f64.mul(n.get, f64.const(Math.LN2)))),
  );
  let factorial = 479001600;
  let sum = f64.const(1 / factorial);
  for (let k = 12; k >= 1; k--) {
    factorial /= k;
    sum = f64.add(f64.mul(sum, r.get), f64.const(1 / factorial));
  }
  const exponent = i64.shl(i64.extendI32S(i32.add(i32.truncSatF64S(n.get), i32.const(1023))), 52);
  return f64.mul(sum, f64.reinterpretI64(exponent));
}
