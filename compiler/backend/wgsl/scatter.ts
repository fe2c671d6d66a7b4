/** Scatter kernels: one invocation a grid point clears its elements, then adds one value after the other, in order. */
import type { ScatterKernel } from '../../kernel/kernel.ts';
import { bindFlat, ceilDivide, countOf, workgroupsOf } from './axes.ts';
import { Emitter, countUses } from './emitter.ts';
import { GROUP, LOCAL } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';

const SIZE = 64;

export function emitScatter(kernel: ScatterKernel, shader: Shader): Emitted {
  const emitter = new Emitter(shader, countUses([kernel.value, ...kernel.data.map((d) => d.value)]));
  const total = countOf(kernel.grid);
  const groups = workgroupsOf(ceilDivide(total, SIZE));
  const point = emitter.block.name(`(${GROUP} * ${SIZE}i + ${LOCAL})`, 'point');
  const bound = emitter.named(emitter.poly(total)).code;
  emitter.block.add(`if (${point} >= ${bound}) {`, '  return;', '}');
  bindFlat(emitter, kernel.grid, emitter.here(point, true));
  const dtype = kernel.buffers[kernel.target]!.dtype;
  const zero = emitter.constant(dtype, 0).code;
  emitter.within('', () =>
    emitter.serially(kernel.clear.axes, () =>
      emitter.block.add(`b${kernel.target}[${emitter.poly(kernel.clear.offset).code}] = ${zero};`),
    ),
  );
  emitter.within('', () => emitter.serially(kernel.axes, () => addOne(kernel, emitter)));
  return { workgroupSize: SIZE, workgroups: groups.workgroups, large: groups.large };
}

function addOne(kernel: ScatterKernel, emitter: Emitter): void {
  const scope = emitter.withData(kernel.data);
  const conditions = scope.conditions(kernel.guard);
  const body = (): void => {
    const element = `b${kernel.target}[${scope.poly(kernel.offset).code}]`;
    scope.block.add(`${element} = ${element} + ${scope.value(kernel.value).code};`);
  };
  if (conditions) scope.within(`if ${conditions.code}`, body);
  else body();
}
