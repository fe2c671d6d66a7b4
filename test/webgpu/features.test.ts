/** What a program asks of a GPU before its shaders are compiled. Needs none. */
import { describe, expect, it } from 'vitest';
import { type Abilities, needFeatures } from '../../runtime/webgpu/gpu.ts';

const gpuWith = (...features: string[]): Abilities => ({
  name: 'a GPU',
  device: { features: new Set(features) as GPUSupportedFeatures },
  subgroups: features.includes('subgroups'),
});
const both = 'enable f16;\nenable subgroups;\nfn main() {}';

describe('shaders that enable what the GPU lacks', () => {
  it.each([
    ['subgroups', [both], gpuWith('shader-f16'), /subgroups, which a GPU does not have/],
    ['subgroups alone', ['enable subgroups;\n'], gpuWith(), /subgroups, which a GPU does not have/],
    ['f16', ['fn main() {}', both], gpuWith('subgroups'), /f16, which a GPU cannot do/],
  ])('%s: the message says so', (_, shaders, gpu, message) => {
    expect(() => needFeatures(gpu, shaders)).toThrow(message);
  });

  it('nothing is missing', () => {
    expect(() => needFeatures(gpuWith('shader-f16', 'subgroups'), [both])).not.toThrow();
    expect(() => needFeatures(gpuWith(), ['fn main() { /* enable f16; */ }'])).not.toThrow();
  });
});
