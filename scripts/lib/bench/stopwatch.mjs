// Measures one run of a program: wall time, processor time and peak memory, including its child processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { openPipe } from './execd.mjs';
import { WORK } from './machine.mjs';

// Bash measures the time in milliseconds, and GNU time the memory. Both run between this process and the program. Their
// own cost is a separate subject ("a program that does nothing").
const WATCH = `
TIMEFORMAT='%3R %3U %3S'
{ time /usr/bin/time --quiet --format=%M --output=/dev/fd/4 "$@" 2>&5; } 2>&3
`;

/** @typedef {{ wallMs: number, cpuMs: number, peakKiB: number }} Lap */

/**
 * Runs a command on a host with a pipe as stdin that `talk` writes to. With `hear`, stdout is a pipe that `talk` can
 * read. Throws an error with the command's stderr if the command fails or takes longer than `limitMs`.
 */
export async function clock(host, words, options = {}) {
  const { cwd = '/', hear = false, talk = () => undefined, limitMs = 600_000 } = options;
  const input = openPipe('in');
  const output = hear ? openPipe('out') : undefined;
  const notes = ['times', 'memory', 'stderr'].map((name) => fs.openSync(`${WORK}/${name}`, 'w+'));
  const stdio = [input.read, output?.write ?? 'ignore', 'ignore', ...notes];
  const [program, ...rest] = host.inside(['bash', '-c', WATCH, 'bash', ...words], cwd);
  const child = spawn(program, rest, { stdio, detached: true });
  const exit = once(child, 'exit');
  const alarm = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), limitMs);
  fs.closeSync(input.read);
  if (output) fs.closeSync(output.write);
  try {
    talk(input.write, output?.read);
  } finally {
    fs.closeSync(input.write);
  }
  const [status, signal] = await exit;
  clearTimeout(alarm);
  if (output) fs.closeSync(output.read);
  const [times, memory, stderr] = ['times', 'memory', 'stderr'].map((name) =>
    fs.readFileSync(`${WORK}/${name}`, 'utf8').trim(),
  );
  notes.forEach((note) => fs.closeSync(note));
  if (status !== 0) {
    const how = signal === 'SIGKILL' ? `took more than ${limitMs / 1000} s` : `status ${status}`;
    throw new Error(`${words.slice(0, 3).join(' ')}: ${how}${stderr && `: ${stderr.slice(-300)}`}`);
  }
  const [wall, user, system] = times.split(/\s+/).map(Number);
  return { wallMs: wall * 1000, cpuMs: (user + system) * 1000, peakKiB: Number(memory) };
}
