// The crash points and the settable clock of the fault build. Released binaries contain neither
// (test/fault/build.test.ts).
import { writeSync } from 'node:fs';

/** True in `npm run build -- --fault`. In every other build it is false, and calls of `step` compile to nothing. */
declare const __FAULT__: boolean | undefined;

/**
 * Marks a point at which a crash must lose nothing. In the fault build, the process kills itself here if the variable
 * FIREWALL_DROP_DIE_AT is this name or the number of this step, counted from 1. With `nowhere`, every step prints its
 * name.
 */
export function step(name: string): void {
  if (typeof __FAULT__ === 'boolean' && __FAULT__) {
    passed.push(name);
    const fatal = process.env['FIREWALL_DROP_DIE_AT'];
    if (fatal === 'nowhere') writeSync(2, `passes ${name}\n`);
    if (fatal !== name && fatal !== String(passed.length)) return;
    writeSync(2, `dies at ${name}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
}

const passed: string[] = [];

/**
 * Reads FIREWALL_DROP_CLOCK: the milliseconds that the wall clock is ahead in the fault build. With `@NAME` appended,
 * the clock jumps at that step, as if it were set during the run.
 */
function readJump(): { readonly aheadMs: number; readonly at: string } {
  const [ahead = '0', at = ''] = (process.env['FIREWALL_DROP_CLOCK'] ?? '0').split('@');
  return { aheadMs: Number(ahead), at };
}

if (typeof __FAULT__ === 'boolean' && __FAULT__) {
  const { aheadMs, at } = readJump();
  // Uses `new Date`, because the command line is a bundle of its own with a second copy of this file.
  Date.now = () => {
    return new Date().getTime() + (at === '' || passed.includes(at) ? aheadMs : 0);
  };
}
