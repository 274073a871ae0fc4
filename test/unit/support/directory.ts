// Provides a directory for the files of a test.
import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from '@jest/globals';

/** A directory that is empty before each test and removed after the last one. */
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
