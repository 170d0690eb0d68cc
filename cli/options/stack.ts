/**
 * Which stack a command works on: a deployed one, found through CloudFormation, or a local one, found through its state
 * folder. Commands that read what is stored open it with `openStores` (`cli/options/stores.ts`).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  CloudFormationClient,
  CloudFormationServiceException,
  paginateDescribeStacks,
  type Stack,
} from '@aws-sdk/client-cloudformation';
import type { LocalEndpoints } from '../../local/stack/local-stack.ts';
import { isAlive, type RunningStack, readRunning, removeRunning } from '../../local/stack/running-file.ts';
import type { Connection } from '../../src/runtime/clients.ts';
import { CannotRunError, UsageError } from '../view/exit.ts';
import { loadLocalStack } from './local-stack.ts';

/** How the description of a stack begins, by which it is found: see `lib/pipeline-stack.ts`. */
const DESCRIPTION_BEGINS = 'batchdrop:';

/** Options of every command that works on a stack. */
export interface StackOptions {
  /** Name of a deployed stack. */
  stack?: string | undefined;
  region?: string | undefined;
  /** The local stack of `state`. */
  local?: boolean | undefined;
  /** Folder of a local stack's state. */
  state: string;
}

/** A stack that a command works on. Call {@link OpenStack.close} at the end. */
export interface OpenStack {
  name: string;
  /** `stopped`: a local stack that does not run; what it has stored is there, and nothing happens to it. */
  kind: 'deployed' | 'local' | 'stopped';
  /** As `cdk deploy` prints them. Of a stopped local stack: `TableName` and `BucketName` alone. */
  outputs: Readonly<Record<string, string>>;
  /** How its clients are made. @throws {UsageError} if a stopped local stack does not serve it. */
  connectionTo(service: keyof LocalEndpoints): Connection;
  close(): Promise<void>;
}

/**
 * Finds the stack: `--local`; else the one that `--stack` or BATCHDROP_STACK names; else the only batchdrop stack of the
 * account in the region.
 * @param env of the process.
 * @param say gets what a person should know of how it was found.
 * @throws {UsageError} if the options do not fit together, or there is no such stack, or more than one.
 */
export async function openStack(
  options: StackOptions,
  env: NodeJS.ProcessEnv,
  say: (text: string) => void = (text) => console.error(`batchdrop: ${text}`),
): Promise<OpenStack> {
  const { stack, local, region } = options;
  if (local && (stack ?? region) !== undefined)
    throw new UsageError('--local is the stack of --state: leave --stack and --region out');
  return local ? openLocal(options.state, say) : openDeployed(stack || env.BATCHDROP_STACK, options, env);
}

/** An output of the stack. @throws {UsageError} if it has none of that name. */
export function outputOf(
  { name, outputs, kind }: Pick<OpenStack, 'name' | 'outputs' | 'kind'>,
  output: string,
): string {
  const value = outputs[output];
  if (value !== undefined) return value;
  throw new UsageError(
    kind === 'stopped'
      ? `the ${name} has no ${output}: no local stack has run there to the point of having one`
      : `stack ${name} has no output ${output}: is it a batchdrop stack, and deployed with a version that has it?`,
  );
}

/** The words of an output that continues in `Name2`, and so on, as `lib/pipeline-stack.ts` writes them. */
export function listOf(outputs: OpenStack['outputs'], name: string): string[] {
  const isPart = new RegExp(`^${name}\\d*$`);
  return Object.entries(outputs).flatMap(([output, value]) => (isPart.test(output) ? value.split(' ') : []));
}

/** @throws {UsageError} if nothing of the stack runs that could do what is asked. */
export function requireRunning({ kind, name }: OpenStack): void {
  if (kind !== 'stopped') return;
  throw new UsageError(`the ${name} is not running: start it with \`batchdrop local up\`, then repeat this`);
}

/** A stack in the middle of a sentence: `stack batchdrop`, or `the local stack of .batchdrop/local`. */
export function stackText({ name, kind }: Pick<OpenStack, 'name' | 'kind'>): string {
  return kind === 'deployed' ? `stack ${name}` : `the ${name}`;
}

/** The same error, with the stack that it is about. */
export function stackError(cause: Error, stack: Pick<OpenStack, 'name' | 'kind'>): Error {
  if (cause instanceof UsageError || cause instanceof CannotRunError) return cause;
  const code = cause.name === 'Error' || cause.name === 'BatchdropError' ? '' : ` (${cause.name})`;
  return new Error(`${stackText(stack)} cannot be used${code}: ${cause.message}`, { cause });
}

