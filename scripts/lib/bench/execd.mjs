// What Wazuh's execd says to the program and hears from it, over pipes like its own.
import fs from 'node:fs';
import { PROGRAM, WORK } from './machine.mjs';

/** What execd writes (an ordinary alert's size). */
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

/** A real pipe, as execd gives: Node's own are socket pairs. */
export function openPipe(name) {
  const both = fs.openSync(`${WORK}/${name}`, 'r+');
  const pipe = [fs.openSync(`${WORK}/${name}`, 'r'), fs.openSync(`${WORK}/${name}`, 'w')];
  fs.closeSync(both);
  return { read: pipe[0], write: pipe[1] };
}

/** Says `add` and lets the program go on when it asks for the key. Blocks until it has asked. */
export function sayAdd(address) {
  return (write, read) => {
    fs.writeSync(write, message('add', address));
    const buffer = Buffer.alloc(8191);
    const question = buffer.toString('utf8', 0, fs.readSync(read, buffer));
    if (!question.includes('check_keys')) throw new Error(`no key question, but: ${question}`);
    fs.writeSync(write, message('continue', address));
  };
}

export function sayDelete(address) {
  return (write) => fs.writeSync(write, message('delete', address));
}
