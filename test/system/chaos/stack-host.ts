/**
 * Holds the stack in a process of its own, so that it can be killed, and kills: at calls that are drawn from the seed,
 * the process of the function that makes the call, or itself and with it everything.
 *
 * node stack-host.ts <settings as JSON>
 */
import { appendFileSync } from 'node:fs';
import { randomOf } from '../../../local/openai-emulator/ids.ts';
import type { ObservedCall } from '../../../local/stack/options.ts';
import { startLocalStack } from '../../../local/stack/start.ts';
import type { Death, HostMessage, HostSettings, Tick } from './protocol.ts';

/** One death in so many is that of the whole stack. */
const STACK_DEATH_EVERY = 8;

const settings = JSON.parse(process.argv[2]!) as HostSettings;
const draw = randomOf('deaths', settings.seed);
const random = (below: number) => Math.floor(draw() * below);
const drawCalls = () => 1 + random(settings.mostCallsBetween);
let { aheadMs } = settings;
const deathsLeft = new Map(Object.entries(settings.deaths));
/** Until the next death, by role. */
const callsLeft = new Map(Object.keys(settings.deaths).map((role) => [role, drawCalls()]));

function onCall({ functionName, moment, operation, resource }: ObservedCall): 'kill' | undefined {
  const deaths = deathsLeft.get(functionName) ?? 0;
  if (deaths === 0) return undefined;
  const calls = callsLeft.get(functionName)! - 1;
  callsLeft.set(functionName, calls === 0 ? drawCalls() : calls);
  if (calls > 0) return undefined;
  deathsLeft.set(functionName, deaths - 1);
  const victim = random(STACK_DEATH_EVERY) === 0 ? 'stack' : 'function';
  const death: Death = { victim, functionName, moment, operation, resource };
  appendFileSync(settings.deathsFile, `${JSON.stringify(death)}\n`);
  if (victim === 'stack') process.kill(process.pid, 'SIGKILL');
  return 'kill';
}

const tell = (message: HostMessage) => process.send?.(message);
const stack = await startLocalStack({
  dir: settings.dir,
  cdkOut: settings.cdkOut,
  openai: { baseUrl: settings.openaiBaseUrl, apiKey: 'sk-chaos' },
  scheduleEveryMs: 'manual',
  // The clock leaps over longer waits.
  deliver: { retryAfterSeconds: 0, idleDelaySeconds: 1 },
  now: () => Date.now() + aheadMs,
  onCall,
});
process.on('message', async (tick: Tick) => {
  // No function runs: the clock may leap.
  await stack.idle();
  aheadMs = tick.aheadMs;
  await stack.runSchedule();
  await stack.idle();
  tell({ kind: 'idle' });
});
// The run has died.
process.on('disconnect', () => process.exit(1));
const { endpoints, region, credentials, resources } = stack;
tell({ kind: 'ready', endpoints, region, credentials, resources });
