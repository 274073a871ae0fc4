// Users and groups by name, from the host's own files: no library and no directory service is asked.
import { readRegularFile } from './files.ts';

const LARGEST_FILE = 4 * 1024 * 1024;

/** `root:wazuh`; a number where the host's files have no name for it. */
export function ownerText(uid: number, gid: number): string {
  return `${nameIn('/etc/passwd', uid)}:${nameIn('/etc/group', gid)}`;
}

export function userOf(uid: number): string {
  return nameIn('/etc/passwd', uid);
}

function nameIn(file: string, id: number): string {
  try {
    const lines = readRegularFile(file, LARGEST_FILE).toString('utf8').split('\n');
    return lines.find((line) => line.split(':')[2] === String(id))?.split(':')[0] ?? String(id);
  } catch {
    // A container may have neither file; the number says as much.
    return String(id);
  }
}
