// The main script of the executable: loads the program and its packages from the assets, together with the code that
// V8 compiled for them while the build ran them. CACHED, the names that have such code, and ALIGNMENT are written above by the build. A cache that V8 does not take costs time and nothing else.
/* global Buffer, CACHED, ALIGNMENT */
const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

const assets = { load, rejectedCaches: [] };

function load(name) {
  const filename = `${name}.cjs`;
  // esbuild escapes all that is not ASCII, and one byte a character is the fastest text to make.
  const source = Buffer.from(getRawAsset(filename)).latin1Slice();
  const cachedData = CACHED.includes(name) ? cacheOf(name) : undefined;
  const script = new Script(source, { filename, cachedData });
  if (script.cachedDataRejected) assets.rejectedCaches.push(name);
  const module = { exports: {} };
  script.runInThisContext().call(module.exports, module, module.exports, require, assets);
  return module.exports;
}

// Where the build moved it, so that V8 need not copy it (scripts/lib/align.mjs).
function cacheOf(name) {
  const room = Buffer.from(getRawAsset(`${name}.cache`));
  const shift = room.at(-1);
  return room.subarray(shift, room.length - ALIGNMENT + shift);
}

load('firewall-drop');
