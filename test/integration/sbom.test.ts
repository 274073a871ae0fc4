/** Checks the SBOM of the executable, as the build made it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');

interface Component {
  readonly type: string;
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly licenses: readonly { readonly license: { readonly id: string } }[];
}
interface Sbom {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly version: number;
  readonly serialNumber?: string;
  readonly metadata: { readonly timestamp?: string; readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}
interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const read = (file: string): unknown => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));
const sbom = read('dist/firewall-drop.cdx.json') as Sbom;
const manifest = read('package.json') as Manifest;
const versionOf = (name: string): string | undefined =>
  sbom.components.find((component) => component.name === name)?.version;

test('the SBOM is CycloneDX of this version, and every reference in it resolves', () => {
  expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5', version: 1 });
  expect(sbom.metadata.component.version).toBe(manifest.version);
  const refs = [sbom.metadata.component, ...sbom.components].map(
    (component) => component['bom-ref'],
  );
  expect(new Set(refs).size).toBe(refs.length);
  for (const { ref, dependsOn } of sbom.dependencies) {
    expect(refs).toEqual(expect.arrayContaining([ref, ...dependsOn]));
  }
});

test('the SBOM names the built-in Node and each dependency in its pinned version', () => {
  expect(versionOf('node')).toBe(manifest.optionalDependencies[`node-linux-${process.arch}`]);
  for (const [name, version] of Object.entries(manifest.dependencies)) {
    expect([name, versionOf(name)]).toEqual([name, version]);
  }
});

test('the SBOM names indirect dependencies, and no package that only builds or tests', () => {
  expect(versionOf('xmlchars')).toBeDefined();
  for (const name of ['tsup', 'jest', 'typescript']) expect(versionOf(name)).toBeUndefined();
});

test('the SBOM has no time and no serial number, so that equal builds have equal SBOMs', () => {
  expect(sbom.serialNumber).toBeUndefined();
  if (process.env['SOURCE_DATE_EPOCH'] === undefined) {
    expect(sbom.metadata.timestamp).toBeUndefined();
  }
});

test('the SBOM has only licences that are compatible with MIT', () => {
  for (const { licenses } of sbom.components) {
    expect(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD']).toContain(
      licenses[0]?.license.id,
    );
  }
});
