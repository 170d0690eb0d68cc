import type { Command } from 'commander';
import { DEFAULT_STATE_DIR } from '../../local/stack/running-file.ts';

/** The options that say which stack. */
export function onStack(command: Command): Command {
  return command
    .option('--stack <name>', 'name of the deployed stack (default: BATCHDROP_STACK, or the only one)')
    .option('--region <region>', 'AWS region of the stack (default: that of your AWS configuration)')
    .option('--local', 'the local stack of --state, running or not')
    .option('--state <dir>', 'folder of the local stack', DEFAULT_STATE_DIR);
}
