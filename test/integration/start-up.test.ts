// Checks that the optimizations of the start are in effect, and that their failure costs only time.
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { createHost, type TestHost } from '../support/host.ts';

const ROOT = join(__dirname, '../..');
const A = '203.0.113.7';
const REJECTED = /rejected the compiled code of/;

let directory = '';
let host: TestHost;
beforeAll(async () => {
  directory = mkdtempSync('/tmp/firewall-drop-start-');
  host = await createHost();
});
afterAll(async () => {
  await host[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function doctor(program: string): string {
  return host.run([program, 'doctor']).stdout;
}

test('the runtime accepts the compiled code in the executable', () => {
  const program = host.installAgent({ binary: builtBinary() }).program();
  expect(doctor(program)).toMatch(/executable/);
  expect(doctor(program)).not.toMatch(REJECTED);
});

describe('an executable whose compiled code the runtime rejects', () => {
  let program = '';
  beforeAll(() => {
    const spoilt = join(directory, 'firewall-drop');
    writeFileSync(spoilt, spoil(readFileSync(builtBinary()), 'firewall-drop.cache'), {
      mode: 0o755,
    });
    program = host.installAgent({ binary: spoilt, home: '/var/spoilt' }).program();
  });

  test('blocks and unblocks as usual', () => {
    const rules = (): string => host.must(['iptables', '-S', 'INPUT']);
    expect(host.run([program, 'add', A])).toMatchObject({ status: 0, stderr: '' });
    expect(rules()).toContain(A);
    expect(host.run([program, 'delete', A])).toMatchObject({ status: 0, stderr: '' });
    expect(rules()).not.toContain(A);
  });

  test('makes doctor warn with the name of the script', () => {
    expect(doctor(program)).toMatch(/warning +executable .* compiled code of firewall-drop:/);
  });
});

/** Makes the header of a cache invalid. An asset follows its name and its length, which has 8 bytes. */
function spoil(executable: Buffer, asset: string): Buffer {
  const name = Buffer.from(asset);
  let spoilt = 0;
  for (let at = executable.indexOf(name); at >= 0; at = executable.indexOf(name, at + 1)) {
    const start = at + name.length + 8;
    const length = executable.readBigUInt64LE(at + name.length);
    if (length < 10_000n || length > 10_000_000n) continue;
    executable.fill(0xff, start + 16, start + 24);
    spoilt += 1;
  }
  expect(spoilt).toBe(1);
  return executable;
}

test('another build of the same sources is equal byte for byte', () => {
  const out = join(directory, 'again');
  // Other tests use the files in dist.
  const build = ['scripts/build.mjs', '--out', out, '--dist', `${out}-dist`];
  const run = spawnSync(process.execPath, build, { cwd: ROOT, encoding: 'utf8' });
  expect(run).toMatchObject({ status: 0, stderr: '' });
  const sums = [builtBinary(), out].map((path) => {
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  });
  // If this fails, bin/firewall-drop can be built from other sources: run npm run build.
  expect(sums[0]).toBe(sums[1]);
});
