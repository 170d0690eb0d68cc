#!/usr/bin/env node
/** The command line: parses, calls one function, prints, sets the exit status. Only as the main module does it run. */
import { Argument, Command, CommanderError } from 'commander';
import { DEFAULT_STATE_DIR } from '../local/stack/running-file.ts';
import packageJson from '../package.json' with { type: 'json' };
import { addActCommands } from './act-commands.ts';
import { audit } from './commands/audit.ts';
import { localProcess } from './commands/local-process.ts';
import { localUp } from './commands/local-up.ts';
import { plan } from './commands/plan.ts';
import { prices } from './commands/prices.ts';
import { registerWebhook, rotateWebhook, testWebhook } from './commands/webhook.ts';
import { durationMs, positiveCount } from './options/duration.ts';
import { collectPort, PORT_NAMES } from './options/ports.ts';
import { addStackCommands } from './stack-commands.ts';
import { addUpkeepCommands } from './upkeep-commands.ts';
import { completionScript, SHELLS, type Shell } from './view/completion.ts';
import { EXIT_CANNOT_RUN, EXIT_USAGE, UsageError } from './view/exit.ts';
import { makePlain, withoutControls } from './view/plain.ts';

const settingsOption = [
  '--settings <file>',
  'JSON file of routes and prefixes, as a deployment takes it',
] as const;

/** Every command and option. */
export const program = new Command('batchdrop')
  .description('OpenAI Batch API requests, dropped as files.')
  .version(packageJson.version)
  .exitOverride()
  // It repeats arguments: a shell puts names of files in for a pattern.
  .configureOutput({ outputError: (text, write) => write(withoutControls(text)) })
  .showHelpAfterError('--help lists the commands; after a command, its arguments and options.');

program
  .command('plan')
  .description('what files would become and cost: reads them, sends nothing, costs nothing')
  .argument('<file...>', 'JSONL files of requests (or .gz of them), or folders of them; - is standard input')
  .option('--deadline <duration>', 'when results must be there, from the drop on: 90m, 2h, 1d', durationMs)
  .option('--enqueued-tokens <count>', 'batch queue limit of your models, in tokens', positiveCount)
  .option('--tokens-per-minute <count>', 'rate limit of flex and standard, in input tokens', positiveCount)
  .option(...settingsOption)
  .option(
    '--key <key>',
    'under which it would be dropped, to choose a route (default: "input/" and its name)',
  )
  .option('--prices <file>', 'price file that takes precedence over the built-in table')
  .option('--residency', 'requests go to a data-residency endpoint, which costs more')
  .option('--json', 'print one JSON object')
  .action(async (files: string[], options) => {
    process.exitCode = await plan(files, options);
  });

program
  .command('audit')
  .description('what past calls cost, and would have cost in batch and flex; sends nothing')
  .argument('<file...>', 'JSONL files of past calls or of usage buckets (or .gz of them); see docs/cost.md')
  .option('--rules <file>', 'which calls a person waits for (default: none)')
  .option('--prices <file>', 'price file that takes precedence over the built-in table')
  .option('--residency', 'requests go to a data-residency endpoint, which costs more')
  .option('--json', 'print one JSON object')
  .action(async (files: string[], options) => {
    process.exitCode = await audit(files, options);
  });

program
  .command('prices')
  .description('what models cost, by whose word, and how a price file differs from it; sends nothing')
  .argument('[model...]', 'beginnings of the names of models (default: all)')
  .option('--compare <file>', 'price file to set beside the table')
  .option('--json', 'print one JSON object')
  .action(async (models: string[], options) => {
    process.exitCode = await prices(models, options);
  });

const stateOption = [
  '--state <dir>',
  'folder that keeps everything between runs',
  DEFAULT_STATE_DIR,
] as const;

addStackCommands(program);
addActCommands(program);
addUpkeepCommands(program);

const webhook = program
  .command('webhook')
  .description("OpenAI's webhooks to a stack; needs OPENAI_API_KEY, a key of the project that sends them");

const urlOption = ['--url <url>', 'WebhookUrl, as `cdk deploy` printed it'] as const;
const secretOption = ['--secret <arn>', 'WebhookSecretArn, as `cdk deploy` printed it'] as const;
const secretsRegionOption = [
  '--region <region>',
  'AWS region of the secret (default: that of its ARN)',
] as const;
const secretsEndpointOption = ['--endpoint <url>', 'Secrets Manager of a local stack'] as const;

webhook
  .command('register')
  .description('have OpenAI send webhooks to the stack, and keep their signing secret; safe to repeat')
  .requiredOption(...urlOption)
  .requiredOption(...secretOption)
  .option(...secretsRegionOption)
  .option(...secretsEndpointOption)
  .action(async (options) => {
    process.exitCode = await registerWebhook(options, process.env);
  });

webhook
  .command('test')
  .description('have OpenAI send a sample event, and show what the stack answered')
  .requiredOption(...urlOption)
  .action(async (options) => {
    process.exitCode = await testWebhook(options, process.env);
  });

webhook
  .command('rotate')
  .description('replace the signing secret; both are valid for 24 hours')
  .requiredOption(...urlOption)
  .requiredOption(...secretOption)
  .option(...secretsRegionOption)
  .option(...secretsEndpointOption)
  .action(async (options) => {
    process.exitCode = await rotateWebhook(options, process.env);
  });

const local = program
  .command('local')
  .description('the whole stack on this machine, with an OpenAI emulator');

const liveOption = ['--live', 'talk to the real OpenAI with OPENAI_API_KEY: this costs money'] as const;

const concurrencyOption = [
  '--concurrency <count>',
  'concurrency of the account: above it Lambda throttles (new AWS accounts have 10; default: no limit)',
  positiveCount,
] as const;

local
  .command('process')
  .description('run files to the end and fetch their results')
  .argument('<file...>', 'JSONL files of requests (or .gz of them), or folders of them; - is standard input')
  .option('--name <name>', 'what standard input is called (default: "stdin.jsonl")')
  .option('--prefix <prefix>', 'what the keys begin with, to choose a route (default: "input/")')
  .option('--out <dir>', 'folder for output/, errors/, retry/ and receipts/', 'batchdrop-results')
  .option('--json', 'print one JSON array of receipts as the last line of standard output')
  .option('--deliver-twice', 'deliver every event and every message twice, to see that nothing changes')
  .option(...concurrencyOption)
  .option(...settingsOption)
  .option(...liveOption)
  .option(...stateOption)
  .action(async (files: string[], options) => {
    process.exitCode = await localProcess(files, options);
  });

local
  .command('up')
  .description('keep the stack running, to drop files with any S3 client')
  .option(
    '--port <port>',
    `port of S3, or SERVICE=PORT for one of ${PORT_NAMES.join(', ')}; may be given several times (default: those of the last run)`,
    collectPort,
  )
  .option(...concurrencyOption)
  .option(...settingsOption)
  .option(...liveOption)
  .option(...stateOption)
  .action(async (options) => {
    process.exitCode = await localUp(options);
  });

program
  .command('completion')
  .description('a script with which a shell completes commands and options')
  .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
  .action((shell: Shell) => {
    console.log(completionScript(program, shell));
  });

if (import.meta.main) await run();

async function run(): Promise<void> {
  makePlain(console);
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // It has printed what is wrong, or the help that was asked for.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
    } else if (error instanceof UsageError) {
      console.error(`batchdrop: ${error.message}`);
      process.exitCode = EXIT_USAGE;
    } else {
      console.error(`batchdrop: ${(error as Error).message}`);
      process.exitCode = EXIT_CANNOT_RUN;
    }
  }
}
