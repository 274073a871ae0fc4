// Checks the documentation: links lead to existing files and headings, and the index lists every page.
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');
const PAGES = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).sort();

const textOf = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** Returns the anchors of headings as GitHub forms them: in lower case, without punctuation, with hyphens for spaces. */
function anchorsOf(page: string): string[] {
  return Array.from(textOf(page).matchAll(/^#+ (.*)$/gm), ([, heading = '']) => {
    const bare = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    return bare.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
  });
}

/** Returns the targets of the links in a page: a path from the root, and the anchor of a heading. */
function linksOf(page: string): { readonly path: string; readonly anchor: string | undefined }[] {
  const links = Array.from(textOf(page).matchAll(/\]\(([^)\s]+)\)/g), ([, link = '']) => link);
  return links
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [file = '', anchor] = link.split('#');
      return { path: file === '' ? page : normalize(join(dirname(page), file)), anchor };
    });
}

test.each(PAGES)('every link in %s leads to an existing file and heading', (page) => {
  const broken = linksOf(page).filter(({ path, anchor }) => {
    if (!existsSync(join(ROOT, path))) return true;
    return anchor !== undefined && !anchorsOf(path).includes(anchor);
  });
  expect(broken).toEqual([]);
});

test('the index of docs/ links to every page in that directory', () => {
  const linked = linksOf('docs/README.md').map(({ path }) => path.replace(/\/$/, ''));
  const pages = PAGES.filter((page) => dirname(page) === 'docs' && page !== 'docs/README.md');
  expect(pages.filter((page) => !linked.includes(page))).toEqual([]);
  expect(statSync(join(ROOT, 'docs/decisions')).isDirectory()).toBe(true);
});

test('the README has fewer than 150 lines and answers eight questions', () => {
  const readme = textOf('README.md');
  expect(readme.split('\n').length).toBeLessThan(150);
  const [, questions = ''] = /^## Questions\n([^]*?)^## /m.exec(readme) ?? [];
  expect(questions.match(/^\*\*.*\?\*\*/gm)).toHaveLength(8);
});

test('the page on monitoring lists exactly the shipped Prometheus alerts', () => {
  const rules = textOf('packaging/prometheus/firewall-drop.rules.yml');
  const shipped = Array.from(rules.matchAll(/- alert: (\w+)/g), ([, name]) => name);
  const rows = textOf('docs/monitoring.md').matchAll(/^\| `(\w+)`/gm);
  expect(Array.from(rows, ([, name]) => name)).toEqual(shipped);
});
