/** WGSL functions for what WGSL lacks. A shader gets those that it calls. */

const helpers = {
  /** A constant expression may be neither infinite nor NaN; `var` makes these ordinary values. */
  nn_inf: {
    needs: [],
    code: `fn nn_inf() -> f32 {
  var bits = 0x7f800000u;
  return bitcast<f32>(bits);
}`,
  },
  nn_nan: {
    needs: [],
    code: `fn nn_nan() -> f32 {
  var bits = 0x7fc00000u;
  return bitcast<f32>(bits);
}`,
  },
  /** Rounds towards minus infinity; 0 when dividing by 0. */
  nn_div: {
    needs: [],
    code: `fn nn_div(a: i32, b: i32) -> i32 {
  let q = a / b;
  let r = a % b;
  return select(select(q, q - 1, r != 0 && (r < 0) != (b < 0)), 0, b == 0);
}`,
  },
  nn_div_u32: {
    needs: [],
    code: `fn nn_div_u32(a: u32, b: u32) -> u32 {
  return select(a / b, 0u, b == 0u);
}`,
  },
  /** Has the sign of \`b\`; 0 when dividing by 0. */
  nn_mod: {
    needs: [],
    code: `fn nn_mod(a: i32, b: i32) -> i32 {
  let r = a % b;
  return select(r, r + b, r != 0 && (r < 0) != (b < 0));
}`,
  },
  nn_mod_f32: {
    needs: [],
    code: `fn nn_mod_f32(a: f32, b: f32) -> f32 {
  let r = a % b;
  return select(r, r + b, r != 0.0 && (r < 0.0) != (b < 0.0));
}`,
  },
  /**
   * Cephes' sinf and cosf: 2 ulp up to |x| = 8192. The built-ins promise no more than 2^-11 within [-pi, pi]. The octant
   * is counted from 0 at `quadrant` = 0 for the sine, and a quarter turn further on for the cosine.
   */
  nn_turn: {
    needs: [],
    code: `fn nn_turn(x: f32, quadrant: u32) -> f32 {
  let a = abs(x);
  let octant = (u32(min(a * 1.2732395447351628, 1e9)) + 1u) & 0xfffffffeu;
  let y = f32(octant);
  let r = ((a - y * 0.78515625) - y * 2.4187564849853515625e-4) - y * 3.77489497744594108e-8;
  let z = r * r;
  let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  let q = (octant >> 1u) + quadrant;
  let v = select(s, c, (q & 1u) == 1u);
  return select(v, -v, (q & 2u) == 2u);
}`,
  },
  nn_sin: {
    needs: ['nn_turn'],
    code: `fn nn_sin(x: f32) -> f32 {
  let y = nn_turn(x, 0u);
  return select(y, -y, x < 0.0);
}`,
  },
  nn_cos: {
    needs: ['nn_turn'],
    code: `fn nn_cos(x: f32) -> f32 {
  return nn_turn(x, 1u);
}`,
  },
  /** Cephes' tanhf: 2 ulp, and NaN stays NaN. */
  nn_tanh: {
    needs: [],
    code: `fn nn_tanh(x: f32) -> f32 {
  let a = abs(x);
  if (a > 0.625) {
    let y = 1.0 - 2.0 / (exp(2.0 * min(a, 10.0)) + 1.0);
    return select(y, -y, x < 0.0);
  }
  let z = x * x;
  let p = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
    - 3.33332819422e-1;
  return p * z * x + x;
}`,
  },
  /** By e^-|x|, which cannot overflow. */
  nn_sigmoid: {
    needs: [],
    code: `fn nn_sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}`,
  },
  /** Cephes' erff within |x| < 1 (NaN too); beyond, 1 - erfc with the Chebyshev fit of Numerical Recipes (1.2e-7). */
  nn_erf: {
    needs: [],
    code: `fn nn_erf(x: f32) -> f32 {
  let a = abs(x);
  if (a >= 1.0) {
    let b = min(a, 10.0);
    let t = 1.0 / (1.0 + 0.5 * b);
    let s = 1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
      + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))));
    let y = 1.0 - t * exp(-b * b - 1.26551223 + t * s);
    return select(y, -y, x < 0.0);
  }
  let z = x * x;
  let p = (((((7.853861353153693e-5 * z - 8.010193625184903e-4) * z + 5.188327685732524e-3) * z
    - 2.685381193529856e-2) * z + 1.128358514861418e-1) * z - 3.761262582423300e-1) * z + 1.128379165726710;
  return x * p;
}`,
  },
  /** Whole exponents by repeated squaring (exact where the products are), others by exp2 and log2. */
  nn_pow: {
    needs: ['nn_nan', 'nn_inf'],
    code: `fn nn_pow(x: f32, y: f32) -> f32 {
  let n = abs(y);
  if (y == floor(y) && n < 16777216.0) {
    var e = u32(n);
    var base = select(x, 1.0 / x, y < 0.0);
    var r = 1.0;
    while (e != 0u) {
      if ((e & 1u) == 1u) { r = r * base; }
      base = base * base;
      e = e >> 1u;
    }
    return r;
  }
  if (x == 0.0) { return select(0.0, nn_inf(), y < 0.0); }
  if (x < 0.0) { return nn_nan(); }
  return pow(x, y);
}`,
  },
} as const satisfies Readonly<Record<string, { needs: readonly string[]; code: string }>>;

export type HelperName = keyof typeof helpers;

/** Text of the functions in `used` and of those they call. */
export function helperCode(used: ReadonlySet<HelperName>): string[] {
  const all = new Set<HelperName>();
  const include = (name: HelperName): void => {
    for (const other of helpers[name].needs) include(other);
    all.add(name);
  };
  for (const name of used) include(name);
  return [...all].map((name) => helpers[name].code);
}
