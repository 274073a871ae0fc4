// What is inside the executable, as CycloneDX: npm lists the packages, and the Node that runs them is added.
import { execFileSync } from 'node:child_process';

/** Licences of others that MIT, our own, is compatible with. */
export const ALLOWED_LICENCES = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
];

/** From the lock file alone, without a network. The optional packages are Node itself. */
const NPM_SBOM =
  'sbom --sbom-format=cyclonedx --package-lock-only --omit=dev --omit=optional --offline';

/** Runs under the Node that is built in. The same bytes for the same lock file, Node and npm. */
export function makeSbom({ root, sourceDateEpoch }) {
  const printed = execFileSync('npm', NPM_SBOM.split(' '), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { bomFormat, specVersion, version, metadata, components, dependencies } =
    JSON.parse(printed);
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
