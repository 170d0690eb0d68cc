/** The commands that look after a stack: what goes in and comes out, its limits, its queues. */
import { type Command, Option } from 'commander';
import { doctor } from './commands/doctor.ts';
import { limits } from './commands/limits.ts';
import { logs } from './commands/logs.ts';
import { probe } from './commands/probe.ts';
import { redrive } from './commands/redrive.ts';
import { RESULT_FILES, results } from './commands/results.ts';
import { submit } from './commands/submit.ts';
import { durationMs, positiveCount } from './options/duration.ts';
import { onStack } from './options/on-stack.ts';

/** Adds them to the program. */
export function addUpkeepCommands(program: Command): void {
  onStack(program.command('submit'))
    .description('drop files into a stack; folders keep their structure, "-" is standard input')
    .argument('<file...>', 'files of requests, or folders of them')
    .option('--route <name>', 'route whose prefix they get (default: the input prefix of the stack)')
    .option('--name <name>', 'what standard input is called in the bucket (default: "stdin-TIME.jsonl")')
    .option('--wait', 'wait until all have ended, and exit with the status of their receipts')
    .option('--out <dir>', 'wait, and save all results below this folder')
    .option('--json', 'print the ids of the jobs as JSON; with --wait or --out, their receipts')
    .action(async (files: string[], options) => {
      process.exitCode = await submit(files, options);
    });
  onStack(program.command('results'))
    .description('print the answers of a job that has ended, or save all of its files')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option('--out <dir>', 'folder that its answers, errors, retry lines and receipt are saved below')
    .addOption(new Option('--file <which>', 'what is printed').choices(RESULT_FILES).default('output'))
    .option('--json', 'with --out: print the receipt as JSON')
    .action(async (job: string, options) => {
      process.exitCode = await results(job, options);
    });
  onStack(program.command('limits'))
    .description("what is known of OpenAI's limits and of budgets, and what of them is taken")
    .argument('[model...]', 'models, also if nothing of them is live')
    .option('--key <name>', 'API key of those models', 'default')
    .option('--json', 'print one JSON object')
    .action(async (models: string[], options) => {
      process.exitCode = await limits(models, options);
    });
  onStack(program.command('redrive'))
    .description('send the dead letters of a queue again; without a queue, show how all are')
    .argument('[queue]', 'short name: ingest, submit, call, collect, finalize, observe')
    .option('--show', 'show up to 10 of its dead letters: age, receives and ids; send none')
    .option('--json', 'print JSON')
    .action(async (queue: string | undefined, options) => {
      process.exitCode = await redrive(queue, options);
    });
  onStack(program.command('logs'))
    .description('what the functions logged of a job, across all of them, in the order of time')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option('--since <duration>', 'how far back: 90m, 2h, 2d (default: since it was recorded)', durationMs)
    .option('--limit <count>', 'lines at most: the latest', positiveCount, 1_000)
    .option('--json', 'print one JSON array')
    .action(async (job: string, options) => {
      process.exitCode = await logs(job, options);
    });
  onStack(program.command('doctor'))
    .description('what is wrong with a stack, and the commands that fix it; exits with 1 if something is')
    .option('--openai', 'look at OpenAI, too, with the key in OPENAI_API_KEY: what no job knows there')
    .option('--clean', 'delete the files that were found there, after asking; --openai is implied')
    .option('--probe', 'try at OpenAI what is not established, and write a report; looks at no stack')
    .option('--live', 'with --probe: ask the real OpenAI with the key in OPENAI_API_KEY, for $0.01 at most')
    .option('--out <dir>', 'with --probe: folder of the report', '.')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON object')
    .action(async (options) => {
      process.exitCode = await (options.probe ? probe : doctor)(options, process.env);
    });
}
