// Makes the Node that the executable is a copy of: the pinned Node without debug symbols, without the rehash of its
// snapshot, without deadlock detection and without names of environment variables.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { offsetOf } from './elf.mjs';
import { hideEnvironment } from './hide-environment.mjs';

/** An error that a person can correct. It is printed without a stack trace. */
export class BuildError extends Error {}

/** Returns the path of the pinned Node for an architecture. scripts/base-node.mjs downloads foreign ones. */
export function baseNode(arch, { root, dist }) {
  const name = `node-linux-${arch}`;
  const places = [path.join(root, 'node_modules', name), path.join(dist, name)];
  const found = places.map((place) => path.join(place, 'bin', 'node')).find(fs.existsSync);
  if (found !== undefined) return found;
  if (arch === process.arch) throw new BuildError(`${name} is not installed. Run: npm ci`);
  throw new BuildError(
    `No Node for ${arch} to build on: npm installs ${name} on ${arch} machines only. Run: node scripts/base-node.mjs ${arch}`,
  );
}

/** Makes the copy of the base that the program is packed into. Returns its path. */
export function makeRuntime({ arch, native }, places) {
  const runtime = path.join(places.dist, `node-${arch}`);
  // ignoreDeadlocks needs the symbols. hideEnvironment comes after strip, so that it cannot take a symbol for a
  // variable.
  const base = fs.readFileSync(baseNode(arch, places));
  ignoreDeadlocks(base);
  fs.writeFileSync(runtime, base, { mode: 0o755 });
  strip(runtime, { arch, native });
  const stripped = fs.readFileSync(runtime);
  hideEnvironment(stripped, arch);
  keepHashes(stripped);
  fs.writeFileSync(runtime, stripped);
  return runtime;
}

const DEADLOCK_DETECTION = '_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE';
/** Abseil's OnDeadlockCycle. */
const IGNORE = 0;
const ABORT = 2;

/**
 * Switches off Abseil's check that all threads lock their mutexes in one order, which helps developers of V8 only. The
 * check clears a megabyte at each start, and keeps a graph of all mutexes.
 */
function ignoreDeadlocks(content) {
  const offset = offsetOf(content, DEADLOCK_DETECTION);
  if (offset === null || content.readUInt32LE(offset) !== ABORT) {
    throw new BuildError(
      `the pinned Node ${process.version} lacks the deadlock detection of its predecessors: check whether ignoreDeadlocks in scripts/lib/runtime.mjs is still needed`,
    );
  }
  content.writeUInt32LE(IGNORE, offset);
}

/** Removes debug symbols: the file is a seventh smaller and starts sooner, as measured. */
function strip(runtime, { arch, native }) {
  const tool = native ? 'strip' : { x64: 'x86_64', arm64: 'aarch64' }[arch] + '-linux-gnu-strip';
  const run = spawnSync(tool, [runtime], { encoding: 'utf8' });
  if (run.status === 0) return;
  const why = run.error?.code === 'ENOENT' ? `${tool} is not installed` : run.stderr;
  if (native) throw new BuildError(`${why}. As root: apt-get install binutils`);
  console.log(`${why} (apt-get install binutils-…): the ${arch} binary keeps its debug symbols.`);
}

/**
 * Offsets in the header of a snapshot (V8's src/snapshot/snapshot.cc): number of contexts, rehashability, two checksums
 * of the following data, then the version in 64 bytes.
 */
const VERSION_OFFSET = 16;
const REHASHABILITY_OFFSET = 4;

/**
 * Clears the word in the snapshot's header that makes V8 rehash all names of the snapshot at each start, which takes a
 * fifth of the start of bare Node. The flag --no-rehash-snapshot has the same effect, but makes Node reject the
 * compiled code of its own modules, which was made without that flag.
 */
function keepHashes(content) {
  const version = Buffer.from(`${process.versions.v8}\0`);
  const headers = [];
  for (let at = content.indexOf(version); at >= 0; at = content.indexOf(version, at + 1)) {
    const header = at - VERSION_OFFSET;
    if (isSnapshot(content, header)) headers.push(header);
  }
  if (headers.length === 0) {
    throw new BuildError(`the pinned Node ${process.version} has no snapshot that can be found`);
  }
  for (const header of headers) content.writeUInt32LE(0, header + REHASHABILITY_OFFSET);
}

const MOST_CONTEXTS = 16;

function isSnapshot(content, header) {
  const contexts = content.readUInt32LE(header);
  const padding = content.subarray(header + VERSION_OFFSET, header + VERSION_OFFSET + 64);
  const isPadded = padding.subarray(padding.indexOf(0)).every((byte) => byte === 0);
  const rehashability = content.readUInt32LE(header + REHASHABILITY_OFFSET);
  return contexts > 0 && contexts <= MOST_CONTEXTS && rehashability === 1 && isPadded;
}
