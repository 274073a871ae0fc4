// Plays Wazuh's execd: sends messages to the program and reads its answers, through pipes like those of execd.
import fs from 'node:fs';
import { PROGRAM, WORK } from './machine.mjs';

/** Returns a message of execd with an alert of usual size. */
function message(command, address) {
  const alert = {
    timestamp: '2021-08-10T12:13:13.999+0000',
    rule: { level: 5, description: 'sshd: Attempt to login using a non-existent user', id: '5710' },
    agent: { id: '001', name: 'web01' },
    id: '1628597593.1234567',
    full_log: `Aug 10 12:13:13 web01 sshd[100]: Invalid user x from ${address} port 54321`,
    data: { srcip: address, srcport: '54321' },
    location: '/var/log/auth.log',
  };
  const parameters = { extra_args: [], alert, program: PROGRAM };
  const origin = { name: 'node01', module: 'wazuh-execd' };
  return `${JSON.stringify({ version: 1, origin, command, parameters })}\n`;
}

/** Opens a real pipe, as execd uses; Node's own are socket pairs. */
export function openPipe(name) {
  const both = fs.openSync(`${WORK}/${name}`, 'r+');
  const pipe = [fs.openSync(`${WORK}/${name}`, 'r'), fs.openSync(`${WORK}/${name}`, 'w')];
  fs.closeSync(both);
  return { read: pipe[0], write: pipe[1] };
}

/**
 * Returns a function that sends `add` and answers the key query with `continue`. It blocks until the program sends the
 * query.
 */
export function sayAdd(address) {
  return (write, read) => {
    fs.writeSync(write, message('add', address));
    const buffer = Buffer.alloc(8191);
    const query = buffer.toString('utf8', 0, fs.readSync(read, buffer));
    if (!query.includes('check_keys')) throw new Error(`no key query, but: ${query}`);
    fs.writeSync(write, message('continue', address));
  };
}

export function sayDelete(address) {
  return (write) => fs.writeSync(write, message('delete', address));
}
