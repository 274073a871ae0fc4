// Makes the .deb, the .rpm and the tarball of the built program, and their checksums, in dist/packages.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

const USAGE = `usage: npm run package [-- --arch x64|arm64] [--only deb|rpm|tar]`;
const ROOT = path.resolve(import.meta.dirname, '..');
const OUT = path.join(ROOT, 'dist', 'packages');
const NAME = 'wazuh-firewall-drop';

/** The names of the processors in each package format. */
const ARCHITECTURES = {
  x64: { deb: 'amd64', rpm: 'x86_64' },
  arm64: { deb: 'arm64', rpm: 'aarch64' },
};
const FORMATS = ['deb', 'rpm', 'tar'];

/** An error that a person can correct. It is printed without a stack trace. */
class PackageError extends Error {}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        arch: { type: 'string', default: process.arch },
        only: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
    if (!Object.hasOwn(ARCHITECTURES, values.arch)) {
      throw new Error(`No such architecture: ${values.arch}`);
    }
    if (values.only !== undefined && !FORMATS.includes(values.only)) {
      throw new Error(`No such format: ${values.only}`);
    }
    return values;
  } catch (error) {
    throw new PackageError(`${error.message}\n${USAGE}`);
  }
}

const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));

const text = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const fill = (template, values) =>
  template.replace(/@([A-Z_]+)@/g, (mark, name) => values[name]?.trimEnd() ?? mark);

function run(program, arguments_, options = {}) {
  try {
    return execFileSync(program, arguments_, { encoding: 'utf8', stdio: 'pipe', ...options });
  } catch (error) {
    if (error.code === 'ENOENT') {
      throw new PackageError(`${program} is not installed. Run: scripts/setup package`);
    }
    throw new PackageError(`${program} ${arguments_.join(' ')}: ${error.stderr || error.message}`);
  }
}

/** The maintainer of the packages: $MAINTAINER, or the author in package.json. */
const MAINTAINER = process.env.MAINTAINER ?? manifest.author;

/** Returns the time of the commit, so that two builds of one commit are equal byte for byte. */
function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH;
  return given ?? run('git', ['log', '-1', '--format=%ct'], { cwd: ROOT }).trim();
}

/**
 * Returns the built program of `arch`, and one that runs on this machine to print the manual page and the completion.
 */
function programs(arch) {
  const native = path.join(ROOT, 'bin', 'firewall-drop');
  const program = arch === process.arch ? native : `${native}-${arch}`;
  for (const file of [native, program]) {
    if (!fs.existsSync(file)) {
      const more = file === native ? '' : ` -- --arch ${arch}`;
      throw new PackageError(`${path.relative(ROOT, file)} is missing. Run: npm run build${more}`);
    }
  }
  return { program, native };
}

const filesIn = (folder) => fs.readdirSync(path.join(ROOT, 'packaging', folder)).sort();

/** Returns the documentation, with the paths of the repository, so that links work. */
function documentation() {
  const folders = ['ansible', 'grafana', 'prometheus', 'wazuh'].map((one) => `packaging/${one}`);
  const alone = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'packaging/config.toml'];
  const list = (folder) =>
    fs
      .readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.relative(ROOT, path.join(parentPath, name)));
  const names = [...alone, ...['docs', ...folders].flatMap(list)].sort();
  const documents = Object.fromEntries(names.map((name) => [name, text(name)]));
  checkLinks(documents);
  return documents;
}

/** Throws a PackageError that names the first link to a file that is not in the package. */
function checkLinks(documents) {
  const there = new Set(Object.keys(documents));
  for (const name of there) if (name.includes('/')) there.add(path.dirname(name));
  for (const [page, content] of Object.entries(documents)) {
    if (!page.endsWith('.md')) continue;
    for (const [, link] of content.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      const target = path.join(path.dirname(page), link).replace(/\/$/, '');
      if (/^https?:/.test(link) || there.has(target)) continue;
      throw new PackageError(`${page} links to ${link}, which is not in the package`);
    }
  }
}

