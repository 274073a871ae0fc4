// Exports the parser of yargs, which jest finds only below yargs itself.
exports.Parser =
  require('../../node_modules/yargs/node_modules/yargs-parser/build/lib/index.js').default;
