/**
 * Checks of a deployment's configuration. Everything that can be refused is refused at synth, with the value that was
 * read and what to do, and never first seen in an account.
 */
import { Duration, Token } from 'aws-cdk-lib';
import type { z } from 'zod';
import { regionOfBaseUrl, residentBaseUrl } from '../src/contract/data-residency.ts';
import { defaultSettings, type Settings, settingsSchema } from '../src/contract/settings.ts';
import { describeProblems } from '../src/contract/settings-text.ts';

type SettingsJson = z.input<typeof settingsSchema>;
type RouteJson = SettingsJson['routes'][number];

/** A route as people write it: in JSON, or with CDK's `Duration`. */
export type RouteInput = Omit<RouteJson, 'deadline'> & {
  readonly deadline?: string | Duration | undefined;
};

/** Settings as people write them: what has a default may be left out. */
export type SettingsInput = Omit<SettingsJson, 'routes'> & { readonly routes: readonly RouteInput[] };

/** The configuration cannot work. The person who runs synth reads the message and fixes it. */
export class InvalidConfigurationError extends Error {
  override readonly name = 'InvalidConfigurationError';
}

/**
 * Checks settings and fills in the defaults.
 *
 * @param input settings as written; undefined means `defaultSettings()`.
 * @throws InvalidConfigurationError naming each problem and the value that was read.
 */
export function parseSettings(input: SettingsInput | undefined): Settings {
  if (input === undefined) return defaultSettings();
  const json = withDurations(input);
  const parsed = settingsSchema.safeParse(json);
  if (!parsed.success) {
    throw new InvalidConfigurationError(
      `settings are not valid:\n${describeProblems(parsed.error, json)}\nRead: ${JSON.stringify(input)}\n` +
        'Fix them and run synth again.',
    );
  }
  return parsed.data;
}

/** Durations as the text that settings have. What is not as its type says is left for the schema to refuse. */
function withDurations(input: SettingsInput): unknown {
  if (!Array.isArray(input?.routes)) return input;
  const routes = (input.routes as readonly RouteInput[]).map((route) =>
    route?.deadline instanceof Duration
      ? { ...route, deadline: `${route.deadline.toMinutes({ integral: false })}m` }
      : route,
  );
  return { ...input, routes };
}

/**
 * Checks a whole number.
 *
 * @param name what the person called it.
 * @throws InvalidConfigurationError unless `value` is a whole number from `min` to `max`.
 */
