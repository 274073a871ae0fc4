// Where tests of crashes end this process, and those of clocks set its clock; a released binary has none of it (test/fault/build.test.ts).
import { writeSync } from 'node:fs';

/** True in `npm run build -- --fault`, false in every other build, where calls of `step` then compile to nothing. */
declare const __FAULT__: boolean | undefined;

/**
 * A moment at which a crash must lose nothing. In the fault build the process kills itself here if the environment's
 * FIREWALL_DROP_DIE_AT is this name, or the number of steps passed, counted from 1. `nowhere` prints the names of all.
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
 * In the fault build FIREWALL_DROP_CLOCK is by how many milliseconds the wall clock is ahead: from the start, or with
 * `@NAME` behind it from that step on, as when somebody sets the clock meanwhile.
 */
function readJump(): { readonly aheadMs: number; readonly at: string } {
  const [ahead = '0', at = ''] = (process.env['FIREWALL_DROP_CLOCK'] ?? '0').split('@');
  return { aheadMs: Number(ahead), at };
}

if (typeof __FAULT__ === 'boolean' && __FAULT__) {
  const { aheadMs, at } = readJump();
  // By the clock itself: the command line is a bundle of its own and has this file a second time.
  Date.now = () => {
    return new Date().getTime() + (at === '' || passed.includes(at) ? aheadMs : 0);
  };
}
