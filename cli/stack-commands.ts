/** The commands that work on a stack, deployed or local. All take the options that say which one. */
import type { Command } from 'commander';
import { DEFAULT_STATE_DIR } from '../local/stack/pipeline.ts';
import { explainJob } from './commands/explain.ts';
import { resume } from './commands/resume.ts';
import { watch } from './commands/watch.ts';

/** Adds them to the program. */
export function addStackCommands(program: Command): void {
  onStack(program.command('resume'))
    .description(
      'release batches that are held because OpenAI failed or refused them each time; without jobs, show what is held',
    )
    .argument('[job...]', 'ids of jobs, as receipts and logs name them')
    .option('--all', 'release everything that is held')
    .action(async (jobs: string[], options) => {
      process.exitCode = await resume(jobs, options);
    });

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
}

/** The options that say which stack. */
function onStack(command: Command): Command {
  return command
    .option('--stack <name>', 'name of the deployed stack (default: BATCHDROP_STACK, or the only one)')
    .option('--region <region>', 'AWS region of the stack (default: that of your AWS configuration)')
    .option('--local', 'the local stack of --state, running or not')
    .option('--state <dir>', 'folder of the local stack', DEFAULT_STATE_DIR);
}
