/** Finds the compiled executables of this checkout. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export function builtBinary(): string {
  return found('firewall-drop', 'npm run build');
}

/** Returns the path of the executable that can kill itself at each named step, and run with another time. */
export function faultBinary(): string {
  return found('firewall-drop-fault', 'npm run build -- --fault');
}

function found(name: string, command: string): string {
  const path = join(import.meta.dirname, '../../bin', name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run ${command} first`);
  return path;
}
