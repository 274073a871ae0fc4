// Adds a watchdog to Node's test environment, because jest's own timeouts cannot end a synchronous call that never
// returns.
import { Worker } from 'node:worker_threads';
import { TestEnvironment } from 'jest-environment-node';

/** The watchdog. It runs in its own thread, because the watched thread can be stuck. */
const WATCHDOG = `
  const { parentPort } = require('node:worker_threads');
  let timer;
  parentPort.on('message', ({ at, minutes }) => {
    clearTimeout(timer);
    if (at === null) return;
    timer = setTimeout(() => {
      const text = 'no end after ' + minutes + ' minutes, so the process is killed: ' + at + '\\n';
      require('node:fs').writeSync(2, text);
      process.kill(process.pid, 'SIGKILL');
    }, minutes * 60_000);
  });
`;

let watchdog;

export default class WatchedEnvironment extends TestEnvironment {
  #file;
  #minutes;

  constructor(config, context) {
    super(config, context);
    this.#file = context.testPath;
    this.#minutes = config.projectConfig.testEnvironmentOptions.silentMinutes;
    // One watchdog for all files that this process runs.
    watchdog ??= new Worker(WATCHDOG, { eval: true });
    watchdog.unref();
    this.#watch('');
  }

  handleTestEvent({ name, test, hook }) {
    if (name === 'test_fn_start') this.#watch(`: ${test.name}`);
    if (name === 'hook_start') this.#watch(`: ${hook.type}`);
  }

  async teardown() {
    watchdog.postMessage({ at: null });
    await super.teardown();
  }

  #watch(what) {
    watchdog.postMessage({ at: `${this.#file}${what}`, minutes: this.#minutes });
  }
}