async function openDeployed(
  wanted: string | undefined,
  options: StackOptions,
  env: NodeJS.ProcessEnv,
): Promise<OpenStack> {
  // The SDK reads no AWS_DEFAULT_REGION, as the AWS CLI does; it looks into the files of the AWS configuration.
  const region = options.region || env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined;
  const connection: Connection = region === undefined ? {} : { region };
  const client = new CloudFormationClient(connection);
  try {
    const found = await describe(client, wanted);
    const where = `in region ${await client.config.region()}`;
    const stack = wanted === undefined ? onlyOne(found, where) : found[0];
    if (stack === undefined)
      throw new UsageError(
        `there is no stack ${wanted} ${where}: name another with --stack, or another region with --region`,
      );
    const outputs = (stack.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]);
    return {
      name: stack.StackName!,
      kind: 'deployed',
      outputs: Object.fromEntries(outputs),
      connectionTo: () => connection,
      close: async () => {},
    };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { name, message } = error as Error;
    const advice =
      message === 'Region is missing'
        ? ': give --region, or set AWS_REGION'
        : `: it takes AWS credentials that may call cloudformation:DescribeStacks${wanted === undefined ? ' for all stacks; with --stack, for one' : ''}`;
    throw new Error(`the stack cannot be looked up (${name}): ${message}${advice}`, { cause: error });
  } finally {
    client.destroy();
  }
}

/** The stack of that name, or all that are batchdrop's. */
async function describe(client: CloudFormationClient, wanted: string | undefined): Promise<Stack[]> {
  const found: Stack[] = [];
  try {
    const pages = paginateDescribeStacks({ client }, wanted === undefined ? {} : { StackName: wanted });
    for await (const { Stacks = [] } of pages) found.push(...Stacks);
  } catch (error) {
    // CloudFormation's answer for a name that is not there.
    if (
      error instanceof CloudFormationServiceException &&
      error.name === 'ValidationError' &&
      /does not exist/.test(error.message)
    )
      return [];
    throw error;
  }
  if (wanted !== undefined) return found;
  return found.filter(({ Description }) => Description?.startsWith(DESCRIPTION_BEGINS));
}

function onlyOne(found: readonly Stack[], where: string): Stack {
  const [first, ...others] = found;
  if (first === undefined)
    throw new UsageError(
      `there is no batchdrop stack ${where}: name one with --stack or BATCHDROP_STACK, give --region, or --local for a stack on this machine`,
    );
  if (others.length === 0) return first;
  const names = found.map(({ StackName }) => StackName).sort();
  throw new UsageError(
    `there are ${found.length} batchdrop stacks ${where}: name one with --stack or BATCHDROP_STACK: ${names.join(', ')}`,
  );
}

async function openLocal(state: string, say: (text: string) => void): Promise<OpenStack> {
  if (!existsSync(join(state, 'aws'))) throw new UsageError(`--state ${state}: no local stack has run there`);
  const running = readRunning(state);
  if (running !== undefined && isAlive(running)) return connected(running, state);
  const { openStoppedStack } = await loadLocalStack();
  // Throws if a stack that is not up yet has the folder.
  const stopped = await openStoppedStack(state);
  if (running !== undefined) {
    removeRunning(state);
    say(
      `the local stack of ${state} did not end in good order: its process ${running.pid} is gone. ` +
        'This is what it left; `batchdrop local up` continues it.',
    );
  }
  const { region, credentials, endpoints } = stopped;
  const name = `local stack of ${state}`;
  return {
    name,
    kind: 'stopped',
    outputs: stopped.outputs,
    connectionTo(service) {
      const { [service]: endpoint }: Partial<LocalEndpoints> = endpoints;
      if (endpoint !== undefined) return { region, credentials, endpoint };
      throw new UsageError(
        `the ${name} is not running: start it with \`batchdrop local up\`, then repeat this`,
      );
    },
    close: stopped.close,
  };
}

function connected({ region, credentials, endpoints, outputs }: RunningStack, state: string): OpenStack {
  return {
    name: `local stack of ${state}`,
    kind: 'local',
    outputs,
    connectionTo: (service) => ({ region, credentials, endpoint: endpoints[service] }),
    close: async () => {},
  };
}