export function requireWhole(name: string, value: number, min: number, max: number): void {
  if (Token.isUnresolved(value) || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw new InvalidConfigurationError(
    `${name} is ${value}, expected a whole number from ${min} to ${max}: give one in that range.`,
  );
}

/**
 * Checks a duration that AWS takes in whole days or minutes.
 *
 * @returns the duration in that unit.
 * @throws InvalidConfigurationError unless it is a whole number of units from `min` to `max`.
 */
export function requireDuration(
  name: string,
  value: Duration,
  unit: 'days' | 'minutes',
  min: number,
  max: number,
): number {
  const amount = unit === 'days' ? value.toDays({ integral: false }) : value.toMinutes({ integral: false });
  if (!(Number.isInteger(amount) && amount >= min && amount <= max)) {
    throw new InvalidConfigurationError(
      `${name} is ${amount} ${unit}, expected a whole number of ${unit} from ${min} to ${max}: ` +
        `give Duration.${unit}(n) in that range.`,
    );
  }
  return amount;
}

/** S3: 3 to 63 of a-z, 0-9, "." and "-", beginning and ending with a letter or digit. */
const BUCKET_NAME = /^(?=.{3,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/**
 * Checks the name of an existing bucket.
 *
 * @throws InvalidConfigurationError if S3 could not have a bucket of that name.
 */
export function requireBucketName(name: string): void {
  if (Token.isUnresolved(name) || BUCKET_NAME.test(name)) return;
  throw new InvalidConfigurationError(
    `bucketName is ${JSON.stringify(name)}, which is not the name of an S3 bucket (3 to 63 of a-z, 0-9, "." and ` +
      '"-"): give the plain name, without "s3://", path or ARN, or leave it out to have a bucket made.',
  );
}

/** As CloudFormation makes them. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** DynamoDB: 3 to 255 letters, digits, "_", "-" and ".". */
const TABLE_NAME = /^[\w.-]{3,255}$/;

/**
 * Checks what is to be adopted of a removed stack.
 *
 * @throws InvalidConfigurationError unless there are the id of a stack, the name of a table and a bucket.
 */
export function requireAdoptable(
  { stackId, tableName }: { readonly stackId: string; readonly tableName: string },
  bucketName: string | undefined,
): void {
  if (!Token.isUnresolved(stackId) && !UUID.test(stackId)) {
    throw new InvalidConfigurationError(
      `adopt.stackId is ${JSON.stringify(stackId)}, expected the UUID of the removed stack, such as the one in the name of its ` +
        'secret, batchdrop/<UUID>/default.',
    );
  }
  if (!Token.isUnresolved(tableName) && !TABLE_NAME.test(tableName)) {
    throw new InvalidConfigurationError(
      `adopt.tableName is ${JSON.stringify(tableName)}, which is not the name of a DynamoDB table: give the plain name, without ARN.`,
    );
  }
  if (bucketName === undefined) {
    throw new InvalidConfigurationError(
      'adopt is given without bucketName: the jobs in the table have their files in the bucket of the removed stack; name it.',
    );
  }
}

/**
 * Checks the address of OpenAI: that of a region is what `dataResidency` says, so that prices know of it, and two addresses
 * for one key cannot both be right.
 *
 * @param url as the person gave it; undefined: none was given.
 * @throws InvalidConfigurationError unless it is an https URL, and the only thing that says where requests go.
 */
export function requireOneAddress(url: string | undefined, { dataResidency }: Settings): void {
  if (url === undefined) return;
  requireHttpsUrl('openaiBaseUrl', url);
  const [said] = Object.entries(dataResidency);
  if (said !== undefined) {
    throw new InvalidConfigurationError(
      `openaiBaseUrl is ${JSON.stringify(url)}, and the settings say dataResidency (${said[0]}: ${said[1]}, which is ` +
        `${residentBaseUrl(said[1])}): two addresses for one API key; leave one of them out.`,
    );
  }
  const region = regionOfBaseUrl(url);
  if (region === undefined) return;
  throw new InvalidConfigurationError(
    `openaiBaseUrl is ${JSON.stringify(url)}, where OpenAI charges for data residency: say it in the settings instead, ` +
      `{"dataResidency": {"default": "${region}"}}, so that budgets and receipts reckon with it.`,
  );
}

/**
 * Checks the address of a proxy.
 *
 * @throws InvalidConfigurationError unless it is an http or https URL of a host alone.
 */
export function requireProxyUrl(name: string, value: string): void {
  if (Token.isUnresolved(value)) return;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isPlain = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (isPlain && `${url!.username}${url!.password}${url!.search}${url!.hash}` === '' && url!.pathname === '/')
    return;
  throw new InvalidConfigurationError(
    `${name} is ${JSON.stringify(value)}, expected the URL of a proxy without user, path or query, such as ` +
      '"http://proxy.internal:3128": it stands in the environment of functions, where a password would be read by many.',
  );
}

/**
 * Checks the address of an OpenAI-compatible service.
 *
 * @throws InvalidConfigurationError unless it is an absolute https URL without credentials, query or fragment.
 */
function requireHttpsUrl(name: string, value: string): void {
  if (Token.isUnresolved(value)) return;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol === 'https:' && `${url.username}${url.password}${url.search}${url.hash}` === '') return;
  throw new InvalidConfigurationError(
    `${name} is ${JSON.stringify(value)}, expected an https URL without user, query or fragment, such as ` +
      '"https://api.openai.com/v1": prompts and the API key travel over it.',
  );
}
