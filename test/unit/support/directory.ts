// A directory for what the tests of a file write.
import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from '@jest/globals';

/** Empty before each test, and gone after all of them. */
export function ownDirectory(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'firewall-drop-unit-')));
  beforeEach(() => {
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
