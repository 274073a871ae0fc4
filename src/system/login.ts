// Who the person at this shell is, and where they are logged in from: sudo takes SSH_CONNECTION out of our environment, so
// parents are asked.
import { userOf } from './accounts.ts';
import { readRegularFile } from './files.ts';

const DEEPEST = 32;
/** What useradd(8) allows, and names of a directory service. */
const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@\\$-]{0,63}$/;
/** `-1`: no login, such as a service of systemd (pam_loginuid(8)). */
const NO_LOGIN = '4294967295';
const LARGEST_FILE = 4 * 1024 * 1024;

/** Who called sudo, or who logged in; `root` where nobody did. */
export function userName(environment: NodeJS.ProcessEnv): string {
  const caller = environment['SUDO_USER'];
  if (caller !== undefined && USER_NAME.test(caller)) return caller;
  const uid = readProcess('self', 'loginuid').trim();
  return uid === '' || uid === NO_LOGIN ? 'root' : userOf(Number(uid));
}

/** The peer's address as sshd wrote it; null when nobody came by SSH, or it can't be found out. */
export function findSshPeer(own: string | undefined): string | null {
  if (own !== undefined) return peerOf(own);
  let pid = process.ppid;
  for (let depth = 0; depth < DEEPEST && pid > 1; depth += 1) {
    const connection = variableOf(pid, 'SSH_CONNECTION');
    if (connection !== null) return peerOf(connection);
    pid = parentOf(pid);
  }
  return null;
}

/** `CLIENT_ADDRESS CLIENT_PORT SERVER_ADDRESS SERVER_PORT` (sshd(8)). */
function peerOf(connection: string): string | null {
  return connection.split(' ', 1)[0] ?? null;
}

function variableOf(pid: number, name: string): string | null {
  const variables = readProcess(pid, 'environ').split('\0');
  return variables.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
}

/** The fourth field of proc_pid_stat(5); the second, in brackets, may hold anything. */
function parentOf(pid: number): number {
  const stat = readProcess(pid, 'stat');
  const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(parent ?? 0);
}

function readProcess(pid: number | 'self', file: string): string {
  try {
    return readRegularFile(`/proc/${pid}/${file}`, LARGEST_FILE).toString('latin1');
  } catch {
    // It has ended, or belongs to somebody whom even we may not look at.
    return '';
  }
}
