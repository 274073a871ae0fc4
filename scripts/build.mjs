// Builds bin/firewall-drop: tsup bundles src into one file, and pkg packs it into a copy of the pinned Node.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ALIGNMENT, alignCaches } from './lib/align.mjs';
import { packaged } from './lib/packaged.mjs';
import { baseNode, BuildError, makeRuntime } from './lib/runtime.mjs';
import { makeSbom } from './lib/sbom.mjs';

const USAGE = `usage: npm run build [-- --arch x64|arm64] [--fault] [--out FILE] [--dist DIRECTORY]`;
const ROOT = path.resolve(import.meta.dirname, '..');
/** `dist` is the directory of intermediate files. */
const places = { root: ROOT, dist: path.join(ROOT, 'dist') };
const LOADER = 'loader.cjs';

/** The value of e_machine (offset 18 of an ELF file) for each architecture; see elf.h. */
const ELF_MACHINE = { x64: 62, arm64: 183 };

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        arch: { type: 'string' },
        fault: { type: 'boolean', default: false },
        out: { type: 'string' },
        dist: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
    const arch = values.arch ?? process.arch;
    if (!Object.hasOwn(ELF_MACHINE, arch)) throw new Error(`No such architecture: ${arch}`);
    const native = arch === process.arch;
    const { fault } = values;
    const name = `firewall-drop${native ? '' : `-${arch}`}${fault ? '-fault' : ''}`;
    const out = path.resolve(values.out ?? path.join(ROOT, 'bin', name));
    const dist = path.resolve(values.dist ?? places.dist);
    return { arch, native, fault, out, dist, help: values.help === true };
  } catch (error) {
    throw new BuildError(`${error.message}\n${USAGE}`);
  }
}

const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

/** Returns the commit of the checkout, with "-dirty" if tracked files differ from it. */
function commit() {
  const arguments_ = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
  const git = spawnSync('git', arguments_, { cwd: ROOT, encoding: 'utf8' });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}

async function loadTool(specifier) {
  try {
    return await import(specifier);
  } catch (error) {
    throw new BuildError(`${specifier} can't be loaded (${error.message}). Run: npm ci`);
  }
}

/**
 * Packages that alerts do not need. As assets of the executable they cost nothing until they are required. Inside the
 * main script they cost 3 ms at every start, and the command line twice that. The parser of yargs is part of the asset
 * `cli`.
 */
const PACKAGES = Object.keys(manifest.dependencies).filter((name) => name !== 'yargs');
/**
 * Assets made of files in src/: the file that a `require` names, by asset. Those after `config` are for alerts on hosts
 * that are configured for them. Each has a copy of what it imports, so it must not import a module with state of its
 * own, and its errors are instances of other classes.
 */
const PARTS = {
  cli: 'src/cli/main.ts',
  config: 'src/config/parsers.ts',
  policy: 'src/policy/decide.ts',
  ipset: 'src/firewall/ipset/plan.ts',
  nftables: 'src/firewall/nftables/plan.ts',
  conntrack: 'src/firewall/conntrack.ts',
};
const SCRIPTS = ['firewall-drop', ...Object.keys(PARTS), ...PACKAGES];

/** Returns the code that replaces require('pino'). scripts/lib/loader.cjs defines `assets`. */
const loadAsset = (name) => `module.exports = assets.load('${name}');`;

const assetPlugin = {
  name: 'assets',
  setup(build) {
    build.onResolve({ filter: /^[a-z]/ }, ({ path: name, kind }) =>
      PACKAGES.includes(name) && kind !== 'entry-point' ? { path: name, namespace: 'asset' } : null,
    );
    build.onResolve({ filter: /^\./ }, ({ path: name, kind, resolveDir }) => {
      if (kind !== 'require-call') return null;
      const file = path.relative(ROOT, path.join(resolveDir, name));
      const part = Object.keys(PARTS).find((key) => PARTS[key] === file);
      return part === undefined ? null : { path: part, namespace: 'asset' };
    });
    // Only the parser of yargs is used. The rest would open standard output as a stream and look for files beside
    // itself.
    build.onResolve({ filter: /^yargs\/helpers$/ }, ({ path: name }) => ({
      path: name,
      namespace: 'parser',
    }));
    build.onLoad({ filter: /./, namespace: 'parser' }, () => ({
      contents: "export { default as Parser } from 'yargs-parser';",
      resolveDir: path.join(ROOT, 'node_modules', 'yargs'),
    }));
    build.onLoad({ filter: /./, namespace: 'asset' }, ({ path: name }) => ({
      contents: loadAsset(name),
    }));
  },
};

