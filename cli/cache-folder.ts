/** Where this user's cache is: `NNET_CACHE`, a folder, or `off`; else `nnetc` where caches are. None where it is off. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const chosen = env['NNET_CACHE'];
  if (chosen === 'off' || chosen === '0') return undefined;
  return chosen ?? join(env['XDG_CACHE_HOME'] ?? env['LOCALAPPDATA'] ?? join(homedir(), '.cache'), 'nnetc');
}
