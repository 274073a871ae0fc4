// Checks the contents of the executable for known vulnerabilities and their licences: `npm run audit`, after a build.
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

function vulnerabilities() {
  const run = spawnSync('npm', ['audit', '--omit', 'dev', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const report = parse(run.stdout);
  const found = report?.metadata?.vulnerabilities;
  if (found === undefined) {
    const why = report?.message ?? run.error?.message ?? run.stderr.trim();
    return [
      `Known vulnerabilities could not be looked up: the registry did not answer (${why}).`,
      'Run this on a machine that reaches registry.npmjs.org directly, or give dist/firewall-drop.cdx.json to a scanner.',
    ];
  }
  if (found.total > 0)
    return [`npm audit found ${found.total} vulnerabilities. See: npm audit --omit dev`];
  console.log('known vulnerabilities: none');
  return [];
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    // npm failed before it could report. Its other output says why.
    return undefined;
  }
}

const problems = [...licences(), ...vulnerabilities()];
for (const line of problems) console.error(`audit: ${line}`);
if (problems.length > 0) process.exitCode = 1;
