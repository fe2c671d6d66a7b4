/**
 * WebGPU without a GPU, from npm alone: SwiftShader (a Vulkan driver that runs on the CPU) ships inside
 * `@sparticuz/chromium`, Dawn inside `webgpu`. SwiftShader executes WGSL, slowly and correctly; Dawn's null
 * backend executes nothing, but compiles every kernel with real messages in under a millisecond.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { afterAll, describe } from 'vitest';
import { untar } from './tar.ts';

const VERSION = '147.0.0';
const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const archive = join(modules, '@sparticuz/chromium/bin/swiftshader.tar.br');
const folder = join(modules, '.cache', `swiftshader-${VERSION}`);
const icd = join(folder, 'vk_swiftshader_icd.json');

/** Unpacks once for all processes: into a folder of its own, then one rename; whoever comes second yields. */
async function unpack(): Promise<void> {
  if (existsSync(icd)) return;
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(`${folder}-`);
  try {
    const tar = await promisify(brotliDecompress)(await readFile(archive));
    for (const { name, data } of untar(tar)) {
      await writeFile(join(temporary, basename(name)), data, { mode: 0o755 });
    }
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (!existsSync(icd)) throw error;
  }
}

function supported(): boolean {
  return process.platform === 'linux' && process.arch === 'x64';
}

/**
 * The environment in which a *child* process (`nnetc … --backend webgpu`) finds SwiftShader.
 * Empty where SwiftShader does not run: the child then sees whatever GPU the machine has.
 */
export async function softwareGpuEnv(): Promise<Record<string, string>> {
  if (!supported()) return {};
  await unpack();
  const inherited = process.env['LD_LIBRARY_PATH'];
  return {
    VK_ICD_FILENAMES: icd,
    VK_DRIVER_FILES: icd,
    LD_LIBRARY_PATH: inherited ? `${folder}:${inherited}` : folder,
  };
}

/** Makes this process's Vulkan be SwiftShader. Has to come before Dawn's first `requestAdapter`. */
async function loadVulkan(): Promise<void> {
  if (!supported()) return;
  await unpack();
  process.env['VK_ICD_FILENAMES'] = icd;
  process.env['VK_DRIVER_FILES'] = icd;
  const RTLD_NODELETE = 0x1000;
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, join(folder, 'libvulkan.so.1'), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch {
    // It is no Node add-on, which is what this complains of; the library stays loaded, and Dawn finds it.
  }
}

// Dawn crashes when the object that `create` returned is collected: these hold it as long as the process lives.
let software: Promise<GPU> | undefined;
let none: Promise<GPU> | undefined;

/**
 * Workgroup memory is not cleared before a kernel: no kernel reads what it did not write, and SwiftShader makes an
 * instruction for every element of it, which takes ten to twenty times as long to compile as the kernel itself.
 */
const uninitialised = 'enable-dawn-features=disable_workgroup_init';

/** WebGPU that runs on the CPU (where SwiftShader does not exist: on the machine's own GPU). */
export function softwareGpu(): Promise<GPU> {
  software ??= loadVulkan().then(() => createGpu([uninitialised]));
  return software;
}

/** WebGPU that compiles and validates everything, with f16 and subgroups, and executes nothing. */
export function nullGpu(): Promise<GPU> {
  none ??= createGpu(['backend=null']);
  return none;
}

async function createGpu(options: string[]): Promise<GPU> {
  const { create } = await import('webgpu');
  return create(options);
}

/** Why WGSL cannot be executed here, or undefined where it can. */
async function whyNoGpu(): Promise<string | undefined> {
  try {
    const gpu = await softwareGpu();
    return (await gpu.requestAdapter()) ? undefined : 'no WebGPU adapter';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const missing = await whyNoGpu();
if (missing !== undefined && process.env['NNET_REQUIRE_WEBGPU'] === '1') {
  throw new Error(`NNET_REQUIRE_WEBGPU=1, but WGSL cannot be executed here: ${missing}`);
}

const devices: GPUDevice[] = [];

/** A new device of `softwareGpu()`, destroyed after the file's tests (at natural exit Dawn would abort). */
export async function softwareDevice(descriptor: GPUDeviceDescriptor = {}): Promise<GPUDevice> {
  const adapter = await (await softwareGpu()).requestAdapter();
  if (!adapter) throw new Error('no WebGPU adapter');
  const device = await adapter.requestDevice(descriptor);
  devices.push(device);
  return device;
}

/** `describe` for tests that execute WGSL: where nothing can, they are skipped and say why. */
export function describeGpu(name: string, tests: () => void): void {
  describe.skipIf(missing !== undefined)(
    missing === undefined ? name : `${name} (skipped: ${missing})`,
    () => {
      afterAll(() => {
        for (const device of devices.splice(0)) device.destroy();
      });
      tests();
    },
  );
}
