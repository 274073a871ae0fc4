/** Where the compiled executables of this checkout are. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export function builtBinary(): string {
  return found('firewall-drop', 'npm run build');
}

/** It can end itself at each named step, and believe in another time. */
export function faultBinary(): string {
  return found('firewall-drop-fault', 'npm run build -- --fault');
}

function found(name: string, command: string): string {
  const path = join(import.meta.dirname, '../../bin', name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run ${command} first`);
  return path;
}
