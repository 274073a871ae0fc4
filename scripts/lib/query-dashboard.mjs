// Sends every query of a dashboard to a Prometheus until each has a result: query-dashboard.mjs URL DASHBOARD.JSON
import fs from 'node:fs';

const [url, file] = process.argv.slice(2);
const WAIT_MS = 60_000;
const PAUSE_MS = 500;

const { panels } = JSON.parse(fs.readFileSync(file, 'utf8'));
const queries = panels.flatMap(({ title, targets }) =>
  targets.map(({ expr }) => ({ title, expr: expr.replaceAll('$instance', '.*') })),
);

async function api(path) {
  const response = await globalThis.fetch(url + path);
  const body = await response.json();
  if (body.status !== 'success') throw new Error(`${path}: ${body.error}`);
  return body.data;
}

/** Returns why a query has no result yet; empty if it has one. */
async function troubleWith({ title, expr }) {
  try {
    const { result } = await api(`/api/v1/query?query=${encodeURIComponent(expr)}`);
    return result.length > 0 ? '' : `${title}: no series for ${expr}`;
  } catch (error) {
    return `${title}: ${error.cause?.message ?? error.message}`;
  }
}

async function troubleWithRules() {
  const { groups } = await api('/api/v1/rules');
  const sick = groups.flatMap(({ rules }) => rules).filter(({ health }) => health !== 'ok');
  return sick.map(({ name, health, lastError = '' }) => `rule ${name}: ${health} ${lastError}`);
}

const end = Date.now() + WAIT_MS;
let troubles;
do {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  troubles = (await Promise.all(queries.map(troubleWith))).filter(Boolean);
  if (troubles.length === 0) troubles = await troubleWithRules();
} while (troubles.length > 0 && Date.now() < end);

if (troubles.length > 0) console.error(troubles.join('\n'));
else console.log(`${queries.length} queries answered`);
process.exitCode = troubles.length > 0 ? 1 : 0;
