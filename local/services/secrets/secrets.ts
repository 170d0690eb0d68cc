/** Secrets Manager on this machine: read, write and describe secrets that the template declares. */
import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { AwsError, accessDenied, startAwsJsonServer } from '../aws-json-server.ts';
import type { LocalService, ServiceOptions } from '../service.ts';

/** A running Secrets Manager. */
export interface Secrets extends LocalService {
  /**
   * Declares a secret.
   *
   * @param options.initialValue used until a value is put
   * @param options.memoryValue is current from now until a value is put, and is never written to disk: for a key
   *   that the user gave to this run
   */
  ensureSecret(options: DeclaredSecret): void;
}

interface DeclaredSecret {
  name: string;
  arn: string;
  initialValue?: string | undefined;
  memoryValue?: string | undefined;
}

interface Version {
  id: string;
  value: string;
  createdAtSeconds: number;
}

interface Secret {
  name: string;
  arn: string;
  current: Version | undefined;
  previous: Version | undefined;
}

/** What is on disk: the two latest values that were put, by secret name. */
type Stored = Record<string, { current: Version; previous?: Version | undefined }>;

/**
 * Starts Secrets Manager. Values that are put survive a restart, in a file that only the user may read.
 *
 * @param options.file where they are kept
 */
export async function startSecrets(options: ServiceOptions & { file: string }): Promise<Secrets> {
  const secrets = new SecretValues(options.file);
  const server = await startAwsJsonServer({
    port: options.port,
    contentType: 'application/x-amz-json-1.1',
    interception: options.intercept && {
      service: 'secretsmanager',
      resourceOf: ({ SecretId }) => SecretId,
      intercept: options.intercept,
    },
    async handle({ operation, body, accessKeyId, context }) {
      const run = secrets.operations[operation];
      if (run === undefined) {
        throw new AwsError('UnknownOperationException', `The local Secrets Manager has no ${operation}`);
      }
      const input = JSON.parse(body.toString());
      const secret = secrets.find(input.SecretId);
      const reason = options.authorize?.(accessKeyId, {
        action: `secretsmanager:${operation}`,
        resource: secret.arn,
        context,
      });
      if (reason !== undefined) throw accessDenied('secretsmanager', reason);
      return { status: 200, body: run(secret, input) };
    },
  });
  return {
    endpoint: server.endpoint,
    port: server.port,
    ensureSecret: (declared) => secrets.ensure(declared),
    close: server.close,
  };
}

/** The secrets that are declared, with the values that were put. */
class SecretValues {
  readonly #file: string;
  readonly #stored: Stored;
  readonly #secrets: Secret[] = [];

  constructor(file: string) {
    this.#file = file;
    this.#stored = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  }

  /** See {@link Secrets.ensureSecret}. */
  ensure({ name, arn, initialValue, memoryValue }: DeclaredSecret): void {
    const kept = this.#stored[name];
    const initial = initialValue === undefined ? undefined : versionOf(initialValue);
    const before = kept?.current ?? initial;
    const given = memoryValue === undefined ? undefined : versionOf(memoryValue);
    this.#secrets.push({
      name,
      arn,
      current: given ?? before,
      previous: given === undefined ? kept?.previous : before,
    });
  }

  /** @throws AwsError `ResourceNotFoundException` */
  find(secretId: unknown): Secret {
    const secret = this.#secrets.find(({ name, arn }) => secretId === name || secretId === arn);
    if (secret !== undefined) return secret;
    throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  }

  /** By the API's names. */
  readonly operations: Record<string, (secret: Secret, input: Record<string, never>) => object> = {
    GetSecretValue(secret, { VersionId, VersionStage }) {
      const stages = stagesOf(secret);
      const found = stages.find(({ version, stage }) =>
        VersionId === undefined
          ? stage === (VersionStage ?? 'AWSCURRENT')
          : version.id === VersionId && (VersionStage === undefined || stage === VersionStage),
      );
      if (found === undefined) {
        throw new AwsError(
          'ResourceNotFoundException',
          `Secrets Manager can't find the specified secret value for staging label: ${VersionStage ?? 'AWSCURRENT'}`,
        );
      }
      return {
        ARN: secret.arn,
        Name: secret.name,
        SecretString: found.version.value,
        VersionId: found.version.id,
        VersionStages: [found.stage],
        CreatedDate: found.version.createdAtSeconds,
      };
    },
    PutSecretValue: (secret, { SecretString, ClientRequestToken }) => {
      if (typeof SecretString !== 'string') {
        throw new AwsError(
          'InvalidParameterException',
          'The local Secrets Manager keeps text: give SecretString.',
        );
      }
      const id: string = ClientRequestToken ?? randomUUID();
      if (secret.current?.id !== id) {
        this.#put(secret, { id, value: SecretString, createdAtSeconds: Date.now() / 1000 });
      }
      return { ARN: secret.arn, Name: secret.name, VersionId: id, VersionStages: ['AWSCURRENT'] };
    },
    DescribeSecret: (secret) => ({
      ARN: secret.arn,
      Name: secret.name,
      VersionIdsToStages: Object.fromEntries(
        stagesOf(secret).map(({ version, stage }) => [version.id, [stage]]),
      ),
    }),
  };

  #put(secret: Secret, version: Version): void {
    secret.previous = secret.current;
    secret.current = version;
    this.#stored[secret.name] = { current: version, previous: this.#stored[secret.name]?.current };
    writePrivately(this.#file, JSON.stringify(this.#stored));
  }
}

function stagesOf({ current, previous }: Secret): { version: Version; stage: string }[] {
  return [
    ...(current === undefined ? [] : [{ version: current, stage: 'AWSCURRENT' }]),
    ...(previous === undefined ? [] : [{ version: previous, stage: 'AWSPREVIOUS' }]),
  ];
}

/** A version whose id is the same in every run. */
function versionOf(value: string): Version {
  const hash = createHash('sha256').update(value).digest('hex');
  const id = hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
  return { id, value, createdAtSeconds: 0 };
}

function writePrivately(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, content, { mode: 0o600 });
  chmodSync(`${file}.new`, 0o600);
  renameSync(`${file}.new`, file);
}
