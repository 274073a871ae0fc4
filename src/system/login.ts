// Who the person at this shell is, and where they are logged in from: sudo takes SSH_CONNECTION out of our environment, so
// parents are asked.
import { userOf } from './accounts.ts';
import { textOrEmpty } from './files.ts';
import { statOf, variableOf } from './procfs.ts';

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
  return uid === '' || uid === NO_LOGIN ? 'root' : userOf(Number(uid));
}

/** The peer's address as sshd wrote it; null when nobody came by SSH, or it can't be found out. */
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
