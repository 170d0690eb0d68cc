/** The options that name a stack, as a person gives them again to another command. */
import { DEFAULT_STATE_DIR } from '../../local/stack/running-file.ts';
import type { StackOptions } from './stack.ts';

/** `''`, `--local`, `--stack films --region eu-west-1`. */
export function stackFlags({ stack, region, local, state }: StackOptions): string {
  const flags = [
    ...(local ? ['--local'] : []),
    ...(local && state !== DEFAULT_STATE_DIR ? ['--state', state] : []),
    ...(stack === undefined ? [] : ['--stack', stack]),
    ...(region === undefined ? [] : ['--region', region]),
  ];
  return flags.join(' ');
}
