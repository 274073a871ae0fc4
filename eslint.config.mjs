import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** The layers of src from the bottom up (docs/architecture.md, Layout). No file imports from a layer above its own. */
const LAYERS = [
  ['model/'],
  ['system/'],
  ['state/'],
  ['config/'],
  ['firewall/'],
  ['policy/'],
  ['bans/'],
  ['wazuh/'],
  ['context.ts', 'diagnostics.ts'],
  ['manager/'],
  ['cli/'],
  ['main.ts'],
];

const layerRules = LAYERS.slice(0, -1).flatMap((layer, level) => {
  const above = LAYERS.slice(level + 1).flat();
  return layer.map((name) => {
    const [files, up] = name.endsWith('/')
      ? [`src/${name}**`, '(\\.\\./)+']
      : [`src/${name}`, '\\./'];
    return restrictImports(files, `^${up}(${above.join('|')})`, `src/${name} is a layer below`);
  });
});

function restrictImports(files, regex, message) {
  const patterns = [{ regex, message }];
  return { files: [files], rules: { 'no-restricted-imports': ['error', { patterns }] } };
}

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', 'bin/firewall-drop'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  {
    // Every alert pays for the start of the program. So code that alerts rarely need is loaded with require() when
    // first used.
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-require-imports': 'off',
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', 40],
    },
  },
  ...layerRules,
  restrictImports(
    'src/cli/commands/**',
    '^\\./|/commands/',
    'no command imports another: code for two commands belongs in src/cli/ or below',
  ),
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        performance: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
);
