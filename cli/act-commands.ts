/** The commands by which an operator decides: the stack does what they say, see `src/contract/operate.ts`. */
import type { Command } from 'commander';
import { cancel, forget, pause, retry, unpause } from './commands/operate.ts';
import { resume } from './commands/resume.ts';
import { positiveCount } from './options/duration.ts';
import { onStack } from './options/on-stack.ts';

const MAY_PAY_TWICE = ['--may-pay-twice', 'run again what may have been charged without an answer'] as const;

/** Adds them to the program. */
export function addActCommands(program: Command): void {
  onAct(program.command('cancel'))
    .description('end a job: what is finished is kept, the rest is not sent')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option(
      '--run-duplicates',
      'run the jobs of the same content that wait for it, in place of cancelling them',
    )
    .action(async (job: string, options) => {
      process.exitCode = await cancel(job, options);
    });

  onAct(program.command('retry'))
    .description('drop what did not succeed of a job that has ended as a new input, which names the job')
    .argument('<job>', 'id of a job, or the key that was dropped')
    .option(
      '--number <count>',
      'which retry of the job it is (default: 1); another number pays for the same requests again',
      positiveCount,
    )
    .option(...MAY_PAY_TWICE)
    .action(async (job: string, options) => {
      process.exitCode = await retry(job, options);
    });

  onAct(program.command('pause'))
    .description('send nothing new of a route, or of the stack; what is at OpenAI is collected')
    .argument('[route]', 'name of a route (default: the whole stack)')
    .action(async (route: string | undefined, options) => {
      process.exitCode = await pause(route, options);
    });

  onAct(program.command('unpause'))
    .description('end a pause')
    .argument('[route]', 'name of a route (default: the whole stack)')
    .action(async (route: string | undefined, options) => {
      process.exitCode = await unpause(route, options);
    });

  onAct(program.command('forget'))
    .description('remove everything that a job that has ended has left, for good')
    .argument('<job>', 'id of a job, or the key that was dropped; with --yes an id only')
    .action(async (job: string, options) => {
      process.exitCode = await forget(job, options);
    });

  onAct(program.command('resume'))
    .description(
      'release batches that are held because OpenAI failed or refused them each time, or a suspended scope; without jobs, show what is held',
    )
    .argument('[job...]', 'ids of jobs, or keys that were dropped')
    .option('--all', 'release everything that is held')
    .option('--scope <scope>', 'lift a suspension instead: the name of an API key, or KEY/MODEL')
    .option(...MAY_PAY_TWICE)
    .action(async (jobs: string[], options) => {
      process.exitCode = await resume(jobs, options);
    });
}

/** The options of what an operator decides. */
function onAct(command: Command): Command {
  return onStack(command)
    .option('--reason <text>', 'kept with what was done, for those who read it later')
    .option('--yes', 'ask nothing')
    .option('--json', 'print the answer of the stack as JSON');
}