/** Returns the files of a package by their path on the host: the content, and the mode if it is not 0644. */
function files({ program, native }, format) {
  const ask = (...words) => run(native, words);
  const squeezed = (content) => gzipSync(content, { level: 9 });
  const documents = `usr/share/doc/${NAME}`;
  const units = filesIn('systemd');
  return {
    'usr/lib/firewall-drop/firewall-drop': { content: fs.readFileSync(program), mode: 0o755 },
    'usr/lib/firewall-drop/SHA256SUMS': {
      content: `${sha256(fs.readFileSync(program))}  firewall-drop\n`,
    },
    'usr/lib/firewall-drop/logrotate': {
      content: text('packaging/logrotate/firewall-drop.logrotate'),
    },
    'etc/firewall-drop/config.toml': { content: text('packaging/config.toml') },
    'etc/cron.d/firewall-drop': { content: text('packaging/cron/firewall-drop.cron') },
    ...Object.fromEntries(
      units.map((unit) => [
        `usr/lib/systemd/system/${unit}`,
        { content: text(`packaging/systemd/${unit}`) },
      ]),
    ),
    'usr/share/man/man8/firewall-drop.8.gz': { content: squeezed(ask('man')) },
    'usr/share/bash-completion/completions/firewall-drop': { content: ask('completion', 'bash') },
    [`usr/share/zsh/${ZSH[format]}/_firewall-drop`]: { content: ask('completion', 'zsh') },
    'usr/share/fish/vendor_completions.d/firewall-drop.fish': {
      content: ask('completion', 'fish'),
    },
    // Makes `install` refuse, because a package manager owns the program.
    ...(format !== 'tar' && { 'usr/lib/firewall-drop/package': { content: `${format}\n` } }),
    ...Object.fromEntries(
      Object.entries(documentation()).map(([file, content]) => [
        `${documents}/${file}`,
        { content },
      ]),
    ),
    [`${documents}/firewall-drop.cdx.json.gz`]: {
      content: squeezed(text('dist/firewall-drop.cdx.json')),
    },
    [`${documents}/${format === 'deb' ? 'copyright' : 'LICENSE'}`]: { content: text('LICENSE') },
  };
}

/** Writes the files below `stage`, all with the same modification time. */
function layOut(stage, tree, date) {
  fs.rmSync(stage, { recursive: true, force: true });
  for (const [name, { content, mode = 0o644 }] of Object.entries(tree)) {
    const file = path.join(stage, name);
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    fs.writeFileSync(file, content);
    fs.chmodSync(file, mode);
  }
  fs.mkdirSync(path.join(stage, 'usr/sbin'), { mode: 0o755 });
  fs.symlinkSync('../lib/firewall-drop/firewall-drop', path.join(stage, 'usr/sbin/firewall-drop'));
  run('find', [stage, '-exec', 'touch', '-h', '-d', `@${date}`, '{}', '+']);
}

/** Returns the changelog that dpkg's tools expect. It refers to CHANGELOG.md, which is for people. */
function debianChangelog(date) {
  const day = new Date(Number(date) * 1000).toUTCString().replace('GMT', '+0000');
  return `${NAME} (${manifest.version}) unstable; urgency=medium

  * See CHANGELOG.md beside this file.

 -- ${MAINTAINER}  ${day}
`;
}

function packDeb(stage, { arch, date, tree: common }) {
  const tree = {
    ...common,
    [`usr/share/doc/${NAME}/changelog.gz`]: {
      content: gzipSync(debianChangelog(date), { level: 9 }),
    },
    [`usr/share/lintian/overrides/${NAME}`]: {
      content: text('packaging/debian/lintian-overrides'),
    },
  };
  layOut(stage, tree, date);
  const control = path.join(stage, 'DEBIAN');
  const names = text('packaging/debian/names.sh');
  const kibibytes = Object.values(tree).reduce((sum, { content }) => sum + content.length, 0) >> 10;
  const values = {
    VERSION: manifest.version,
    MAINTAINER,
    HOMEPAGE: manifest.homepage,
    ARCHITECTURE: ARCHITECTURES[arch].deb,
    INSTALLED_SIZE: String(kibibytes),
  };
  fs.mkdirSync(control, { mode: 0o755 });
  const write = (name, content, mode = 0o644) => {
    fs.writeFileSync(path.join(control, name), content);
    fs.chmodSync(path.join(control, name), mode);
  };
  write('control', fill(text('packaging/debian/control'), values));
  write('triggers', text('packaging/debian/triggers'));
  const etc = Object.keys(tree).filter((name) => name.startsWith('etc/'));
  write('conffiles', etc.map((name) => `/${name}\n`).join(''));
  const sums = Object.entries(tree).filter(([name]) => !name.startsWith('etc/'));
  write('md5sums', sums.map(([name, { content }]) => `${md5(content)}  ${name}\n`).join(''));
  for (const script of ['postinst', 'prerm', 'postrm']) {
    write(script, fill(text(`packaging/debian/${script}`), { NAMES: names }), 0o755);
  }
  run('find', [control, '-exec', 'touch', '-d', `@${date}`, '{}', '+']);
  const file = path.join(OUT, `${NAME}_${manifest.version}_${values.ARCHITECTURE}.deb`);
  const env = { ...process.env, SOURCE_DATE_EPOCH: date };
  run('dpkg-deb', ['--root-owner-group', '-Zxz', '-z2', '--build', stage, file], { env });
  return file;
}

