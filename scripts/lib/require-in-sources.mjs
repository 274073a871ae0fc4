// Gives each source file the `require` and the files of packaging/ that it has in the bundle, so that sources run as they are
// (bin/dev).
import { createRequire, registerHooks } from 'node:module';
import { packaged } from './packaged.mjs';

globalThis.__PACKAGED__ = JSON.stringify(packaged());

globalThis.requireFor = (url) => {
  const require = createRequire(url);
  return (name) => {
    const loaded = require(name);
    // Node gives the default export alone where a package asks for it (yargs does); a bundle gives all exports.
    return typeof loaded === 'function' ? { ...loaded, default: loaded } : loaded;
  };
};

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('.ts')) return loaded;
    // On the first line, so that line numbers stay right.
    const source = `const require = requireFor(import.meta.url); ${loaded.source}`;
    return { ...loaded, source };
  },
});
