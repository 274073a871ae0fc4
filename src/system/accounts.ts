// Users and groups by name, from the host's own files: no library and no directory service is asked.
import { textOrEmpty } from './files.ts';

/** `root:wazuh`; a number where the host's files have no name for it. */
export function ownerText(uid: number, gid: number): string {
  return `${nameIn('/etc/passwd', uid)}:${nameIn('/etc/group', gid)}`;
}

export function userOf(uid: number): string {
  return nameIn('/etc/passwd', uid);
}

function nameIn(file: string, id: number): string {
  const found = textOrEmpty(file)
    .split('\n')
    .find((line) => line.split(':')[2] === String(id));
  return found?.split(':')[0] ?? String(id);
}
