/** The commands that work on a stack, deployed or local. All take the options that say which one. */
import { type Command, Option } from 'commander';
import { DAY_MS } from '../src/contract/time.ts';
import { costs } from './commands/costs.ts';
import { explainJob } from './commands/explain.ts';
import { jobs } from './commands/jobs.ts';
import { receipt } from './commands/receipt.ts';
import { status } from './commands/status.ts';
import { watch } from './commands/watch.ts';
import { durationMs, positiveCount } from './options/duration.ts';
import { onStack } from './options/on-stack.ts';

/** Adds them to the program. */
export function addStackCommands(program: Command): void {
  onStack(program.command('explain'))
    .description('why a job waits, since when, what would move it, and the command for that')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option('--json', 'print one JSON object')
    .action(async (job: string, options) => {
      process.exitCode = await explainJob(job, options);
    });

  onStack(program.command('watch'))
    .description('a job until it ends: what it does and waits for, then its receipt and its exit status')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option('--json', 'print the receipt as JSON at the end')
    .action(async (job: string, options) => {
      process.exitCode = await watch(job, options);
    });

  onStack(program.command('jobs'))
    .description('live jobs, then those that have ended, the newest first')
    .option(
      '--status <status>',
      'live, ended, cancelled, or one state or result, such as running, rejected, failed',
    )
    .option('--ignored', 'instead of jobs, drops that are not run and that no receipt answers, and why')
    .option('--route <name>', 'those of a route')
    .option('--prefix <key>', 'those whose keys begin so')
    .addOption(
      new Option(
        '--since <duration>',
        'how far back ended jobs, or ignored drops, are looked for: 90m, 2h, 2d',
      )
        .argParser(durationMs)
        .default(2 * DAY_MS, '2d'),
    )
    .option('--limit <count>', 'rows at most', positiveCount, 50)
    .option('--json', 'print one JSON array')
    .action(async (options) => {
      process.exitCode = await jobs(options);
    });

  onStack(program.command('status'))
    .description('one job as it stands: state, requests, batches, what waits, retries, cost, receipt')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option('--json', 'print one JSON object')
    .action(async (job: string, options) => {
      process.exitCode = await status(job, options);
    });

  onStack(program.command('receipt'))
    .description('the receipt of a job that has ended; exits as `local process` does')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option('--json', 'print it as it is')
    .action(async (job: string, options) => {
      process.exitCode = await receipt(job, options);
    });

  onStack(program.command('costs'))
    .description('what the jobs of a month cost, and saved against standard')
    .option('--month <month>', 'such as 2026-11, in UTC (default: the current one)')
    .option('--by <what>', 'route, model, tier or key (of the API)', 'route')
    .option('--json', 'print one JSON object')
    .action(async (options) => {
      process.exitCode = await costs(options);
    });
}
