// Gives each source file the `require` and the files of packaging/ that it has in the bundle, so that bin/dev can run the
// sources without a build.
import { createRequire, registerHooks } from 'node:module';
import { packaged } from './packaged.mjs';

globalThis.__PACKAGED__ = JSON.stringify(packaged());

globalThis.requireFor = (url) => {
  const require = createRequire(url);
  return (name) => {
    const loaded = require(name);
    // Node returns only the default export if a package requests this (as yargs does). A bundle returns all exports.
    return typeof loaded === 'function' ? { ...loaded, default: loaded } : loaded;
  };
};

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('.ts')) return loaded;
    // Prepended to the first line, so that line numbers stay right.
    const source = `const require = requireFor(import.meta.url); ${loaded.source}`;
    return { ...loaded, source };
  },
});
