/**
 * All that a stack has stored, as one file that later releases can take up: the table's items, the messages in its
 * queues, the bucket, and what OpenAI knows. Files are kept for good, one for each release, below `releases/`.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync, gzipSync } from 'node:zlib';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { PutCommand, paginateScan } from '@aws-sdk/lib-dynamodb';
import type { SettingsInput } from '../../../lib/configuration.ts';
import { type EmulatedStackOptions, openEmulatedStack } from '../../support/open-emulated-stack.ts';

export type OpenStack = Awaited<ReturnType<typeof openEmulatedStack>>;
export type Item = Record<string, unknown>;

export interface FrozenStack {
  /** When it stopped, epoch ms by its own clock. */
  at: number;
  settings: SettingsInput;
  /** Ids of the requests of each input, by its key. */
  drops: Record<string, readonly string[]>;
  items: Item[];
  messages: { queue: string; body: string }[];
  /** Base64, by paths below the folder of the stack. */
  files: Record<string, string>;
}

/** Of the folder of a stack, what is not made anew: the bucket, OpenAI, and the id that marks its batches as its own. */
const FILES = ['aws/s3', 'aws/stack-id', 'openai'];

const pathOf = (release: string): string => join(import.meta.dirname, 'releases', `${release}.json.gz`);

/** Stops a stack and writes down what it has stored. @returns the path of the file. */
export async function freeze(
  stack: OpenStack,
  release: string,
  { settings, drops }: Pick<FrozenStack, 'settings' | 'drops'>,
): Promise<string> {
  const items = await itemsOf(stack);
  const at = stack.clock.now();
  await stack.stop();
  const queues = new DatabaseSync(join(stack.dir, 'aws/sqs/fauxqs.db'), { readOnly: true });
  const messages = queues
    .prepare('SELECT queue_name AS queue, body FROM sqs_messages ORDER BY queue_name, body')
    .all() as unknown as FrozenStack['messages'];
  queues.close();
  const files: FrozenStack['files'] = {};
  for (const top of FILES)
    for (const path of await filesBelow(stack.dir, top))
      files[path] = (await readFile(join(stack.dir, path))).toString('base64');
  const frozen: FrozenStack = { at, settings, drops, items, messages, files };
  const path = pathOf(release);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, gzipSync(JSON.stringify(frozen), { level: 9 }));
  return path;
}

/** Every item of a stack's table. */
export async function itemsOf(stack: OpenStack): Promise<Item[]> {
  const TableName = stack.stack().resources.table;
  const pages = await Array.fromAsync(paginateScan({ client: stack.dynamodb }, { TableName }));
  return pages.flatMap(({ Items }) => Items ?? []);
}

async function filesBelow(dir: string, top: string): Promise<string[]> {
  if (!(await readdir(dirname(join(dir, top)), { withFileTypes: true })).some(isDirectory(top))) return [top];
  const entries = await readdir(join(dir, top), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}

const isDirectory =
  (path: string) =>
  (entry: { name: string; isDirectory(): boolean }): boolean =>
    path.endsWith(entry.name) && entry.isDirectory();

/** What a release has left. */
export async function readFrozen(release: string): Promise<FrozenStack> {
  return JSON.parse(gunzipSync(await readFile(pathOf(release))).toString()) as FrozenStack;
}

/** Releases that have left something. */
export async function frozenReleases(): Promise<string[]> {
  const names = await readdir(join(import.meta.dirname, 'releases'));
  return names.filter((name) => name.endsWith('.json.gz')).map((name) => name.slice(0, -'.json.gz'.length));
}

/** Starts the present code on what a release has left, at the time at which it stopped. The caller closes it. */
export async function thaw(frozen: FrozenStack, options: EmulatedStackOptions = {}): Promise<OpenStack> {
  const prepare = async (dir: string): Promise<void> => {
    for (const [path, content] of Object.entries(frozen.files)) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(join(dir, path), Buffer.from(content, 'base64'));
    }
  };
  const stack = await openEmulatedStack({ ...options, settings: frozen.settings, at: frozen.at, prepare });
  const { resources, endpoints, region, credentials } = stack.stack();
  for (const item of frozen.items)
    await stack.dynamodb.send(new PutCommand({ TableName: resources.table, Item: item }));
  const sqs = new SQSClient({ region, credentials, endpoint: endpoints.sqs });
  for (const { queue, body } of frozen.messages) {
    const found = Object.values(resources.queues).find(({ name }) => name === queue);
    if (found === undefined)
      throw new Error(
        `The stack has no queue ${queue} any more: messages in it would be lost by an upgrade.`,
      );
    await sqs.send(new SendMessageCommand({ QueueUrl: found.url, MessageBody: body }));
  }
  sqs.destroy();
  return stack;
}
