// Makes bin/firewall-drop: tsup bundles src into one file, pkg packs it into a copy of the pinned Node.
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
/** `dist`: for what is made on the way to the executable. */
const places = { root: ROOT, dist: path.join(ROOT, 'dist') };
const LOADER = 'loader.cjs';

/** ELF's e_machine (offset 18) for each architecture; elf.h. */
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

/** The commit built, with "-dirty" when tracked files differ from it. */
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

/** What only a person or a rare event needs. As assets of the binary they cost nothing until required; inside the main script the packages cost 3 ms at every start, and the command line twice that. */
// The parser of yargs is part of the command line.
const PACKAGES = Object.keys(manifest.dependencies).filter((name) => name !== 'yargs');
/** Assets of our own sources, by the file that a `require` names. */
const PARTS = { cli: 'src/cli/main.ts', config: 'src/config/parsers.ts' };
const SCRIPTS = ['firewall-drop', ...Object.keys(PARTS), ...PACKAGES];

/** What require('pino') becomes in the script; `assets` is scripts/lib/loader.cjs's. */
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
    // Of yargs only the parser is used: the rest would open standard output as a stream and look for files beside itself.
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
      // False: src/system/fault.ts and every call of it compile to nothing.
      __FAULT__: String(fault),
      // For the parser of yargs, which reads no file of its own and is to ask for no variable.
      'import.meta.url': '"file:///sys/none.js"',
      'process.env.YARGS_MIN_NODE_VERSION': 'undefined',
      // Twice: an object would become a module of its own.
      __PACKAGED__: JSON.stringify(JSON.stringify(packaged())),
    },
    esbuildOptions(options) {
      // Names stay as they are: they are what a stack trace in a bug report is read by.
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

/** As the runtime does with every module: its names are a function's parameters. */
function wrap(file) {
  const source = fs.readFileSync(file, 'utf8');
  if (/[^\0-\x7f]/.test(source)) throw new BuildError(`${file} is not ASCII alone.`);
  fs.writeFileSync(file, `(function (module, exports, require, assets) {${source}\n})`);
}

function writeSbom() {
  const sourceDateEpoch = process.env.SOURCE_DATE_EPOCH;
  const sbom = makeSbom({ root: ROOT, sourceDateEpoch });
  const file = path.join(places.dist, 'firewall-drop.cdx.json');
  fs.writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`);
}

/** The finished program finds no node_modules: what is not built into Node must be in the bundle. */
function refuseMissing(inputs) {
  for (const [file, { imports }] of Object.entries(inputs)) {
    const missing = imports.find((edge) => edge.external === true && !isBuiltin(edge.path));
    if (missing) throw new BuildError(`${file} needs ${missing.path}, which was not bundled.`);
  }
}

/** Start-up is paid at every alert: a package reached by plain imports would run each time. */
function refuseEager(inputs) {
  const seen = new Set(['src/main.ts']);
  for (const file of seen) {
    for (const { kind, path: target } of inputs[file].imports) {
      if (kind !== 'import-statement' || inputs[target] === undefined) continue;
      if (/^asset:|node_modules\//.test(target)) {
        const advice = 'Load it with require() inside the function that uses it.';
        const name = target.replace(/^asset:/, '');
        throw new BuildError(`${file} loads ${name} whenever the program starts. ${advice}`);
      }
      seen.add(target);
    }
  }
}

/** Runs the program, so that the functions which a run needs are compiled already in the executable. */
function makeCaches({ native }, runtime) {
  // Compiled code is good only for the Node and the processor that made it.
  if (!native) return [];
  // The compiled code depends on V8's random seed: a fixed one makes two builds equal byte for byte, and is not among
  // the flags that must be the same when the code is used.
  const script = path.join(ROOT, 'scripts/lib/code-cache.mjs');
  // A collection of garbage must not take out what was compiled: when it comes depends on the time.
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

/** Files are given relative to the temporary directory inside dist/, so that the checkout's path does not get into the binary. */
function seaConfig(cached) {
  const files = [...SCRIPTS.map((name) => `${name}.cjs`), ...cached.map((name) => `${name}.cache`)];
  return {
    main: `../${LOADER}`,
    assets: Object.fromEntries(files.map((file) => [file, `../${file}`])),
    useCodeCache: false,
    useSnapshot: false,
    // One thread for V8 in place of four: we end before they help, and each is one more that a limit may forbid.
    // The runtime repeats argv[0] behind these: after `--` it is no option of its, whatever it is.
    // OPENSSL_CONF, or a broken openssl.cnf of the host, would load code or stop us before ours runs;
    // SIGUSR1 would open a debugger's port, and a thread waits for it.
    // NODE_REDIRECT_WARNINGS names a file that a warning would be written to.
    execArgv: [
      '--disable-sigusr1',
      '--openssl-config=/dev/null',
      '--no-warnings',
      '--v8-pool-size=1',
      '--',
    ],
    // Without this NODE_OPTIONS in the environment could load a file into a process run by root.
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

/** pkg asks the base for its version by running it, which another processor's can't do: the same two steps by hand. */
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

/** Both packers chatter, and warn of section names that don't matter; what fails is thrown. */
function mute(stream) {
  const { write } = stream;
  stream.write = () => true;
  return () => {
    stream.write = write;
  };
}

/** One write of the whole file: the file system then lays it out in few pieces, and it starts about 5 ms sooner. */
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

/** Hostile on purpose: were one of them obeyed, the program would not start. */
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

/** The compiled code in the binary is good only for the very version that made it, so that one has to run the build. npm 10 may leave it out of the scripts' PATH. */
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
  process.chdir(ROOT); // The bundle holds file names relative to here.
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
