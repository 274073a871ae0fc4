// What runs on this host, read off /proc.
import { readdirSync } from 'node:fs';
import { readRegularFile } from './files.ts';

export interface Process {
  /** At most 15 characters: the kernel keeps no more. */
  readonly name: string;
  readonly args: readonly string[];
}

const LARGEST_LIST = 64 * 1024;

/** Every process that can be seen; one that ends meanwhile is left out. */
export function listProcesses(): Process[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .flatMap((entry) => {
      try {
        const read = (file: string): string => {
          return readRegularFile(`/proc/${entry}/${file}`, LARGEST_LIST).toString('utf8');
        };
        return [{ name: read('comm').trim(), args: read('cmdline').split('\0').slice(0, -1) }];
      } catch {
        // It has ended since its directory was listed.
        return [];
      }
    });
}
