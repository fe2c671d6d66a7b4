import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { CountsReporter } from './test/support/reporter.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^nnetc$/, replacement: here('compiler/index.ts') },
      { find: /^nnetc\/runtime$/, replacement: here('runtime/index.ts') },
      { find: /^nnetc\/runtime\/node$/, replacement: here('runtime/node.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    // Dawn and SwiftShader are native and live as long as their process: forks, not threads.
    pool: 'forks',
    maxWorkers: 2,
    setupFiles: ['test/support/setup.ts'],
    // Generous: software GPUs take seconds to compile a kernel, more when the machine is busy.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    reporters: ['default', new CountsReporter()],
  },
});
