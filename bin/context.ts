import { readFileSync } from 'node:fs';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { InvalidConfigurationError, type SettingsInput } from '../lib/configuration.ts';
import type { PipelineStackProps } from '../lib/pipeline-stack.ts';
import { readSettings, SettingsTextError } from '../src/contract/settings-text.ts';

/** CloudFormation: a letter, then letters, digits and "-", 128 at the most. */
const STACK_NAME = /^[A-Za-z][A-Za-z0-9-]{0,127}$/;

const KNOWN = [
  'stackName',
  'bucketName',
  'adopt',
  'pollMinutes',
  'removal',
  'openaiBaseUrl',
  'settings',
  'alarms',
  'dashboard',
  'policies',
];

/** Source: SNS API reference, Topic. */
const TOPIC_ARN = /^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/;

/** Names of other tools have punctuation in them: `aws:cdk:…`, `@aws-cdk/…`, `cli-telemetry`. */
const PLAIN_WORD = /^[A-Za-z0-9]+$/;

/**
 * Refuses names that are not read: a mistyped one would be ignored without a message.
 *
 * @param names all names that context has.
 * @throws InvalidConfigurationError naming those that are not known and those that are.
 */
export function refuseUnknownContext(names: readonly string[]): void {
  const unknown = names.filter((name) => PLAIN_WORD.test(name) && !KNOWN.includes(name));
  if (unknown.length === 0) return;
  throw new InvalidConfigurationError(
    `context ${unknown.join(', ')} is not known here; the names are ${KNOWN.join(', ')}. ` +
      'Fix -c, or the context in cdk.json or ~/.cdk.json',
  );
}

/**
 * What `cdk -c name=value` and `cdk.json` say, as stack props.
 *
 * | context | meaning | default |
 * |---|---|---|
 * | `stackName` | name of the CloudFormation stack | `batchdrop` |
 * | `bucketName` | a bucket that exists already | a bucket is made |
 * | `adopt` | what a removed stack has left beside its bucket: `UUID,TABLE` | nothing |
 * | `pollMinutes` | how often live batches are looked at | 5 |
 * | `removal` | `retain`, or `destroy` for development | `retain` |
 * | `openaiBaseUrl` | an OpenAI-compatible service | OpenAI |
 * | `settings` | routes and layout: JSON, or the path of a JSON file | one route over `input/` |
 * | `alarms` | ARN of an SNS topic that alarms tell, or `off` | alarms that tell nobody |
 * | `dashboard` | `off` for none | a dashboard |
 * | `policies` | `off` for none | managed policies for those who look and those who operate |
 *
 * @param read gives the value of a context key, undefined if there is none.
 * @throws InvalidConfigurationError naming the key, the value read and what to do.
 */
export function contextToStackProps(
  read: (key: string) => unknown,
): PipelineStackProps & { stackName: string } {
  const stackName = readText(read, 'stackName', 'batchdrop-dev') ?? 'batchdrop';
  if (!STACK_NAME.test(stackName)) {
    throw refused('stackName', stackName, 'a letter, then letters, digits and "-"', 'batchdrop-dev');
  }
  return {
    stackName,
    bucketName: readText(read, 'bucketName', 'my-bucket'),
    adopt: readAdopted(read),
    pollInterval: readPollInterval(read),
    removalPolicy: readRemoval(read),
    openaiBaseUrl: readText(read, 'openaiBaseUrl', 'https://api.openai.com/v1'),
    settings: settingsOf(read('settings')),
    alarms: readAlarms(read),
    dashboard: readOff(read, 'dashboard'),
    policies: readOff(read, 'policies'),
  };
}

function refused(key: string, value: unknown, expected: string, example: string): InvalidConfigurationError {
  return new InvalidConfigurationError(
    `context ${key} is ${JSON.stringify(value)}, expected ${expected}: pass for example -c ${key}=${example}`,
  );
}

/** An empty value, as an unset shell variable leaves one, counts as none. */
function readText(read: (key: string) => unknown, key: string, example: string): string | undefined {
  const value = read(key);
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw refused(key, value, 'text', example);
  return value;
}

/** The construct checks both. */
function readAdopted(read: (key: string) => unknown): PipelineStackProps['adopt'] {
  const example = '01234567-89ab-cdef-0123-456789abcdef,batchdrop-Table';
  const value = readText(read, 'adopt', example);
  if (value === undefined) return undefined;
  const [stackId, tableName, ...more] = value.split(',');
  if (!stackId || !tableName || more.length > 0) throw refused('adopt', value, 'UUID,TABLE', example);
  return { stackId, tableName };
}

function readPollInterval(read: (key: string) => unknown): Duration | undefined {
  const value = read('pollMinutes');
  if (value === undefined || value === null || value === '') return undefined;
  const text = String(value);
  const minutes = Number(text);
  if (!/^\d+$/.test(text) || minutes < 1 || minutes > 60) {
    throw refused('pollMinutes', value, 'a whole number from 1 to 60', '5');
  }
  return Duration.minutes(minutes);
}

function readRemoval(read: (key: string) => unknown): RemovalPolicy {
  const value = readText(read, 'removal', 'destroy') ?? 'retain';
  if (value === 'retain') return RemovalPolicy.RETAIN;
  if (value === 'destroy') return RemovalPolicy.DESTROY;
  throw refused('removal', value, '"retain" or "destroy"', 'destroy');
}

function readAlarms(read: (key: string) => unknown): PipelineStackProps['alarms'] {
  const example = 'arn:aws:sns:us-east-1:111122223333:on-call';
  const value = readText(read, 'alarms', example);
  if (value === undefined) return undefined;
  if (value === 'off') return false;
  if (!TOPIC_ARN.test(value)) throw refused('alarms', value, 'the ARN of an SNS topic, or "off"', example);
  return { topicArn: value };
}

/** What is there unless it is turned off. */
function readOff(read: (key: string) => unknown, name: string): boolean | undefined {
  const value = readText(read, name, 'off');
  if (value === undefined) return undefined;
  if (value !== 'off') throw refused(name, value, '"off", or nothing', 'off');
  return false;
}

/** JSON on the command line, the path of a file, or an object in `cdk.json`, which the construct checks. */
function settingsOf(value: unknown): SettingsInput | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') return value as SettingsInput;
  const isJson = value.trimStart().startsWith('{');
  try {
    return isJson
      ? readSettings(value, 'context settings')
      : readSettings(readFileSync(value, 'utf8'), value);
  } catch (error) {
    const { message } = error as Error;
    throw new InvalidConfigurationError(
      error instanceof SettingsTextError
        ? message
        : `context settings is ${JSON.stringify(value)}, which was taken for the path of a JSON file and could not be ` +
            `read: ${message}. Pass for example -c settings=settings.json`,
      { cause: error },
    );
  }
}
