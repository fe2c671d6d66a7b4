/** What an adapter says of itself, and what follows from it. */

/** What to call it. */
export function nameOf(info: GPUAdapterInfo): string {
  return (
    info.description || [info.vendor, info.architecture].filter((s) => s !== '').join(' ') || 'unknown GPU'
  );
}

/** SwiftShader, llvmpipe and the like. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const words = [info.vendor, info.architecture, info.device, info.description].join(' ').toLowerCase();
  return (
    info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b|\bcpu\b/.test(words)
  );
}

/**
 * So many workgroups keep a GPU busy: twice the 24 to 32 cores of small ones, about what large ones run at once. A driver
 * that computes on the CPU is busy with one.
 */
export const workgroupsOf = (info: GPUAdapterInfo): number => (isSoftware(info) ? 1 : 64);
