// Finds PyTorch, and runs programs that print JSON lines.
import { execFileSync, spawn } from 'node:child_process';

/** The first interpreter that has torch; PYTHON comes first. */
export function python() {
  const hasTorch = (command) => {
    try {
      execFileSync(command, ['-c', 'import torch'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  return [process.env.PYTHON, 'python3', '/usr/bin/python3'].find((c) => c !== undefined && hasTorch(c));
}

/**
 * For programs that fetch nothing: a Node that finds certificates in its environment parses all of them before it begins
 * (60 ms for a system's 140).
 */
const withoutCertificates = { NODE_EXTRA_CA_CERTS: undefined };

/** Runs a command; gives the last JSON line that it printed, or `{error}`. It is told when it was started. */
export async function runProgram([command, ...args], env, timeoutSeconds) {
  const child = spawn(command, args, {
    env: { ...process.env, ...withoutCertificates, ...env, BENCH_T0: String(Date.now()) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (data) => (out += data));
  child.stderr.on('data', (data) => (err = (err + data).slice(-2000)));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutSeconds * 1000);
  const code = await new Promise((done) => child.on('close', done));
  clearTimeout(timer);
  const lines = out.split('\n').map((line) => line.replace(/^BENCH /, ''));
  const json = lines.filter((line) => line.startsWith('{') && line.endsWith('}')).at(-1);
  if (json) return JSON.parse(json);
  if (code === null) return { error: `no result in ${timeoutSeconds} s` };
  const said = err.split('\n').filter((line) => line.trim() !== '');
  return { error: `exit ${code}: ${said.at(-1) ?? ''}` };
}
