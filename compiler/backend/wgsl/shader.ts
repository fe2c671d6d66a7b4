/** One shader module: its bindings, workgroup memory, helper functions, and the block of its entry point. */
import type { Kernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { Block, Names, stripParentheses } from './block.ts';
import type { HelperName } from './helpers.ts';
import { helperCode } from './helpers.ts';
import { storageType, vectorType } from './print.ts';

/** What a workgroup may be; the defaults are what every WebGPU device grants. */
export interface WgslLimits {
  /** Invocations of a workgroup; a power of two. */
  readonly workgroupSize: number;
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
}

export const defaultLimits: WgslLimits = { workgroupSize: 256, workgroupMemory: 16384 };

/** What is said of the device beside its limits. */
export interface DeviceTraits {
  /** A processor that pretends to be a GPU: barriers and workgroup memory are dear there, and few invocations keep it busy. */
  readonly isSoftware?: boolean;
  /** It has the feature `subgroups`. */
  readonly subgroups?: boolean;
}

/** Workgroups along one dimension of a dispatch. */
export const MAX_GROUPS = 65535;

/** Code of the two built-in values that kernels use. */
export const LOCAL = 'lid';
export const GROUP = 'group';
/** Of those of a module that uses subgroups: the invocation's number in its subgroup, and how many that has. */
export const SUBGROUP_LANE = 'i32(subgroup_lane)';
export const SUBGROUP_SIZE = 'i32(subgroup_size)';

/** What a template made beside the text: the shape of its workgroups, and how many to dispatch. */
export interface Emitted {
  readonly workgroupSize: number;
  readonly workgroups: readonly [Poly, Poly, Poly];
  readonly large: boolean;
}

export class Shader {
  readonly kernel: Kernel;
  readonly dims: readonly string[];
  readonly limits: WgslLimits;
  readonly device: DeviceTraits;
  /** Dimensions in use, and what must be ready before everything else. */
  readonly prologue: Block;
  readonly main: Block;
  readonly helpers = new Set<HelperName>();
  /** Buffers declared as arrays of four elements each. To be settled before the first access to any of them is written. */
  readonly vectors = new Set<number>();
  /** Some value in it is f16, which a module has to announce. */
  usesHalf: boolean;
  usesSubgroups = false;
  readonly #shared: string[] = [];
  readonly #names = new Names();
  readonly #dimNames = new Map<string, string>();

  constructor(kernel: Kernel, dims: readonly string[], limits: WgslLimits, device: DeviceTraits = {}) {
    this.kernel = kernel;
    this.dims = dims;
    this.limits = limits;
    this.device = device;
    this.usesHalf = kernel.buffers.some((b) => b.dtype === 'f16');
    this.prologue = new Block(this.#names);
    this.main = this.prologue.open();
  }

  /** The value of a dimension as i32, or undefined when there is no such dimension. */
  dimension(name: string): string | undefined {
    const known = this.#dimNames.get(name);
    if (known !== undefined) return known;
    const at = this.dims.indexOf(name);
    if (at < 0) return undefined;
    const code = `i32(dims[${at >> 2}].${'xyzw'[at & 3]})`;
    const fresh = this.prologue.name(code, 'd', name);
    this.#dimNames.set(name, fresh);
    return fresh;
  }

  /** Declares an array in workgroup memory and gives its name. */
  workgroupArray(type: string, length: number, hint: string): string {
    const name = this.#names.fresh('w', hint);
    this.#shared.push(`var<workgroup> ${name}: array<${type}, ${length}>;`);
    return name;
  }

  /** One element of a buffer, and four from a multiple of four on. */
  element(buffer: number, at: string): string {
    if (!this.vectors.has(buffer)) return `b${buffer}[${stripParentheses(at)}]`;
    return `b${buffer}[${at} >> 2u][${at} & 3i]`;
  }

  group(buffer: number, at: string): string {
    return `b${buffer}[${at} >> 2u]`;
  }

  /**
   * The whole text, without a word about which kernel it is, so that kernels that are alike share a pipeline. `large` when
   * the dispatch may be two-dimensional (see `workgroupsOf`).
   */
  finish(workgroupSize: number, large: boolean): string {
    const { buffers } = this.kernel;
    const bindings = buffers.map(({ dtype }, i) => {
      const type = storageType(dtype);
      const element = this.vectors.has(i) ? vectorType(type) : type;
      return `@group(0) @binding(${i}) var<storage, read_write> b${i}: array<${element}>;`;
    });
    if (this.dims.length > 0) {
      const vectors = Math.ceil(this.dims.length / 4);
      bindings.push(`@group(0) @binding(${buffers.length}) var<uniform> dims: array<vec4<u32>, ${vectors}>;`);
    }
    const body = [
      `let ${LOCAL} = i32(local);`,
      large ? `let ${GROUP} = i32(groups.y * ${MAX_GROUPS}u + groups.x);` : `let ${GROUP} = i32(groups.x);`,
      ...this.prologue.lines,
      ...this.main.lines,
    ];
    const parameters = [
      '@builtin(local_invocation_index) local: u32',
      '@builtin(workgroup_id) groups: vec3<u32>',
      ...(this.usesSubgroups
        ? [
            '@builtin(subgroup_invocation_id) subgroup_lane: u32',
            '@builtin(subgroup_size) subgroup_size: u32',
          ]
        : []),
    ];
    const sections = [
      [...(this.usesHalf ? ['enable f16;'] : []), ...(this.usesSubgroups ? ['enable subgroups;'] : [])],
      bindings,
      this.#shared,
      ...helperCode(this.helpers).map((code) => [code]),
      [
        `@compute @workgroup_size(${workgroupSize})`,
        `fn main(${parameters.join(', ')}) {`,
        ...body.map((line) => `  ${line}`),
        '}',
      ],
    ];
    return `${sections
      .filter((s) => s.length > 0)
      .map((s) => s.join('\n'))
      .join('\n\n')}\n`;
  }
}
