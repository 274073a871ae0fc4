// Gives each source file the `require` that it has in the bundle, so that sources run as they are (bin/dev).
import { createRequire, registerHooks } from 'node:module';

globalThis.requireFor = createRequire;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('.ts')) return loaded;
    // On the first line, so that line numbers stay right.
    const source = `const require = requireFor(import.meta.url); ${loaded.source}`;
    return { ...loaded, source };
  },
});
