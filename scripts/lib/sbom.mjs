// What is inside the executable, as CycloneDX: the bundled packages and the Node that runs them. The same bytes for the same build.
import fs from 'node:fs';
import path from 'node:path';

/** What our own licence goes together with. */
export const ALLOWED_LICENCES = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
];

/** The directories of the packages that a bundle was made of, from the inputs that its maker lists. */
function packageDirectories(inputs) {
  const found = new Set();
  for (const file of Object.keys(inputs)) {
    const directory = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
    if (directory !== undefined) found.add(directory);
  }
  return [...found];
}

function packageComponent(manifest) {
  const { name, version, license } = manifest;
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return { type: 'library', 'bom-ref': purl, name, version, licenses: licences(license), purl };
}

function licences(id) {
  return [{ license: { id } }];
}

/** Node is MIT itself; what it is built of is told by `process.versions` of that very version. */
function nodeComponent(version) {
  const purl = `pkg:generic/node@${version}`;
  const parts = Object.entries(process.versions)
    .filter(([name]) => ['openssl', 'sqlite', 'v8', 'zlib', 'uv'].includes(name))
    .map(([name, value]) => ({
      type: 'library',
      'bom-ref': `${purl}#${name}`,
      name,
      version: value,
    }))
    .sort(byRef);
  return {
    type: 'platform',
    'bom-ref': purl,
    name: 'node',
    version,
    licenses: licences('MIT'),
    purl,
    components: parts,
  };
}

function byRef(one, other) {
  return one['bom-ref'] < other['bom-ref'] ? -1 : 1;
}

function timestamp(epoch) {
  return epoch === undefined ? {} : { timestamp: new Date(Number(epoch) * 1000).toISOString() };
}

/** `inputs` as esbuild's metafile has them, relative to `root`; runs under the Node that is built in. */
export function makeSbom({ root, manifest, inputs, sourceDateEpoch }) {
  const read = (directory) =>
    JSON.parse(fs.readFileSync(path.join(root, directory, 'package.json'), 'utf8'));
  const byPurl = new Map(
    packageDirectories(inputs)
      .map((directory) => packageComponent(read(directory)))
      .map((component) => [component.purl, component]),
  );
  const own = `pkg:generic/${manifest.name}@${manifest.version}`;
  const components = [...byPurl.values(), nodeComponent(process.versions.node)].sort(byRef);
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      ...timestamp(sourceDateEpoch),
      component: {
        type: 'application',
        'bom-ref': own,
        name: 'firewall-drop',
        version: manifest.version,
        licenses: licences(manifest.license),
        purl: own,
      },
    },
    components,
    dependencies: [{ ref: own, dependsOn: components.map((each) => each['bom-ref']) }],
  };
}

/** The components whose licence is not on the list, in words. */
export function foreignLicences({ components }) {
  return components.flatMap(({ name, version, licenses }) => {
    const id = licenses[0].license.id;
    return ALLOWED_LICENCES.includes(id) ? [] : [`${name} ${version}: ${id ?? 'no licence'}`];
  });
}
