/** Amounts of memory as people write them. */

const units: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** What `parseBytes` understands, for messages. */
export const bytesForm = 'an amount of memory such as "512MB", "1.5GB" or "256MiB"';

/** `512MB`, `1.5 GiB`: whole bytes, at least 1; nothing when the text says no such amount. */
export function parseBytes(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(text.trim()) ?? [];
  const factor = units[unit.toLowerCase()];
  const bytes = factor === undefined ? NaN : Math.floor(Number(digits) * factor);
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `12.4 MB`, in units of 1000, never less than it is: what is written so is enough. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = bytes < 1000 ? 0 : Math.min(names.length - 1, Math.floor(Math.log10(bytes) / 3));
  const tenths = Math.ceil((10 * bytes) / 1000 ** power);
  return `${tenths / 10} ${names[power]}`;
}