function entryPoints() {
  const files = PACKAGES.map((name) => [name, fileURLToPath(import.meta.resolve(name))]);
  return {
    'firewall-drop': path.join(ROOT, 'src', 'main.ts'),
    ...Object.fromEntries(
      Object.entries(PARTS).map(([name, file]) => [name, path.join(ROOT, file)]),
    ),
    ...Object.fromEntries(files),
  };
}

async function bundle({ fault }) {
  const { build } = await loadTool('tsup');
  const built = build({
    config: false,
    silent: true,
    entry: entryPoints(),
    outDir: places.dist,
    format: 'cjs',
    outExtension: () => ({ js: '.cjs' }),
    target: 'node24',
    noExternal: [/./],
    splitting: false,
    removeNodeProtocol: false, // sqlite and sea are known by their full names only
    sourcemap: false,
    metafile: true,
    esbuildPlugins: [assetPlugin],
    define: {
      __VERSION__: JSON.stringify(manifest.version),
      __COMMIT__: JSON.stringify(commit()),
      // If false, src/system/fault.ts and all calls of it compile to nothing.
      __FAULT__: String(fault),
      // The parser of yargs needs no file of its own, and must not read an environment variable.
      'import.meta.url': '"file:///sys/none.js"',
      'process.env.YARGS_MIN_NODE_VERSION': 'undefined',
      // Stringified twice, because an object would become a separate module.
      __PACKAGED__: JSON.stringify(JSON.stringify(packaged())),
    },
    esbuildOptions(options) {
      // Names stay, so that stack traces in bug reports are readable.
      options.minifyWhitespace = true;
      options.minifySyntax = true;
      options.legalComments = 'none';
    },
  });
  await built.catch(() => {
    throw new BuildError('src/main.ts could not be bundled: see above.');
  });
  const { inputs } = JSON.parse(
    fs.readFileSync(path.join(places.dist, 'metafile-cjs.json'), 'utf8'),
  );
  refuseMissing(inputs);
  refuseEager(inputs);
  writeSbom();
  for (const name of SCRIPTS) wrap(path.join(places.dist, `${name}.cjs`));
}

/** Wraps the source in a function with the names of a module as parameters, as the runtime does with every module. */
function wrap(file) {
  const source = fs.readFileSync(file, 'utf8');
  if (/[^\0-\x7f]/.test(source))
    throw new BuildError(`${file} contains characters that are not ASCII.`);
  fs.writeFileSync(file, `(function (module, exports, require, assets) {${source}\n})`);
}

