// Removes the names of environment variables from the runtime. Some of these variables stop the runtime, or have an
// effect, before the first line of the program runs, and no option of Node disables them.

/**
 * The variables that the runtime reads at its start, except TZ, LANG, LC_ALL, LC_MESSAGES, HOME and TMPDIR
 * (docs/security.md).
 */
const NAMES = [
  'ICU_TIMEZONE_FILES_DIR',
  'NODE_CHANNEL_FD',
  'NODE_COMPILE_CACHE',
  'NODE_DEBUG',
  'NODE_DEBUG_NATIVE',
  'NODE_EXTRA_CA_CERTS',
  'NODE_ICU_DATA',
  'NODE_PATH',
  'NODE_PENDING_DEPRECATION',
  'NODE_PRESERVE_SYMLINKS',
  'NODE_PRESERVE_SYMLINKS_MAIN',
  'NODE_REDIRECT_WARNINGS',
  'NODE_REPL_EXTERNAL_MODULE',
  'NODE_UNIQUE_ID',
  'NODE_USE_ENV_PROXY',
  'NODE_USE_SYSTEM_CA',
  'NODE_V8_COVERAGE',
  'OPENSSL_CONF',
  'SIMDUTF_FORCE_IMPLEMENTATION',
  'SQLITE_TMPDIR',
];
/** The variable that selects the processor instructions that OpenSSL uses. */
const NAME_OF_ARCH = { x64: 'OPENSSL_ia32cap', arm64: 'OPENSSL_armcap' };

/**
 * Sets the first byte of each name in the content of Node's executable to zero. For C, this is the empty name, which no
 * variable has, and JavaScript passes names to C. Throws if a name is not found: another version of Node can read the
 * variable in another way.
 */
export function hideEnvironment(node, arch) {
  for (const name of [...NAMES, NAME_OF_ARCH[arch]]) {
    const places = [...stringsOfC(node, name), ...stringsOfSnapshot(node, name)];
    if (places.length === 0) throw new Error(`the runtime for ${arch} has no ${name}`);
    for (const place of places) node[place] = 0;
  }
}

function stringsOfC(node, name) {
  return placesOf(node, Buffer.from(`\0${name}\0`), 1);
}

/** Finds a string in V8's snapshot, which contains Node's compiled modules. Its length precedes it, in four bytes. */
function stringsOfSnapshot(node, name) {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(name.length);
  return placesOf(node, Buffer.concat([length, Buffer.from(name)]), length.length);
}

function placesOf(node, bytes, offset) {
  const places = [];
  for (let at = node.indexOf(bytes); at >= 0; at = node.indexOf(bytes, at + 1)) {
    places.push(at + offset);
  }
  return places;
}
