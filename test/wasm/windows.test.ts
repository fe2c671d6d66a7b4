/** Convolutions whose image is read in place: which those are, and what they compute. */
import { describe, expect, it } from 'vitest';
import { mergeRoles, planContract } from '../../compiler/backend/wasm/contract/plan.ts';
import { planWindow } from '../../compiler/backend/wasm/contract/windows.ts';
import type { ContractKernel, Ex } from '../../compiler/kernel/kernel.ts';
import { swapRoles } from '../../compiler/kernel/rebuild.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { add, scale, subtract, symbol as s } from '../../compiler/shape/poly.ts';
import { acc, at, contract, tolerance, use } from './contractions.ts';
import { axis, check, float, floats, load, op, fused } from './harness.ts';

interface Shape {
  readonly channels: number;
  readonly filters: number;
  readonly height: number;
  readonly width: number;
  readonly taps: number;
  /** The taps in the other order, as in the gradient of an image. */
  readonly backwards?: boolean;
}

const sizesOf = ({ channels, filters, height, width, taps }: Shape, images: number): number[] => [
  images * channels * (height + taps - 1) * (width + taps - 1),
  filters * channels * taps * taps,
  filters,
  images * filters * height * width,
];

/** relu(image * weights + bias), and the sum added to what stood there. */
function convolution(
  shape: Shape,
  image: (offset: Poly) => Ex = (offset) => load(1, offset),
): ContractKernel {
  const { channels, filters, height, width, taps, backwards = false } = shape;
  const place = (slide: string, tap: string): Poly =>
    backwards ? add(subtract(s(slide), s(tap)), taps - 1) : add(s(slide), s(tap));
  const [rows, columns] = [height + taps - 1, width + taps - 1];
  const y = at(['b', 'batch'], ['f', filters], ['i', height], ['j', width]);
  return contract(
    [use(1), use(0), use(2), use(3, 'update')],
    {
      m: [axis('f', filters)],
      n: [axis('b', 'batch'), axis('i', height), axis('j', width)],
      k: [axis('c', channels), axis('p', taps), axis('q', taps)],
    },
    load(0, at(['f', filters], ['c', channels], ['p', taps], ['q', taps])),
    image(at(['b', 'batch'], ['c', channels], [place('i', 'p'), rows], [place('j', 'q'), columns])),
    {
      buffer: 3,
      offset: y,
      value: op('add', 'f32', op('max', 'f32', op('add', 'f32', acc, load(2, s('f'))), float(0)), load(3, y)),
    },
  );
}

const isWindow = (kernel: ContractKernel): boolean => {
  const k = mergeRoles(kernel);
  return (planWindow(k, fused)?.cost ?? Infinity) < (planContract(k, fused)?.cost ?? 0);
};

const lenet = { channels: 3, filters: 16, height: 8, width: 8, taps: 5 };

describe('an image that is read in place', () => {
  it.each<Shape>([
    lenet,
    { channels: 3, filters: 6, height: 12, width: 12, taps: 5, backwards: true },
    { channels: 1, filters: 6, height: 24, width: 24, taps: 5 },
    { channels: 3, filters: 7, height: 5, width: 20, taps: 4 },
    { channels: 2, filters: 9, height: 3, width: 31, taps: 7, backwards: true },
    { channels: 2, filters: 5, height: 130, width: 12, taps: 3 },
  ])('%j', (shape) => {
    const k = convolution(shape);
    expect(isWindow(k)).toBe(true);
    for (const batch of [1, 3]) {
      const data = sizesOf(shape, batch).map((n, i) => floats(n, i + 1));
      check(k, data, { batch }, tolerance);
      check(swapRoles(k), data, { batch }, tolerance);
    }
  });

  it('has neighbours side by side, no guard, no expression, and does not change', () => {
    const guard = [{ kind: 'ge' as const, value: add(s('j'), -1) }];
    for (const image of [
      (offset: Poly) => load(1, scale(offset, 2)),
      (offset: Poly) => load(1, offset, 'f32', { guard }),
      (offset: Poly) => op('mul', 'f32', load(1, offset), float(2)),
      (offset: Poly) => load(3, offset),
    ])
      expect(planWindow(mergeRoles(convolution(lenet, image)), fused)).toBeUndefined();
  });

  it('slides: a matrix is packed', () => {
    const product = convolution({ ...lenet, taps: 1 });
    expect(planWindow(mergeRoles(product), fused)).toBeUndefined();
  });
});
