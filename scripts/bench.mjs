// Measures what bans cost: adds, deletes, lists and bulk commands of each backend, and packet throughput, for different
// numbers of bans, in one run.
import fs from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { enterNamespaces, hideMachine, startHost, summary } from './lib/bench/machine.mjs';
import { listen, PAYLOAD_BYTES, plugIn, receive } from './lib/bench/packets.mjs';
import { publish, printReport, writeResults } from './lib/bench/report.mjs';
import * as subjects from './lib/bench/subjects.mjs';

const USAGE = `usage: npm run bench [-- OPTION...]
  --bans 0,1000,10000,100000   numbers of banned addresses; ratios refer to the first
  --backends iptables,ipset,nftables
  --plain-up-to 10000          largest number of bans for the backend iptables
  --runs 20                    runs of each single command
  --bulk-runs 3                runs of each command that concerns all bans
  --packet-runs 5              runs of packets, --packet-seconds each
  --packet-seconds 2
  --peer PATH                  another program for the same messages, such as Wazuh's own firewall-drop
  --budget 60                  seconds after which a command is not run again on a host
  --out dist/bench.json        file for the results as JSON
  --json                       print the results as JSON instead of tables
  --publish                    also update docs/performance.md and its charts`;
const BULK_LIMIT_MS = 600_000;

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(1);
}

