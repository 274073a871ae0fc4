// Makes docs/session.svg from a real session on a real terminal, in its own namespaces.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const OUTPUT = path.join(ROOT, 'docs/session.svg');
const CHARACTER = { width: 7.8, height: 18 };
const MARGIN = 16;
const COLOURS = { 2: '#8b949e', 31: '#ff7b72', 32: '#7ee787', 33: '#d29922' };

function record() {
  const ownUser = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  const inside = ['unshare', '--net', '--mount', '--propagation', 'private', ...ownUser];
  const words = [...inside, path.join(ROOT, 'scripts/lib/session'), ROOT];
  const command = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const env = { ...process.env, TERM: 'xterm', NO_COLOR: '' };
  const run = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env });
  if (run.status === 0) return run.stdout.replaceAll('\r', '').trimEnd().split('\n');
  console.error(`screenshot: the session failed:\n${run.stdout}${run.stderr}`);
  return process.exit(1);
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Returns the spans of a line: the text between colour sequences. */
function spans(line) {
  let colour = null;
  // eslint-disable-next-line no-control-regex -- matches escape sequences
  return line.split(/(\u001b\[[0-9;]*m)/).flatMap((piece) => {
    // eslint-disable-next-line no-control-regex
    const code = /^\u001b\[([0-9;]*)m$/.exec(piece)?.[1];
    if (code !== undefined) colour = COLOURS[code] ?? null;
    if (code !== undefined || piece === '') return [];
    const fill = colour === null ? '' : ` fill="${colour}"`;
    return [`<tspan${fill}>${escapeXml(piece)}</tspan>`];
  });
}

function draw(lines) {
  // eslint-disable-next-line no-control-regex
  const lengths = lines.map((line) => line.replace(/\u001b\[[0-9;]*m/g, '').length);
  const width = Math.ceil(Math.max(...lengths) * CHARACTER.width) + 2 * MARGIN;
  const height = lines.length * CHARACTER.height + 2 * MARGIN;
  const texts = lines.map((line, index) => {
    const y = MARGIN + (index + 0.75) * CHARACTER.height;
    return `<text x="${MARGIN}" y="${y}" xml:space="preserve">${spans(line).join('')}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" role="img">
<title>A session with firewall-drop</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#e6edf3">
${texts.join('\n')}
</g>
</svg>
`;
}

fs.writeFileSync(OUTPUT, draw(record()));
console.log(path.relative(process.cwd(), OUTPUT));
