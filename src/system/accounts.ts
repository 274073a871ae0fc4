// Looks up names of users and groups in the host's own files, without a directory service, and finds out which user
// runs the command and from where that user logged in.
import { textOrEmpty } from './files.ts';
import { statOf, variableOf } from './procfs.ts';

/** Returns the names as in `root:wazuh`; an id without a name stays a number. */
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
/** The names that useradd(8) allows, and those of a directory service. */
const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@\\$-]{0,63}$/;
/** The value -1, set for processes without a login, such as systemd services (pam_loginuid(8)). */
const NO_LOGIN = '4294967295';

/** Returns the user who called sudo, or else who logged in; `root` if neither is known. */
export function userName(environment: NodeJS.ProcessEnv): string {
  const caller = environment['SUDO_USER'];
  if (caller !== undefined && USER_NAME.test(caller)) return caller;
  // A kernel without audit lacks this file.
  const uid = textOrEmpty('/proc/self/loginuid').trim();
  return uid === '' || uid === NO_LOGIN ? 'root' : nameIn('/etc/passwd', Number(uid));
}

/**
 * Returns the client's address as sshd set it; null if there is no SSH login or it cannot be found. sudo removes
 * SSH_CONNECTION from the environment, so the environments of the parent processes are read too.
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
    // A parent has ended in the meantime.
  }
  return null;
}

/** Parses `CLIENT_ADDRESS CLIENT_PORT SERVER_ADDRESS SERVER_PORT` (sshd(8)). */
function peerOf(connection: string): string | null {
  return connection.split(' ', 1)[0] ?? null;
}
