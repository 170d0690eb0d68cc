/**
 * `batchdrop webhook register | test | rotate`: the webhook endpoint of an OpenAI project, and its signing secret in
 * the secret that the stack made for it. The signing secret goes from OpenAI to Secrets Manager and is never shown.
 */
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import OpenAI, { APIError } from 'openai';
import { WEBHOOK_EVENTS, WEBHOOK_SECRET_PLACEHOLDER } from '../../src/contract/webhooks.ts';
import { defined } from '../../src/core/base/defined.ts';
import { createSecretsManagerClient } from '../../src/runtime/clients.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';

/** Which endpoint. */
export interface WebhookOptions {
  /** What OpenAI sends to: the stack's output `WebhookUrl`. */
  url: string;
}

/** Which endpoint, and where its signing secret is kept. */
export interface WebhookSecretOptions extends WebhookOptions {
  /** Name or ARN of the secret: the stack's output `WebhookSecretArn`. */
  secret: string;
  region?: string;
  /** URL of Secrets Manager, where it is not AWS's: that of `batchdrop local up`. */
  endpoint?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** What the endpoint is called at OpenAI. */
const NAME = 'batchdrop';

/**
 * Makes the endpoint, or brings the one that is there up to date, and keeps its signing secret. Safe to repeat: an
 * endpoint whose signing secret got lost gets another one.
 * @param env `OPENAI_API_KEY`: the key of the project that is to send; `OPENAI_BASE_URL`.
 * @returns the exit status.
 */
export async function registerWebhook(options: WebhookSecretOptions, env: Env): Promise<number> {
  const { url } = options;
  const client = clientOf(options, env);
  return withSecrets(options, async (secrets) => {
    // First: a signing secret that cannot be kept must not be made.
    const isUnset = await isSecretUnset(secrets, options.secret);
    const event_types = [...WEBHOOK_EVENTS];
    const known = await endpointAt(client, url);
    if (known === undefined) {
      const made = await client.webhooks.create({ name: NAME, url, event_types });
      await keep(secrets, options.secret, made.signing_secret);
      console.log(`Endpoint ${made.id} was made, and its signing secret is kept.`);
      return EXIT_SUCCEEDED;
    }
    await client.webhooks.update(known.id, { event_types });
    if (isUnset) await rotateAndKeep(client, secrets, options.secret, known.id);
    console.log(
      `Endpoint ${known.id} was there already; its events are up to date${isUnset ? ', and it has another signing secret, which is kept' : ''}.`,
    );
    return EXIT_SUCCEEDED;
  });
}

/** Gives the endpoint another signing secret; both are valid for 24 hours. @returns the exit status. */
export async function rotateWebhook(options: WebhookSecretOptions, env: Env): Promise<number> {
  const client = clientOf(options, env);
  return withSecrets(options, async (secrets) => {
    await isSecretUnset(secrets, options.secret);
    const { id } = await requireEndpoint(client, options.url);
    await rotateAndKeep(client, secrets, options.secret, id);
    console.log(
      `Endpoint ${id} has another signing secret, which is kept; the one before is valid for 24 hours.`,
    );
    return EXIT_SUCCEEDED;
  });
}

/**
 * Has OpenAI send a sample event.
 * @returns the exit status: 1 if the stack did not accept it.
 */
export async function testWebhook(options: WebhookOptions, env: Env): Promise<number> {
  const client = clientOf(options, env);
  const { id } = await requireEndpoint(client, options.url);
  const { status_code: status } = await client.webhooks.test(id, { event_type: 'batch.completed' });
  const isAccepted = status >= 200 && status < 300;
  console.log(
    isAccepted
      ? `The stack accepted a sample event of endpoint ${id} (${status}).`
      : `The stack answered ${status} to a sample event of endpoint ${id}: ${adviceOn(status)}.`,
  );
  return isAccepted ? EXIT_SUCCEEDED : EXIT_CANNOT_RUN;
}

function adviceOn(status: number): string {
  if (status === 401)
    return 'the secret does not hold the signing secret of this endpoint; run `batchdrop webhook rotate`, and try again after a minute';
  return 'see the log of the webhook function';
}

/** @throws {UsageError} if the options or the environment leave something out. */
function clientOf({ url }: WebhookOptions, env: Env): OpenAI {
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL } = env;
  if (!apiKey) throw new UsageError('set OPENAI_API_KEY to a key of the project whose webhooks are meant');
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new UsageError(`--url is "${url}": give the WebhookUrl that \`cdk deploy\` printed`);
  return new OpenAI(defined({ apiKey, logLevel: 'off', baseURL: baseURL || undefined }));
}

async function endpointAt(client: OpenAI, url: string) {
  for await (const endpoint of client.webhooks.list()) if (endpoint.url === url) return endpoint;
  return undefined;
}

async function requireEndpoint(client: OpenAI, url: string) {
  const endpoint = await endpointAt(client, url);
  if (endpoint !== undefined) return endpoint;
  throw new UsageError(
    `the project of OPENAI_API_KEY has no webhook endpoint with the URL ${url}; run \`batchdrop webhook register\` first`,
  );
}

async function rotateAndKeep(
  client: OpenAI,
  secrets: SecretsManagerClient,
  secret: string,
  endpointId: string,
): Promise<void> {
  const rotated = await client.webhooks.rotateSecret(endpointId, {
    keep_old_secret_active_for_24_hours: true,
  });
  await keep(secrets, secret, rotated.signing_secret);
}

async function keep(secrets: SecretsManagerClient, secretId: string, signingSecret: string): Promise<void> {
  try {
    await secrets.send(new PutSecretValueCommand({ SecretId: secretId, SecretString: signingSecret }));
  } catch (error) {
    throw new Error(
      `OpenAI gave a signing secret, which could not be kept in ${secretId} (${(error as Error).name}). Webhooks are answered 401 ` +
        'until `batchdrop webhook rotate` succeeds; the poll finds results meanwhile.',
      { cause: error },
    );
  }
}

/** @throws if the secret is not there, or may not be read. */
async function isSecretUnset(secrets: SecretsManagerClient, secretId: string): Promise<boolean> {
  const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: secretId }));
  return SecretString === undefined || SecretString.trim() === WEBHOOK_SECRET_PLACEHOLDER;
}

async function withSecrets(
  { secret, region, endpoint }: WebhookSecretOptions,
  run: (secrets: SecretsManagerClient) => Promise<number>,
): Promise<number> {
  // An ARN says in which region it is.
  const used = region ?? /^arn:[^:]*:secretsmanager:([^:]+):/.exec(secret)?.[1];
  const client = createSecretsManagerClient(
    defined({
      region: used,
      endpoint,
    }),
  );
  try {
    return await run(client);
  } catch (error) {
    const { name, message } = error as Error;
    if (error instanceof UsageError || error instanceof APIError || name === 'Error') throw error;
    throw new Error(`the secret ${secret} cannot be used (${name}): ${message}`, { cause: error });
  } finally {
    client.destroy();
  }
}