function md5(content) {
  return createHash('md5').update(content).digest('hex');
}

function sha256(content) {
  return createHash('sha256').update(content).digest('hex');
}

/** Returns the date as in an rpm changelog: `Tue Nov 24 2026`. */
function rpmDay(date) {
  const [weekday, day, month, year] = new Date(Number(date) * 1000).toUTCString().split(/[, ]+/);
  return `${weekday} ${month} ${day} ${year}`;
}

function packRpm(stage, { arch, date, tree: common }) {
  const preset = '80-firewall-drop.preset';
  const tree = {
    ...common,
    [`usr/lib/systemd/system-preset/${preset}`]: { content: text(`packaging/rpm/${preset}`) },
  };
  layOut(stage, tree, date);
  // rpm's scripts don't quote this path, and the path of the checkout can contain blanks.
  const top = fs.mkdtempSync('/var/tmp/rpmbuild-');
  const spec = path.join(ROOT, 'dist', `${NAME}.spec`);
  const values = {
    VERSION: manifest.version,
    MAINTAINER,
    HOMEPAGE: manifest.homepage,
    DAY: rpmDay(date),
    STAGE: stage,
    NAMES: text('packaging/debian/names.sh'),
    LINK: text('packaging/rpm/link.sh'),
  };
  fs.writeFileSync(spec, fill(text(`packaging/rpm/${NAME}.spec`), values));
  const target = ARCHITECTURES[arch].rpm;
  const env = { ...process.env, SOURCE_DATE_EPOCH: date };
  const define = ['--define', `_topdir ${top}`];
  run('rpmbuild', ['-bb', '--quiet', '--target', `${target}-linux`, ...define, spec], { env });
  const built = path.join(top, 'RPMS', target, `${NAME}-${manifest.version}-1.${target}.rpm`);
  const file = path.join(OUT, path.basename(built));
  fs.copyFileSync(built, file);
  fs.rmSync(top, { recursive: true });
  return file;
}

function packTar(stage, { arch, date, tree }) {
  layOut(stage, tree, date);
  const file = path.join(OUT, `${NAME}-${manifest.version}-linux-${arch}.tar.gz`);
  const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${date}`];
  const content = run('tar', [...same, '-C', stage, '-c', '.'], {
    encoding: 'buffer',
    maxBuffer: 1024 ** 3,
  });
  fs.writeFileSync(file, gzipSync(content, { level: 6 }));
  return file;
}

const PACKERS = { deb: packDeb, rpm: packRpm, tar: packTar };
/** The directory of completions in which zsh looks. Debian has a separate one for packages. */
const ZSH = { deb: 'vendor-completions', rpm: 'site-functions', tar: 'site-functions' };

/** Copies the SBOM beside the packages, for readers who have not installed them. */
function copySbom() {
  const file = path.join(OUT, `${NAME}-${manifest.version}.cdx.json`);
  fs.copyFileSync(path.join(ROOT, 'dist/firewall-drop.cdx.json'), file);
}

/**
 * Writes the checksums of all files of this version, including those that an earlier run made for another processor.
 */
function writeSums() {
  const names = fs
    .readdirSync(OUT)
    .filter((name) => name.includes(manifest.version))
    .sort();
  const sums = names.map((name) => `${sha256(fs.readFileSync(path.join(OUT, name)))}  ${name}\n`);
  fs.writeFileSync(path.join(OUT, 'SHA256SUMS'), sums.join(''));
}

function main() {
  const { arch, only, help } = readOptions();
  if (help === true) return console.log(USAGE);
  process.umask(0o022);
  const date = sourceDate();
  const built = programs(arch);
  const stage = path.join(ROOT, 'dist', 'stage');
  fs.mkdirSync(OUT, { recursive: true });
  const made = FORMATS.filter((format) => only === undefined || format === only).map((format) =>
    PACKERS[format](stage, { arch, date, tree: files(built, format) }),
  );
  fs.rmSync(stage, { recursive: true });
  copySbom();
  writeSums();
  for (const file of made) {
    const megabytes = (fs.statSync(file).size / 1e6).toFixed(1);
    console.log(`${path.relative(process.cwd(), file)}: ${megabytes} MB`);
  }
}

try {
  main();
} catch (error) {
  console.error(error instanceof PackageError ? `package: ${error.message}` : error);
  process.exitCode = 1;
}
