// What the command line uses of yargs: its parser, which jest finds below it only.
exports.Parser =
  require('../../node_modules/yargs/node_modules/yargs-parser/build/lib/index.js').default;
