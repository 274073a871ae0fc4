// Makes the SBOM of the executable, as CycloneDX: npm lists the packages, and this module adds the Node that runs them.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Licences that are compatible with MIT, the licence of this project. */
export const ALLOWED_LICENCES = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
];

/**
 * Arguments that make npm read only the lock file, without a network. The optional packages are Node itself.
 * `--omit=dev` would also leave out packages that both the program and a development package need.
 */
const NPM_SBOM = 'sbom --sbom-format=cyclonedx --package-lock-only --omit=optional --offline';

/** Returns the SBOM. Must run under the Node that is built in. The same lock file, Node and npm give the same bytes. */
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
      // npm would use the name of the directory.
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

/** Returns the packages that `dependencies` of package.json require, directly and indirectly. The root comes first. */
function withoutDevelopment({ components, dependencies }, rootRef, root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const nameOf = new Map(components.map((component) => [component['bom-ref'], component.name]));
  const isOurs = (ref) => Object.hasOwn(manifest.dependencies, nameOf.get(ref));
  const needs = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const ours = [rootRef];
  needs.set(rootRef, (needs.get(rootRef) ?? []).filter(isOurs));
  // The loop appends to the list that it iterates over.
  for (const ref of ours) {
    ours.push(...(needs.get(ref) ?? []).filter((needed) => !ours.includes(needed)));
  }
  const others = dependencies.filter(({ ref }) => ref !== rootRef && ours.includes(ref));
  return {
    components: components.filter((component) => ours.includes(component['bom-ref'])),
    dependencies: [{ ref: rootRef, dependsOn: needs.get(rootRef) }, ...others],
  };
}

/**
 * Returns the component of Node, which is under MIT, with the libraries that it contains according to
 * `process.versions`.
 */
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

/** Describes the components whose licence is not allowed. */
export function foreignLicences({ components }) {
  return components.flatMap(({ name, version, licenses }) => {
    const id = licenses?.[0]?.license?.id;
    return ALLOWED_LICENCES.includes(id) ? [] : [`${name} ${version}: ${id ?? 'no licence'}`];
  });
}