function writeSbom() {
  const sourceDateEpoch = process.env.SOURCE_DATE_EPOCH;
  const sbom = makeSbom({ root: ROOT, sourceDateEpoch });
  const file = path.join(places.dist, 'firewall-drop.cdx.json');
  fs.writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`);
}

/** Throws if the bundle lacks a module that is not built into Node: the executable has no node_modules. */
function refuseMissing(inputs) {
  for (const [file, { imports }] of Object.entries(inputs)) {
    const missing = imports.find((edge) => edge.external === true && !isBuiltin(edge.path));
    if (missing) throw new BuildError(`${file} needs ${missing.path}, which was not bundled.`);
  }
}

/** Throws if plain imports lead from the main script to a package, which would then run at every alert. */
function refuseEager(inputs) {
  const seen = new Set(['src/main.ts']);
  for (const file of seen) {
    for (const { kind, path: target } of inputs[file].imports) {
      if (kind !== 'import-statement' || inputs[target] === undefined) continue;
      if (/^asset:|node_modules\//.test(target)) {
        const advice = 'Load it with require() inside the function that uses it.';
        const name = target.replace(/^asset:/, '');
        throw new BuildError(`${file} loads ${name} at every start. ${advice}`);
      }
      seen.add(target);
    }
  }
}

/**
 * Runs the program to make the code caches of the functions that a run needs. Returns the names of the scripts that
 * have one.
 */
function makeCaches({ native }, runtime) {
  // Only the Node and the processor that made compiled code can use it.
  if (!native) return [];
  // The compiled code depends on V8's random seed. A fixed seed makes two builds equal byte for byte. It is not one of
  // the flags that must be the same when the code is used.
  const script = path.join(ROOT, 'scripts/lib/code-cache.mjs');
  // Garbage collection, whose timing varies, must not discard compiled code.
  const flags = [
    '--no-warnings',
    '--random-seed=1',
    '--initial-heap-size=256',
    '--no-flush-bytecode',
  ];
  const options = { argv0: 'active-response/bin/firewall-drop', encoding: 'utf8', input: '' };
  const run = spawnSync(runtime, [...flags, script, places.dist, ...SCRIPTS], options);
  if (run.status === 0) return SCRIPTS;
  throw new BuildError(`The program could not be run to compile it:\n${run.stdout}${run.stderr}`);
}

function writeLoader(cached) {
  const loader = fs.readFileSync(path.join(ROOT, 'scripts/lib', LOADER), 'utf8');
  const constants = `const CACHED = ${JSON.stringify(cached)}, ALIGNMENT = ${ALIGNMENT};`;
  fs.writeFileSync(path.join(places.dist, LOADER), `${constants}\n${loader}`);
}

/**
 * File names are relative to a temporary directory in dist/, so that the executable does not contain the checkout's
 * path.
 */
function seaConfig(cached) {
  const files = [...SCRIPTS.map((name) => `${name}.cjs`), ...cached.map((name) => `${name}.cache`)];
  return {
    main: `../${LOADER}`,
    assets: Object.fromEntries(files.map((file) => [file, `../${file}`])),
    useCodeCache: false,
    useSnapshot: false,
    // --disable-sigusr1: SIGUSR1 would open a debugger's port, and a thread waits for it.
    // --openssl-config: OPENSSL_CONF, or a broken openssl.cnf of the host, would load code or stop the program before
    // its first line runs.
    // --no-warnings: NODE_REDIRECT_WARNINGS names a file that a warning would be written to.
    // --v8-pool-size: a run ends before V8's four threads are of use, and each counts towards a limit of processes.
    // --: the runtime appends argv[0], and would take one that begins with - for an option.
    execArgv: [
      '--disable-sigusr1',
      '--openssl-config=/dev/null',
      '--no-warnings',
      '--v8-pool-size=1',
      '--',
    ],
    // Otherwise NODE_OPTIONS in the environment could load a file into a process of root.
    execArgvExtension: 'none',
    disableExperimentalSEAWarning: true,
  };
}

async function pack(options, nodePath) {
  const output = path.join(places.dist, `firewall-drop-${options.arch}.tmp`);
  fs.rmSync(output, { force: true });
  process.env.TMPDIR = places.dist;
  const cached = makeCaches(options, nodePath);
  writeLoader(cached);
  const work = { options, nodePath, output, config: seaConfig(cached) };
  if (options.native) await packWithPkg(work);
  else await packForeign(work);
  const executable = fs.readFileSync(output);
  alignCaches(
    executable,
    cached.map((name) => fs.readFileSync(path.join(places.dist, `${name}.cache`))),
  );
  fs.rmSync(output);
  return executable;
}

async function packWithPkg({ options, nodePath, output, config }) {
  const pkg = await loadTool('@yao-pkg/pkg/lib-es5/sea.js');
  const sea = pkg.default.default ?? pkg.default;
  const target = { nodeRange: 'node24', platform: 'linux', arch: options.arch, output };
  const unmute = mute(process.stdout);
  try {
    await sea(path.join(places.dist, LOADER), { targets: [target], nodePath, seaConfig: config });
  } finally {
    unmute();
  }
}

/**
 * Does the two steps of pkg by hand, because pkg runs the base to get its version, and a foreign base cannot run here.
 */
async function packForeign({ nodePath, output, config }) {
  const work = fs.mkdtempSync(path.join(places.dist, 'pkg-sea-'));
  const { inject } = createRequire(import.meta.resolve('@yao-pkg/pkg/lib-es5/sea.js'))('postject');
  const unmute = mute(process.stderr);
  try {
    const written = JSON.stringify({ ...config, output: 'sea.blob' });
    fs.writeFileSync(path.join(work, 'sea.json'), written);
    const makeBlob = ['--experimental-sea-config', 'sea.json'];
    execFileSync(process.execPath, makeBlob, { cwd: work, stdio: 'pipe' });
    fs.copyFileSync(nodePath, output);
    await inject(output, 'NODE_SEA_BLOB', fs.readFileSync(path.join(work, 'sea.blob')), {
      sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
    });
  } finally {
    unmute();
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Discards what a packer prints to a stream, such as warnings about section names. Errors are thrown. Returns a
 * function that undoes it.
 */
function mute(stream) {
  const { write } = stream;
  stream.write = () => true;
  return () => {
    stream.write = write;
  };
}

/**
 * Writes the whole file at once, so that the file system stores it in few extents. It then starts about 5 ms sooner.
 */
function install(content, out) {
  fs.mkdirSync(path.dirname(out), { recursive: true });
  const temporary = `${out}.${process.pid}.tmp`;
  try {
    const file = fs.openSync(temporary, 'wx', 0o755);
    try {
      const written = fs.writeSync(file, content);
      if (written !== content.length) throw new Error(`only ${written} bytes could be written`);
      fs.fchmodSync(file, 0o755);
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
    fs.renameSync(temporary, out);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw new BuildError(`${out} can't be written: ${error.message}`);
  }
}

