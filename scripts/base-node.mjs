// Downloads the Node of another processor to dist/, where the build finds it. npm installs only this machine's Node.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const arch = process.argv[2] ?? '';

function fail(message) {
  console.error(`base-node: ${message}`);
  process.exit(1);
}

const lock = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'));
const name = `node-linux-${arch}`;
const locked = lock.packages[`node_modules/${name}`];
if (locked === undefined) fail('usage: node scripts/base-node.mjs x64|arm64');

const target = path.join(DIST, name);
const stamp = path.join(target, '.integrity');
if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === locked.integrity) process.exit(0);

fs.mkdirSync(DIST, { recursive: true });
const pack = ['pack', `${name}@${locked.version}`, '--silent', '--pack-destination', DIST];
// Run outside the checkout, because npm would run this project's own scripts.
const archive = path.join(DIST, execFileSync('npm', pack, { cwd: DIST, encoding: 'utf8' }).trim());
// Compare with the lock file, which was reviewed. The registry's own checksum proves nothing.
const sum = createHash('sha512').update(fs.readFileSync(archive)).digest('base64');
if (`sha512-${sum}` !== locked.integrity) {
  fs.rmSync(archive);
  fail(`${name}@${locked.version} does not match package-lock.json: its checksum is ${sum}`);
}
fs.rmSync(target, { recursive: true, force: true });
fs.mkdirSync(target);
execFileSync('tar', ['-xzf', archive, '-C', target, '--strip-components=1', '--no-same-owner']);
fs.rmSync(archive);
fs.writeFileSync(stamp, locked.integrity);
