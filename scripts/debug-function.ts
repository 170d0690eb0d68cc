/**
 * `npm run debug -- FUNCTION FILE [--port 9229]`: runs a file through the local stack while one function waits for a
 * debugger and runs from a bundle that has source maps. The emulator answers, so it costs nothing.
 * `.vscode/launch.json` starts it and attaches. Everything is kept in `.batchdrop/debug`, which is removed at the
 * start, so that no file is a duplicate.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { startLocalPipeline } from '../local/stack/pipeline.ts';
import { DEFAULT_API_KEY } from '../src/contract/api-key.ts';
import { defaultSettings } from '../src/contract/settings.ts';
import type { WebhookSettings } from '../src/contract/webhooks.ts';

const ROOT = join(import.meta.dirname, '..');
const STATE_DIR = join(ROOT, '.batchdrop/debug');
const FUNCTIONS = readdirSync(join(ROOT, 'lambdas'));
/** The functions that a stack has only with webhooks. */
const WITH_WEBHOOKS = ['webhook', 'observe'];
const WEBHOOKS: WebhookSettings = { apiKeys: [DEFAULT_API_KEY], endpoint: 'function_url' };
const USAGE = `npm run debug -- FUNCTION FILE [--port 9229]; FUNCTION is one of ${FUNCTIONS.join(', ')}`;
/** How often the job is looked at. */
const LOOK_MS = 250;

/** Bundles a function readably; what it loads late is in the same file. @returns the folder. */
async function bundle(role: string): Promise<string> {
  const folder = join(STATE_DIR, 'bundle');
  await build({
    entryPoints: [join(ROOT, 'lambdas', role, 'handler.ts')],
    outfile: join(folder, 'index.mjs'),
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'],
    sourcemap: true,
    banner: { js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);" },
    logLevel: 'warning',
  });
  return folder;
}

async function debug(role: string, file: string, port: number): Promise<void> {
  rmSync(STATE_DIR, { recursive: true, force: true });
  const pipeline = await startLocalPipeline({
    stateDir: STATE_DIR,
    settings: WITH_WEBHOOKS.includes(role) ? { ...defaultSettings(), webhooks: WEBHOOKS } : undefined,
    functions: {
      [role]: {
        taskRoot: await bundle(role),
        environment: { NODE_OPTIONS: `--inspect-wait=127.0.0.1:${port} --enable-source-maps` },
      },
    },
    onProgress: (text) => console.log(text),
    onLog: (line, source) => {
      if (source === role) console.log(line.trimEnd());
    },
  });
  try {
    const { jobId } = await pipeline.drop(file, `input/${basename(file)}`);
    console.log(`${role} waits for a debugger at 127.0.0.1:${port} each time that a process of it starts.`);
    for (;;) {
      const { job } = await pipeline.look(jobId);
      if (job?.receiptKey !== undefined) {
        console.log(`${job.result ?? job.state}; the receipt is ${job.receiptKey} of the local bucket`);
        return;
      }
      if (pipeline.deadLetters().length > 0)
        throw new Error(
          `a message failed too often: ${pipeline.deadLetters().join(', ')}. See ${relative(ROOT, STATE_DIR)}/aws/logs`,
        );
      await wait(LOOK_MS);
    }
  } finally {
    await pipeline.stop();
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { port: { type: 'string', default: '9229' } },
});
const [role = '', file = ''] = positionals;
if (!FUNCTIONS.includes(role) || !existsSync(file)) {
  console.error(
    `${file === '' ? 'a function and a file are expected' : `${role} ${file}: an unknown function, or no such file`}\n${USAGE}`,
  );
  process.exitCode = 2;
} else await debug(role, file, Number(values.port));
