// Users and groups by name, from the host's own files (no library and no directory service is asked); and who the person at
// this shell is, logged in from where.
import { textOrEmpty } from './files.ts';
import { statOf, variableOf } from './procfs.ts';

/** `root:wazuh`; a number where the host's files have no name for it. */
export function ownerText(uid: number, gid: number): string {
  return `${nameIn('/etc/passwd', uid)}:${nameIn('/etc/group', gid)}`;
}

function nameIn(file: string, id: number): string {
  const found = textOrEmpty(file)
    .split('\n')
    .find((line) => line.split(':')[2] === String(id));
  return found?.split(':')[0] ?? String(id);
}

const DEEPEST = 32;
/** What useradd(8) allows, and names of a directory service. */
const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@\\$-]{0,63}$/;
/** `-1`: no login, such as a service of systemd (pam_loginuid(8)). */
const NO_LOGIN = '4294967295';

/** Who called sudo, or who logged in; `root` where nobody did. */
export function userName(environment: NodeJS.ProcessEnv): string {
  const caller = environment['SUDO_USER'];
  if (caller !== undefined && USER_NAME.test(caller)) return caller;
  // A kernel without audit has no such file.
  const uid = textOrEmpty('/proc/self/loginuid').trim();
  return uid === '' || uid === NO_LOGIN ? 'root' : nameIn('/etc/passwd', Number(uid));
}

/**
 * The peer's address as sshd wrote it; null when nobody came by SSH, or it can't be found out. sudo takes SSH_CONNECTION out
 * of our environment, so parents are asked.
 */
export function findSshPeer(own: string | undefined): string | null {
  if (own !== undefined) return peerOf(own);
  let pid = process.ppid;
  try {
    for (let depth = 0; depth < DEEPEST && pid > 1; depth += 1) {
      const connection = variableOf(pid, 'SSH_CONNECTION');
      if (connection !== null) return peerOf(connection);
      pid = statOf(pid).parent;
    }
  } catch {
    // One of them has ended meanwhile.
  }
  return null;
}

/** `CLIENT_ADDRESS CLIENT_PORT SERVER_ADDRESS SERVER_PORT` (sshd(8)). */
function peerOf(connection: string): string | null {
  return connection.split(' ', 1)[0] ?? null;
}
