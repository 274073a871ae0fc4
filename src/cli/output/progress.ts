// A bar on standard error for work that takes more than a moment.
import { writeSync } from 'node:fs';
import { monotonicMs } from '../../system/wait.ts';
import type { Terminal } from '../session.ts';

const PATIENCE_MS = 500;
const REDRAW_MS = 100;
const BAR_CHARACTERS = 30;

export interface Progress {
  update(done: number, total: number): void;
  end(): void;
}

/** Draws nothing in the first half second, nor where nobody watches. */
export function startProgress(what: string, { watchesErrors }: Terminal): Progress {
  const started = monotonicMs();
  let drawn = 0;
  return {
    update(done, total) {
      const now = monotonicMs();
      if (!watchesErrors || now - started < PATIENCE_MS || now - drawn < REDRAW_MS) return;
      drawn = now;
      const filled = Math.round((BAR_CHARACTERS * done) / Math.max(1, total));
      const bar = '#'.repeat(filled).padEnd(BAR_CHARACTERS, '.');
      writeSync(2, `\r${what} [${bar}] ${done}/${total}`);
    },
    end() {
      if (drawn > 0) writeSync(2, '\r\u001b[K');
      drawn = 0;
    },
  };
}
