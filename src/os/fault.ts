// Where tests of crashes end this process; a released binary has none of it (test/fault/build.test.ts).
import { writeSync } from 'node:fs';

/** True in `npm run build -- --fault`, false in every other build, where calls of `step` then compile to nothing. */
declare const __FAULT__: boolean | undefined;

/**
 * A moment at which a crash must lose nothing. In the fault build the process kills itself here if the environment's
 * FIREWALL_DROP_DIE_AT is this name, or the number of steps passed, counted from 1: so that a sweep needs no list.
 */
export function step(name: string): void {
  if (typeof __FAULT__ === 'boolean' && __FAULT__) {
    passed.push(name);
    const fatal = process.env['FIREWALL_DROP_DIE_AT'];
    if (fatal !== name && fatal !== String(passed.length)) return;
    writeSync(2, `dies at ${name}\n`);
    process.kill(process.pid, 'SIGKILL');
  }
}

const passed: string[] = [];
