import { describe, expect, it } from 'vitest';
import { bytes, duration, milliseconds, score } from '../../cli/numbers.ts';
import { ProgressRenderer } from '../../cli/progress.ts';
import type { ProgressEvent } from '../../runtime/events.ts';

const progress: ProgressEvent = {
  type: 'progress',
  phase: 'train',
  part: 0,
  epoch: 1,
  epochs: 3,
  samples: 2700,
  of: 54000,
  scores: { loss: 0.23456, accuracy: 0.91 },
  samplesPerSecond: 12345.6,
  secondsLeft: 4.2,
};

function rendering(isTTY: boolean): {
  renderer: ProgressRenderer;
  shown: () => string;
  wait: (ms: number) => void;
} {
  let shown = '';
  let time = 0;
  const stream = { write: (text: string) => (shown += text), isTTY, columns: 120 };
  const terminal = {
    out: stream,
    err: stream,
    env: { NO_COLOR: '1' },
    cwd: '/home',
    onInterrupt: () => () => undefined,
  };
  return {
    renderer: new ProgressRenderer(terminal, () => time),
    shown: () => shown,
    wait: (ms) => (time += ms),
  };
}

describe('progress', () => {
  it('draws one line over and over on a terminal, and clears it for results', () => {
    const { renderer, shown } = rendering(true);
    renderer.onEvent(progress);
    renderer.onEvent({ ...progress, samples: 27000 });
    renderer.onEvent({ type: 'saved', what: 'model', path: '/home/runs/1/model.safetensors' });
    expect(shown().replaceAll('\x1b[K', '|')).toBe(
      '\repoch 1/3  [=                   ]  5 %  loss 0.2346  accuracy 0.9100  12,346 samples/s  4.2 s left|' +
        '\repoch 1/3  [==========          ]  50 %  loss 0.2346  accuracy 0.9100  12,346 samples/s  4.2 s left|' +
        '\r|saved runs/1/model.safetensors\n',
    );
  });

  it('prints plain lines now and then where there is no terminal', () => {
    const { renderer, shown, wait } = rendering(false);
    renderer.onEvent(progress);
    wait(9000);
    renderer.onEvent(progress);
    wait(1500);
    renderer.onEvent(progress);
    renderer.onEvent({
      type: 'epoch',
      part: 0,
      epoch: 1,
      epochs: 3,
      step: 10,
      train: { loss: 1 },
      valid: { loss: null },
      seconds: 75,
      samplesPerSecond: 1000,
      best: true,
    });
    renderer.onEvent({
      type: 'test',
      data: 'test',
      samples: 10000,
      scores: { accuracy: 0.98123 },
      seconds: 0.4,
    });
    expect(shown()).toBe(
      'epoch 1/3  5 %  loss 0.2346  accuracy 0.9100  12,346 samples/s  4.2 s left\n' +
        'epoch 1/3  loss 1.0000  valid loss not finite  1 min 15 s  1,000 samples/s  best\n' +
        'test  accuracy 0.9812  10,000 samples  0.4 s\n',
    );
  });

  it('never exceeds the width of the terminal', () => {
    const { renderer, shown } = rendering(true);
    renderer.onEvent({
      ...progress,
      scores: Object.fromEntries([...'abcdefghijklm'].map((c) => [c.repeat(9), 1])),
    });
    expect(shown().replace(/[\r]|\x1b\[K/g, '').length).toBeLessThan(120);
  });
});

describe('numbers', () => {
  it('are short', () => {
    expect([0, 1.5, 12.345, 123.45, 1e-7, 5e9, null].map(score)).toEqual([
      '0.0000',
      '1.5000',
      '12.35',
      '123.5',
      '1.00e-7',
      '5.00e+9',
      'not finite',
    ]);
    expect([0.04, 9.96, 59.4, 61, 3725].map(duration)).toEqual([
      '0.0 s',
      '10.0 s',
      '59 s',
      '1 min 01 s',
      '1 h 02 min',
    ]);
    expect([0.85, 3.456, 250, 12000].map(milliseconds)).toEqual(['850 µs', '3.46 ms', '250 ms', '12 s']);
    expect([12, 1500, 1.234e6, 3e9].map(bytes)).toEqual(['12 B', '2 kB', '1.2 MB', '3.0 GB']);
  });
});
