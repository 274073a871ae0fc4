// What is inside the executable, as CycloneDX: npm lists the packages, and the Node that runs them is added.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Licences of others that MIT, our own, is compatible with. */
export const ALLOWED_LICENCES = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
];

/**
 * From the lock file alone, without a network. The optional packages are Node itself. With `--omit=dev` npm leaves out
 * also what we need ourselves where a development package needs it too.
 */
const NPM_SBOM = 'sbom --sbom-format=cyclonedx --package-lock-only --omit=optional --offline';

/** Runs under the Node that is built in. The same bytes for the same lock file, Node and npm. */
export function makeSbom({ root, sourceDateEpoch }) {
  const printed = execFileSync('npm', NPM_SBOM.split(' '), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { bomFormat, specVersion, version, metadata, ...all } = JSON.parse(printed);
  const { components, dependencies } = withoutDevelopment(all, metadata.component['bom-ref'], root);
  const node = nodeComponent();
  const [own, ...others] = dependencies;
  return {
    bomFormat,
    specVersion,
    version,
    metadata: {
      ...timestamp(sourceDateEpoch),
      // npm names it after the directory.
      component: { ...metadata.component, type: 'application', name: 'firewall-drop' },
    },
    components: [...components, node],
    dependencies: [
      { ...own, dependsOn: [...own.dependsOn, node['bom-ref']] },
      ...others,
      { ref: node['bom-ref'], dependsOn: [] },
    ],
  };
}

/** What the `dependencies` of package.json lead to. The root comes first. */
function withoutDevelopment({ components, dependencies }, rootRef, root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const nameOf = new Map(components.map((component) => [component['bom-ref'], component.name]));
  const isOurs = (ref) => Object.hasOwn(manifest.dependencies, nameOf.get(ref));
  const needs = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const ours = [rootRef];
  needs.set(rootRef, (needs.get(rootRef) ?? []).filter(isOurs));
  // Grows while it is gone through.
  for (const ref of ours) {
    ours.push(...(needs.get(ref) ?? []).filter((needed) => !ours.includes(needed)));
  }
  const others = dependencies.filter(({ ref }) => ref !== rootRef && ours.includes(ref));
  return {
    components: components.filter((component) => ours.includes(component['bom-ref'])),
    dependencies: [{ ref: rootRef, dependsOn: needs.get(rootRef) }, ...others],
  };
}

/** Node is MIT itself; `process.versions` has the versions of the libraries that it is built with. */
function nodeComponent() {
  const { node: version, ...versions } = process.versions;
  const purl = `pkg:generic/node@${version}`;
  const components = ['openssl', 'sqlite', 'uv', 'v8', 'zlib'].map((name) => {
    return { type: 'library', 'bom-ref': `${purl}#${name}`, name, version: versions[name] };
  });
  const licenses = [{ license: { id: 'MIT' } }];
  return { type: 'platform', 'bom-ref': purl, name: 'node', version, licenses, purl, components };
}

function timestamp(epoch) {
  return epoch === undefined ? {} : { timestamp: new Date(Number(epoch) * 1000).toISOString() };
}

/** The components whose licence is not on the list, in words. */
export function foreignLicences({ components }) {
  return components.flatMap(({ name, version, licenses }) => {
    const id = licenses?.[0]?.license?.id;
    return ALLOWED_LICENCES.includes(id) ? [] : [`${name} ${version}: ${id ?? 'no licence'}`];
  });
}
