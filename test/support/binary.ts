/** Where the compiled executable of this checkout is. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export function builtBinary(): string {
  const path = join(__dirname, '../../bin/firewall-drop');
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm run build first`);
  return path;
}
