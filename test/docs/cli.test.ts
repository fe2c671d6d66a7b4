/** docs/cli.md tells of every command, option, stage, exit code and event that there is, and of no others. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exitCodes } from '../../cli/exit.ts';
import { stages } from '../../cli/options.ts';
import { cli } from '../cli/run-cli.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${root}docs/cli.md`, 'utf8');
const overview = /^```text\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? '';
const documented = [...overview.matchAll(/^nnetc (\w+)/gm)].map((m) => m[1] ?? '');

describe('docs/cli.md', () => {
  it('has every command', async () => {
    const { out } = await cli(root, '--help');
    const all = [...(out.split('Commands:')[1] ?? '').matchAll(/^ {2}(\w+) /gm)].map((m) => m[1] ?? '');
    expect([...documented].sort()).toEqual(all.filter((name) => name !== 'help').sort());
  });

  it('has every option of every command', async () => {
    const missing: string[] = [];
    for (const command of documented) {
      const { out } = await cli(root, command, '--help');
      for (const [, option = ''] of out.matchAll(/(--[a-z]+)\b/g))
        if (option !== '--help' && option !== '--output' && !page.includes(option))
          missing.push(`${command} ${option}`);
    }
    expect(missing).toEqual([]);
  });

  it('has no option that there is not', async () => {
    const helps = await Promise.all(documented.map(async (c) => (await cli(root, c, '--help')).out));
    const there = new Set(helps.flatMap((out) => [...out.matchAll(/--[a-z]+/g)].map((m) => m[0])));
    expect([...page.matchAll(/--[a-z]+/g)].map((m) => m[0]).filter((o) => !there.has(o))).toEqual([]);
  });

  it('has every stage, exit code and event', () => {
    for (const stage of stages) expect(page).toContain(`\`${stage}\``);
    for (const code of Object.values(exitCodes)) expect(page).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
    const events = readFileSync(`${root}runtime/events.ts`, 'utf8');
    const types = [...events.matchAll(/readonly type: '(\w+)'/g)].map((m) => m[1] ?? '');
    expect(types.length).toBeGreaterThan(5);
    expect(types.filter((type) => !page.includes(`| \`${type}\` |`))).toEqual([]);
  });

  it('has every field of every event', () => {
    const events = readFileSync(`${root}runtime/events.ts`, 'utf8');
    for (const [, body = ''] of events.matchAll(/interface \w+Event[^{]*\{([\s\S]*?)^\}/gm)) {
      const type = /type: '(\w+)'/.exec(body)?.[1] ?? '';
      const row = page.split('\n').find((line) => line.startsWith(`| \`${type}\` |`)) ?? '';
      const fields = [...body.matchAll(/^ {2}readonly (\w+)/gm)].map((m) => m[1] ?? '');
      const missing = fields.filter((f) => f !== 'type' && f !== 'part' && !row.includes(`\`${f}\``));
      expect(missing, type).toEqual([]);
    }
  });
});
