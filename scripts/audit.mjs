// Known holes and licences of what is inside the executable: `npm run audit`, after a build.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ALLOWED_LICENCES, foreignLicences } from './lib/sbom.mjs';

const ROOT = path.resolve(import.meta.dirname, '..');
const SBOM = path.join(ROOT, 'dist', 'firewall-drop.cdx.json');

function licences() {
  if (!fs.existsSync(SBOM)) return ['There is no dist/firewall-drop.cdx.json. Run: npm run build'];
  const sbom = JSON.parse(fs.readFileSync(SBOM, 'utf8'));
  const foreign = foreignLicences(sbom);
  if (foreign.length > 0) return [`Not ${ALLOWED_LICENCES.join(', ')}:`, ...foreign];
  console.log(`licences: ${sbom.components.length} components, all allowed`);
  return [];
}

function knownHoles() {
  const run = spawnSync('npm', ['audit', '--omit', 'dev', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const report = parse(run.stdout);
  const found = report?.metadata?.vulnerabilities;
  if (found === undefined) {
    const why = report?.message ?? run.error?.message ?? run.stderr.trim();
    return [
      `Known holes were not looked up: the registry did not answer (${why}).`,
      'Run this where registry.npmjs.org is reached directly, or give dist/firewall-drop.cdx.json to a scanner.',
    ];
  }
  if (found.total > 0) return [`npm audit knows ${found.total} holes. See: npm audit --omit dev`];
  console.log('known holes: none');
  return [];
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    // npm died before it had a report: its other output says why.
    return undefined;
  }
}

const troubles = [...licences(), ...knownHoles()];
for (const line of troubles) console.error(`audit: ${line}`);
if (troubles.length > 0) process.exitCode = 1;