/** Variables that would keep the program from starting if the runtime obeyed one of them. */
const HOSTILE = {
  NODE_OPTIONS: '--require=/nonexistent/injected.js',
  NODE_CHANNEL_FD: 'none',
  NODE_REPL_EXTERNAL_MODULE: '/nonexistent/injected.js',
  SIMDUTF_FORCE_IMPLEMENTATION: 'none',
};

function verify({ arch, native, out }) {
  const header = Buffer.alloc(20);
  const file = fs.openSync(out, 'r');
  fs.readSync(file, header);
  fs.closeSync(file);
  const isElf = header.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'));
  if (!isElf || header.readUInt16LE(18) !== ELF_MACHINE[arch]) {
    throw new BuildError(`${out} is not an ELF file for ${arch}.`);
  }
  if (!native) return;
  const env = { ...process.env, ...HOSTILE };
  const run = spawnSync(out, ['--version'], { env, encoding: 'utf8', timeout: 30_000 });
  if (run.status === 0 && run.stdout.includes(manifest.version)) return;
  const outcome = run.error?.message ?? `status ${run.status ?? run.signal}`;
  const printed = `${run.stdout}${run.stderr}`.trim();
  throw new BuildError(`${out} --version failed (${outcome}):\n${printed}`);
}

/**
 * Runs the build again under the pinned Node, since only the version that made compiled code can use it. npm 10 can
 * leave that Node out of the PATH of scripts.
 */
function handOverToPinnedNode() {
  const pinned = baseNode(process.arch, places);
  const version = manifest.optionalDependencies[`node-linux-${process.arch}`];
  if (process.execPath === fs.realpathSync(pinned)) {
    throw new BuildError(`${pinned} is ${process.version}, not v${version}. Run: npm ci`);
  }
  const again = [import.meta.filename, ...process.argv.slice(2)];
  const run = spawnSync(pinned, again, { stdio: 'inherit' });
  if (run.error) throw new BuildError(`${pinned} can't be run: ${run.error.message}`);
  process.exitCode = run.status ?? 1;
}

function isPinnedNode() {
  return process.version === `v${manifest.optionalDependencies[`node-linux-${process.arch}`]}`;
}

async function main() {
  const options = readOptions();
  if (options.help) return console.log(USAGE);
  if (!isPinnedNode()) return handOverToPinnedNode();
  const began = performance.now();
  const startedIn = process.cwd();
  places.dist = options.dist;
  process.chdir(ROOT); // The bundle contains file names relative to this directory.
  fs.mkdirSync(places.dist, { recursive: true });
  await bundle(options);
  install(await pack(options, makeRuntime(options, places)), options.out);
  verify(options);
  const megabytes = (fs.statSync(options.out).size / 1e6).toFixed(1);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const shown = path.relative(startedIn, options.out);
  console.log(
    `${shown}: ${manifest.version} for linux-${options.arch}, ${megabytes} MB, built in ${seconds} s`,
  );
}

main().catch((error) => {
  console.error(error instanceof BuildError ? `build: ${error.message}` : error);
  process.exitCode = 1;
});
