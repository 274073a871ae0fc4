// The main script of the executable: loads the program and its packages from the assets, together with the code that V8
// compiled when the build ran them. The build writes CACHED, the names of scripts with such code, and ALIGNMENT above
// these lines. If V8 rejects a cache, the script is compiled as usual.
/* global Buffer, CACHED, ALIGNMENT */
const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

const assets = { load, rejectedCaches: [] };

function load(name) {
  const filename = `${name}.cjs`;
  // esbuild escapes characters that are not ASCII, and a string of one byte per character is the fastest to make.
  const source = Buffer.from(getRawAsset(filename)).latin1Slice();
  const cachedData = CACHED.includes(name) ? cacheOf(name) : undefined;
  const script = new Script(source, { filename, cachedData });
  if (script.cachedDataRejected) assets.rejectedCaches.push(name);
  const module = { exports: {} };
  script.runInThisContext().call(module.exports, module, module.exports, require, assets);
  return module.exports;
}

// Returns the cache from the aligned offset to which the build moved it (scripts/lib/align.mjs).
function cacheOf(name) {
  const room = Buffer.from(getRawAsset(`${name}.cache`));
  const shift = room.at(-1);
  return room.subarray(shift, room.length - ALIGNMENT + shift);
}

load('firewall-drop');