function readOptions() {
  try {
    const text = (standard) => ({ type: 'string', default: standard });
    const { values } = parseArgs({
      options: {
        bans: text('0,1000,10000,100000'),
        backends: text('iptables,ipset,nftables'),
        'plain-up-to': text('10000'),
        runs: text('20'),
        'bulk-runs': text('3'),
        'packet-runs': text('5'),
        'packet-seconds': text('2'),
        out: text('dist/bench.json'),
        budget: text('60'),
        peer: { type: 'string' },
        json: { type: 'boolean', default: false },
        publish: { type: 'boolean', default: false },
        inside: { type: 'boolean', default: false },
      },
    });
    return {
      bans: values.bans.split(',').map((word) => readNumber('--bans', word)),
      backends: values.backends.split(',').filter((word) => word !== ''),
      plainUpTo: readNumber('--plain-up-to', values['plain-up-to']),
      runs: readNumber('--runs', values.runs),
      bulkRuns: readNumber('--bulk-runs', values['bulk-runs']),
      packetRuns: readNumber('--packet-runs', values['packet-runs']),
      packetSeconds: readNumber('--packet-seconds', values['packet-seconds']),
      budgetMs: readNumber('--budget', values.budget) * 1000,
      out: values.out,
      peer: values.peer === undefined ? null : fs.readFileSync(values.peer),
      json: values.json,
      publish: values.publish,
      inside: values.inside,
    };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function readNumber(name, word) {
  if (!/^\d{1,6}$/.test(word)) throw new Error(`${name} is not a number: ${word}`);
  return Number(word);
}

const say = (line) => console.error(`${new Date().toTimeString().slice(0, 8)} ${line}`);

async function makeSettings({ bans, backends, plainUpTo, peer }) {
  const settings = [];
  for (const count of bans) {
    for (const backend of backends) {
      if (backend === 'iptables' && count > plainUpTo) continue;
      settings.push(await subjects.hostWithBackend(backend, count));
    }
    say(`adding ${count} plain rules to each chain`);
    settings.push(await subjects.hostOfToday(count, peer));
  }
  return settings;
}

/** The laps of each setting and subject, in the order of their rounds. */
class Record {
  #laps = new Map();

  note({ backend, bans }, what, lap) {
    const key = JSON.stringify({ backend, bans, what });
    this.#laps.set(key, [...(this.#laps.get(key) ?? []), lap]);
  }

  spentMs({ backend, bans }, what) {
    const laps = this.#laps.get(JSON.stringify({ backend, bans, what })) ?? [];
    return laps.reduce((sum, { wallMs }) => sum + wallMs, 0);
  }

  rows() {
    return [...this.#laps].map(([key, laps]) => {
      const measures = Object.keys(laps[0]).map((name) => [
        name,
        summary(laps.map((lap) => lap[name])),
      ]);
      return { ...JSON.parse(key), ...Object.fromEntries(measures) };
    });
  }
}

async function measureBulk(settings, { bulkRuns }, record) {
  const ours = settings.filter(({ backend, bans }) => backend !== 'today' && bans > 0);
  for (let round = 0; round < bulkRuns; round += 1) {
    for (const setting of ours) {
      say(`bulk ${round + 1} of ${bulkRuns}: ${setting.bans} by ${setting.backend}`);
      const laps = await subjects.measureBulk(setting, BULK_LIMIT_MS);
      for (const [what, lap] of Object.entries(laps)) record.note(setting, what, lap);
    }
  }
}

/**
 * Measures each single command once per round, with the hosts in random order, so that all are disturbed alike: a host
 * with 200,000 rules leaves cold caches to the next one.
 */
async function measureSingles(settings, { runs, budgetMs, peer }, record) {
  const floor = { backend: 'floor', bans: 0, subjects: subjects.floorSubjects(settings[0].host) };
  const all = [floor];
  const withPlainRules = settings.filter(({ backend }) => backend === 'today');
  const peers = peer === null ? [] : withPlainRules.map((one) => ({ ...one, backend: 'peer' }));
  for (const setting of [...settings, ...peers]) {
    await subjects.proveSingles(setting);
    all.push({ ...setting, subjects: subjects.singleSubjects(setting) });
  }
  for (let round = 0; round < runs; round += 1) {
    if (round % 5 === 0) say(`single commands: ${round} of ${runs} rounds`);
    for (const each of shuffled(all)) {
      for (const [what, run] of Object.entries(each.subjects)) {
        if (record.spentMs(each, what) > budgetMs) continue;
        record.note(each, what, await run());
      }
    }
  }
}

function shuffled(list) {
  const rest = [...list];
  return list.map(() => rest.splice(Math.floor(Math.random() * rest.length), 1)[0]);
}

async function measurePackets(settings, { packetRuns, packetSeconds }, record) {
  const sender = await startHost();
  const targets = [];
  for (const [index, setting] of settings.entries()) {
    const address = plugIn(sender, setting.host, index);
    await listen(setting.host);
    targets.push({ setting, address });
  }
  for (let round = 0; round < packetRuns; round += 1) {
    say(`packets: ${round} of ${packetRuns} rounds`);
    for (const { setting, address } of targets) {
      record.note(setting, 'packets', {
        perSecond: receive(sender, setting.host, address, packetSeconds),
      });
    }
  }
  await sender.stop();
}

function describeMachine() {
  const [{ model }] = os.cpus();
  return {
    cpu: model,
    cores: os.cpus().length,
    kernel: os.release(),
    arch: process.arch,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** Raises the priority, so that other work on the machine disturbs little. Ordinary users are not allowed to do so. */
function goFirst() {
  try {
    os.setPriority(os.constants.priority.PRIORITY_HIGHEST);
  } catch {
    say('running at ordinary priority');
  }
}

async function run(options) {
  goFirst();
  hideMachine();
  const record = new Record();
  const settings = await makeSettings(options);
  await measureBulk(settings, options, record);
  await measureSingles(settings, options, record);
  await measurePackets(settings, options, record);
  for (const { host } of settings) await host.stop();
  return { machine: describeMachine(), payloadBytes: PAYLOAD_BYTES, rows: record.rows() };
}

const options = readOptions();
try {
  if (options.inside) {
    const results = await run(options);
    writeResults(results, options.out);
    if (options.json) console.log(JSON.stringify(results, null, 2));
    else printReport(results);
  } else {
    enterNamespaces(import.meta.filename);
    if (options.publish && process.exitCode === 0) publish(options.out);
  }
} catch (error) {
  fail(error.message);
}
