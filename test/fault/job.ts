/** Runs one job of soak.ts on its own host: job.ts walk|crash ORDER. Prints its reports as lines of JSON. */
import { builtBinary } from '../support/binary.ts';
import { crash, type CrashOrder } from './crash.ts';
import { createStage } from './stage.ts';
import { walk, type WalkOrder } from './walk.ts';

function print(report: unknown): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

const [kind, json = '{}'] = process.argv.slice(2);
const order: unknown = JSON.parse(json);
const stage = await createStage(kind === 'walk' ? builtBinary() : undefined);
if (kind === 'walk') print(await walk(stage, order as WalkOrder, print));
else print(crash(stage, order as CrashOrder));
await stage.victim.dispose();
